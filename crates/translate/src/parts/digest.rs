//! A hash of the beginning of a request, for affinity and for texts that must be recognised.

/// Shorter prefixes are not worth caching: no model caches less than about 1,000 tokens.
const WORTH: usize = 4 * 1024;

const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;

/// A hash of a prefix that is the same in every process and every version.
#[derive(Debug, Clone)]
pub struct Digest {
    hash: u64,
    /// Bytes seen.
    length: usize,
}

impl Default for Digest {
    fn default() -> Self {
        Self { hash: OFFSET, length: 0 }
    }
}

impl Digest {
    /// The key of these bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.add(bytes);
        digest.finish()
    }

    /// Adds the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(word));
        }
        // The length separates the pieces, so that the same text cut elsewhere has another key.
        self.word(bytes.len() as u64);
    }

    fn word(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(PRIME).rotate_left(29);
    }

    /// Returns whether the added text is long enough for a cache.
    pub fn is_long(&self) -> bool {
        self.length >= WORTH
    }

    /// The key of the added text.
    pub fn finish(&self) -> u64 {
        (self.hash ^ (self.hash >> 32)).wrapping_mul(PRIME)
    }
}
