//! Log lines of routing, kept for a test to read.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The lines since the last `forget`. One set per process: each test has its own.
pub(super) struct Lines;

impl Lines {
    pub(super) fn keep() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&Self).unwrap();
            log::set_max_level(LevelFilter::Debug);
        });
        Self.forget();
        Self
    }

    /// Number of lines that contain a text.
    pub(super) fn count(&self, text: &str) -> usize {
        KEPT.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    pub(super) fn forget(&self) {
        KEPT.lock().unwrap().clear();
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(KEPT.lock().unwrap().iter()).finish()
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("routing")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            KEPT.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}
