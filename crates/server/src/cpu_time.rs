//! CPU time of the current thread. Tests that bound a cost compare this and not the clock, which counts other
//! work of the machine too.

use std::time::Duration;

/// CPU time since the thread began; where the system does not say it, the time since the first call.
pub(crate) fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(since_first_call, Duration::from_nanos)
}

fn since_first_call() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}
