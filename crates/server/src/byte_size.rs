//! Sizes that an operator gives in MiB.

/// Bytes in one MiB.
const MIB: usize = 1024 * 1024;

/// A size that the configuration states in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mib(usize);

impl Mib {
    pub(crate) const fn new(mib: usize) -> Self {
        Self(mib.saturating_mul(MIB))
    }

    /// A size that is not whole in MiB, for tests of limits.
    #[cfg(test)]
    pub(crate) const fn of_bytes(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub(crate) const fn bytes(self) -> usize {
        self.0
    }

    /// The size as the configuration states it.
    pub(crate) const fn count(self) -> usize {
        self.0 / MIB
    }
}
