//! The strings of JSON text, which readers of its structure pass over.

/// State of JSON text that is read byte by byte, cut anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JsonStrings {
    is_open: bool,
    is_escaped: bool,
}

impl JsonStrings {
    /// Reads a byte. Returns whether it belongs to a string, its quotes included.
    pub(super) fn read(&mut self, byte: u8) -> bool {
        let was_open = self.is_open;
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if was_open => self.is_escaped = true,
            b'"' => self.is_open = !was_open,
            _ => {}
        }
        was_open || self.is_open
    }

    /// Returns whether a string is open after the bytes read.
    pub(super) fn is_open(self) -> bool {
        self.is_open
    }
}
