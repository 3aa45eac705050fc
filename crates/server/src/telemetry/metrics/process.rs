//! The kernel's figures of this process. Absent where there is no `/proc`.

use std::fs;

/// Clock ticks in a second, the same on every Linux.
const TICKS: f64 = 100.0;

/// Use of resources.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProcessUse {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl ProcessUse {
    /// The use of this moment.
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu),
            resident_bytes: field("VmRSS:").map(|kib| kib * 1024),
            // One of them is the folder being read.
            open_files: files.and_then(|count| u64::try_from(count.saturating_sub(1)).ok()),
            threads: field("Threads:"),
        }
    }
}

/// User and system time of a line of `/proc/PID/stat`. The name before them may hold anything.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((f64::from(user) + f64::from(system)) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 100 1 1";
        assert_eq!(cpu(stat), Some(2.0));
        assert_eq!(cpu("7 (a"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let used = ProcessUse::now();
        assert!(used.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{used:?}");
        assert!(used.open_files.is_some_and(|files| files > 0), "{used:?}");
    }
}
