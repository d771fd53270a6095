//! `BootClock` reads the clock that runs while the machine is suspended. A test cannot suspend the machine, but a
//! time namespace can shift `CLOCK_BOOTTIME` and leave `CLOCK_MONOTONIC` as it is.
#![allow(clippy::print_stdout, reason = "the child prints what its clock shows")]

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use tenure::clock::{BootClock, Clock as _};

const SHIFT: u64 = 100_000;
const CHILD: &str = "TENURE_PRINT_THE_CLOCK";

fn in_shifted_namespace(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-Ur", "-T", "--boottime", &SHIFT.to_string(), program]);
    command
}

fn seconds() -> u64 {
    BootClock.now().as_nanos() / 1_000_000_000
}

fn follows_the_boot_time() -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let before = seconds();
    let child = in_shifted_namespace(program.to_str().ok_or("a path of UTF-8")?)
        .env(CHILD, "1")
        .output()?;
    let shifted: u64 = String::from_utf8(child.stdout)?.trim().parse()?;
    let after = seconds();
    if (before + SHIFT..=after + SHIFT + 1).contains(&shifted) {
        Ok(())
    } else {
        Err(format!("{shifted} s is not {SHIFT} s after {before} s").into())
    }
}

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        println!("{}", seconds());
        return ExitCode::SUCCESS;
    }
    let allowed = in_shifted_namespace("true").output();
    let (reason, forbidden) = match allowed {
        Ok(output) if output.status.success() => (String::new(), false),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            (format!(" (no time namespace here: {text})"), true)
        }
        Err(error) => (format!(" (cannot run unshare: {error})"), true),
    };
    let name = format!("the_boot_clock_counts_boot_time_and_not_monotonic_time{reason}");
    let trial = Trial::test(name, follows_the_boot_time).with_ignored_flag(forbidden);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}
