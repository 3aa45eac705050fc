//! CPU time of threads. Tests that bound a cost compare this and not the clock, which counts other work of
//! the machine too.

use std::fs;
use std::time::{Duration, Instant};

/// A point in time and the CPU time that threads had used by then.
pub(crate) struct Stopwatch {
    threads: &'static str,
    started: Instant,
    used: Option<Duration>,
}

impl Stopwatch {
    /// For all threads of this process.
    pub(crate) fn of_process() -> Self {
        Self::of("")
    }

    /// For the threads of the gateway's workers.
    pub(crate) fn of_workers() -> Self {
        Self::of("actix-rt|")
    }

    fn of(threads: &'static str) -> Self {
        Self { threads, started: Instant::now(), used: used(threads) }
    }

    /// CPU time used since the start, and at most the time that has passed: other tests may run in this
    /// process. Where the system does not tell the CPU time, the time that has passed.
    pub(crate) fn elapsed(&self) -> Duration {
        let passed = self.started.elapsed();
        let used = used(self.threads).zip(self.used).map(|(now, then)| now.saturating_sub(then));
        used.map_or(passed, |used| used.min(passed))
    }
}

/// CPU time of the threads whose names begin with `prefix`.
fn used(prefix: &str) -> Option<Duration> {
    let mut sum = None;
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        let read = |file| fs::read_to_string(thread.path().join(file)).ok();
        // A thread may have ended meanwhile.
        let Some((name, times)) = read("comm").zip(read("schedstat")) else { continue };
        if name.starts_with(prefix) {
            let nanoseconds = times.split(' ').next()?.parse().ok()?;
            *sum.get_or_insert(Duration::ZERO) += Duration::from_nanos(nanoseconds);
        }
    }
    sum
}
