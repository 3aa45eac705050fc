//! A hash of the beginning of a request, for affinity and for texts that must be recognised.

/// Shorter prefixes are not worth caching: no model caches less than about 1,000 tokens.
const WORTH: usize = 4 * 1024;

/// Bytes of a piece that tell it from others of its length, where a mistake costs no more than a cached prefix.
const START: usize = 16 * 1024;

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
        self.add_words(bytes);
        self.end_piece(bytes.len());
    }

    /// Adds the next piece by its first 16 KiB and its length, so that a prompt of megabytes costs little.
    pub fn add_start(&mut self, bytes: &[u8]) {
        self.add_words(bytes.get(..START).unwrap_or(bytes));
        self.end_piece(bytes.len());
    }

    fn add_words(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    fn end_piece(&mut self, length: usize) {
        self.length += length;
        // The length separates the pieces, so that the same text cut elsewhere has another key.
        self.word(length as u64);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn started(piece: &[u8]) -> u64 {
        let mut digest = Digest::default();
        digest.add_start(piece);
        digest.finish()
    }

    #[test]
    fn a_short_piece_is_its_start() {
        for length in [0, 1, 7, 8, 9, START] {
            let piece = vec![b'x'; length];
            assert_eq!(started(&piece), Digest::of(&piece), "{length}");
        }
    }

    #[test]
    fn a_long_piece_is_its_start_and_its_length() {
        let mut piece = vec![b'x'; 2 * START];
        let key = started(&piece);
        piece[START] = b'y';
        assert_eq!(started(&piece), key);
        assert_ne!(Digest::of(&piece), key);
        piece[START - 1] = b'y';
        assert_ne!(started(&piece), key);
        assert_ne!(started(&vec![b'x'; 2 * START + 1]), key);
    }
}
