use std::{
    fmt,
    time::{Duration, Instant},
};

/// How long each kind of request took. The others are compared with the first kind.
#[derive(Default)]
pub(crate) struct Samples(Vec<(&'static str, Vec<Duration>)>);

impl Samples {
    pub(crate) async fn time<T>(
        &mut self,
        kind: &'static str,
        request: impl Future<Output = T>,
    ) -> T {
        let begun = Instant::now();
        let answer = request.await;
        let took = begun.elapsed();
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, times)) => times.push(took),
            None => self.0.push((kind, vec![took])),
        }
        answer
    }

    /// Puts this kind first, so that the others are compared with it.
    pub(crate) fn compare_with(&mut self, kind: &'static str) {
        self.0.sort_by_key(|(known, _)| *known != kind);
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted[index].as_secs_f64() * 1000.0
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "                   median       p99   median over the first"
        )?;
        let mut raw = None;
        for (kind, times) in &self.0 {
            let mut sorted = times.clone();
            sorted.sort();
            let (median, p99) = (percentile(&sorted, 50), percentile(&sorted, 99));
            let ratio = median / *raw.get_or_insert(median);
            writeln!(
                f,
                "{kind:<16} {median:>6.3} ms {p99:>6.3} ms   {ratio:>6.3}"
            )?;
        }
        Ok(())
    }
}
