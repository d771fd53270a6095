//! Prepares the run, runs it, judges, and cleans up.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    process::ExitCode,
    sync::mpsc,
    time::Duration,
};

use rand::{SeedableRng as _, rngs::SmallRng};
use tempfile::TempDir;
use tenure::open_store;
use tokio::runtime::{self, Runtime};

use crate::{
    args::Args,
    checker::{Contenders, Verdict},
    disturbances::{Disturbance, Scope},
    failure::Failure,
    history::History,
    nemesis::{Nemesis, Setup},
    operators::{Commanded, Operators},
    process_group::{Message, ProcessGroup},
    protocol::{Contest, Fault},
    register::{self, PROBE},
    report, signals, store_probe, store_under_test,
    torture::{Tally, Torture},
};

/// Set by hand only: what node 1 does wrong, to see that the checker finds it.
const FAULT: &str = "TENURE_TORTURE_FAULT";

pub(crate) fn run(args: &Args) -> ExitCode {
    let seed = args.seed.unwrap_or_else(rand::random);
    let (logs, found) = match judge(args, seed) {
        Ok((logs, found)) => (Some(logs), found),
        Err(failure) => (None, vec![failure.to_string()]),
    };
    let mut lines = found.clone();
    let keep = args.keep_logs || !found.is_empty();
    if let Some(logs) = logs.filter(|_| keep) {
        lines.push(format!("logs: {}", logs.keep().display()));
    }
    lines.push(match found.len() {
        0 => "ok".to_owned(),
        1 => format!("failed with seed {seed}: {}", found[0]),
        count => format!(
            "failed with seed {seed}: {count} violations, the first: {}",
            found[0]
        ),
    });
    // If stdout is closed, the exit status still says it.
    let _ = writeln!(io::stdout(), "{}", lines.join("\n"));
    if found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the folder of the logs and what was found. Everything that was started has ended then.
fn judge(args: &Args, seed: u64) -> Result<(TempDir, Vec<String>), Failure> {
    let folder = tempfile::Builder::new().prefix("tenure-torture.").tempdir();
    let logs = folder.map_err(Failure::to("make a folder"))?;
    let data = tempfile::tempdir().map_err(Failure::to("make a folder"))?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::to("make a runtime"))?;
    let mut torture = prepare(args, seed, &data, &logs, &runtime)?;
    let ran = torture.run(args.minutes);
    if let Err(failure @ Failure::Interrupted(_)) = ran {
        // The operator has ended the run: its logs are of no interest.
        return Err(failure);
    }
    let registers = torture.registers();
    let mut disturbances = std::mem::take(&mut torture.disturbances);
    let history = &torture.group.history;
    for trouble in &torture.group.troubles {
        let (start, end) = (trouble.start, trouble.end);
        disturbances.push(Disturbance::new("store", Scope::Everybody, start, end));
    }
    let commanded = &torture.group.commanded;
    disturbances.extend(commanded.iter().map(Commanded::disturbance));
    for (id, during) in &history.held_up {
        let (start, end) = (during.start, during.end);
        disturbances.push(Disturbance::new("held up", Scope::Process(*id), start, end));
    }
    let (registers, mut found) = match registers {
        Ok(registers) => (registers, Vec::new()),
        Err(failure) => (Default::default(), vec![failure.to_string()]),
    };
    let contenders = Contenders {
        nodes: torture.nodes,
        observe: torture.under_test.is_observed(),
    };
    let terms = history.terms();
    let mut verdict = Verdict::of(contenders, terms, &disturbances, &registers);
    verdict.check_commands(terms, commanded);
    found.extend(ran.err().map(|failure| failure.to_string()));
    found.extend(report::faults(&verdict));
    let text = report::table(&verdict, history, &torture.tally);
    let _ = writeln!(io::stdout(), "{text}");
    report::write_logs(logs.path(), &torture, &disturbances).map_err(Failure::to("write logs"))?;
    Ok((logs, found))
}

fn prepare(
    args: &Args,
    seed: u64,
    data: &TempDir,
    logs: &TempDir,
    runtime: &Runtime,
) -> Result<Torture, Failure> {
    let (tell, inbox) = mpsc::channel();
    signals::watch(tell.clone(), Message::Interrupted)?;
    let (under_test, proxies) = store_under_test::make(args.store, data.path(), runtime.handle())?;
    let setup = Setup::draw(&mut SmallRng::seed_from_u64(seed), under_test.ttls());
    let contests: Vec<_> = (setup.ttls.iter().enumerate())
        .map(|(index, ttl)| Contest {
            resource: format!("torture/{}", index + 1),
            ttl: *ttl,
        })
        .collect();
    announce(args, seed, &setup);
    let url = under_test.url();
    let opened = runtime.block_on(async {
        let store = open_store(&url).await.map_err(Failure::of_store)?;
        store.prepare().await.map_err(Failure::of_store)?;
        let register = register::open(&url).await.map_err(Failure::of_store)?;
        let mut resources = vec![PROBE.to_owned()];
        resources.extend(contests.iter().map(|contest| contest.resource.clone()));
        let prepared = register.prepare(&resources).await;
        prepared.map_err(Failure::of_store)?;
        Ok::<_, Failure>((store, register))
    });
    let (store, register) = opened?;
    let shortest = setup.ttls.iter().min().copied().unwrap_or_default();
    // Half of the default time limit of a request.
    let limit = shortest / 10;
    runtime.spawn(store_probe::watch(register.clone(), limit, tell.clone()));
    let ttls = contests.iter();
    let history = History::new(ttls.map(|contest| (contest.resource.clone(), contest.ttl)));
    let nodes = setup.nodes;
    Ok(Torture {
        nemesis: Nemesis::new(seed, setup, proxies.is_some()),
        under_test,
        proxies,
        contests,
        nodes,
        absent: BTreeMap::new(),
        fault: fault()?,
        group: ProcessGroup::new(nodes, history, logs.path(), (tell.clone(), inbox)),
        operators: Operators::new(store, tell),
        register,
        runtime: runtime.handle().clone(),
        disturbances: Vec::new(),
        tally: Tally::default(),
        pending: Vec::new(),
        diary: Vec::new(),
    })
}

fn announce(args: &Args, seed: u64, setup: &Setup) {
    let store = format!("{:?}", args.store).to_lowercase();
    let ttls: Vec<_> = setup.ttls.iter().map(|ttl| format!("{ttl:?}")).collect();
    let lasting = Duration::from_secs(args.minutes.as_secs());
    let _ = writeln!(
        io::stdout(),
        "{store}, seed {seed}: {} processes, {} resources with ttls {}, for {lasting:?}",
        setup.nodes,
        setup.ttls.len(),
        ttls.join(" "),
    );
}

fn fault() -> Result<Option<Fault>, Failure> {
    let Ok(name) = env::var(FAULT) else {
        return Ok(None);
    };
    let fault = serde_json::from_value(name.into());
    fault
        .map(Some)
        .map_err(|error| Failure::Wrong(format!("{FAULT}: {error}")))
}
