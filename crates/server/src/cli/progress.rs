//! The progress of a long command: one line on a terminal, written over, and none into files and pipes.

use std::io::{self, IsTerminal as _, Write as _};

/// Characters of the bar.
const WIDTH: u64 = 24;

/// A line that tells how far a command is.
pub(super) struct ProgressLine {
    is_shown: bool,
}

impl ProgressLine {
    /// A line on stderr, if that is a terminal.
    pub(super) fn on_stderr() -> Self {
        Self { is_shown: io::stderr().is_terminal() }
    }

    /// Shows the number of things that are done, and the kind of the last.
    pub(super) fn show(&mut self, kind: &str, done: u64, total: u64) {
        if self.is_shown {
            write(&format!("\r\x1b[K{}", bar(kind, done, total)));
        }
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            write("\r\x1b[K");
        }
    }
}

fn bar(kind: &str, done: u64, total: u64) -> String {
    let share = |of: u64| done.min(total).saturating_mul(of).checked_div(total).unwrap_or(of);
    let filled = share(WIDTH);
    let signs: String = (0..WIDTH).map(|at| if at < filled { '#' } else { '.' }).collect();
    format!("[{signs}] {:3} %  {done} of {total}  {kind}", share(100))
}

fn write(text: &str) {
    let mut stderr = io::stderr();
    // Progress is no reason to fail.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_where_there_is_no_row() {
        assert_eq!(bar("keys", 50, 200), "[######..................]  25 %  50 of 200  keys");
        assert_eq!(bar("keys", 0, 0), "[########################] 100 %  0 of 0  keys");
    }
}
