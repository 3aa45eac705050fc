//! Vectors for texts: hashed words and word pairs, so that texts with common words are close; equal for
//! equal texts, and of unit length.

use sha2::{Digest as _, Sha256};

/// A unit vector of `dimensions` numbers for `text`.
pub(crate) fn vector(text: &str, dimensions: usize) -> Vec<f64> {
    let mut vector = vec![0.0; dimensions.max(1)];
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    for word in &words {
        add(&mut vector, word, 1.0);
        // The beginning of a word relates its forms.
        let stem: String = word.chars().take(4).collect();
        add(&mut vector, &stem, 0.5);
    }
    for pair in words.windows(2) {
        add(&mut vector, &pair.join(" "), 0.4);
    }
    // Texts with the same words (but another case or punctuation), or without words, still differ slightly.
    add(&mut vector, &format!("\u{0}{text}"), 0.1);
    normalised(vector)
}

/// `vector` scaled to unit length.
pub(crate) fn normalised(mut vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}

/// Adds a dense pseudo-random direction for `feature`.
fn add(vector: &mut [f64], feature: &str, weight: f64) {
    let mut block = [0_u8; 32];
    for (index, value) in vector.iter_mut().enumerate() {
        let offset = index % 32;
        if offset == 0 {
            block = Sha256::new()
                .chain_update(feature.as_bytes())
                .chain_update((index / 32).to_be_bytes())
                .finalize()
                .into();
        }
        *value += weight * (f64::from(block[offset]) / 127.5 - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f64 {
        vector(a, 256).iter().zip(vector(b, 256)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_are_unit_repeatable_and_near_for_near_texts() {
        for text in ["", "one", "The quick brown fox", "\u{65e5}\u{672c}\u{8a9e}"] {
            for dimensions in [256, 384, 512, 1_024, 1_536, 3_072] {
                let built = vector(text, dimensions);
                let length = built.iter().map(|value| value * value).sum::<f64>().sqrt();
                assert_eq!(built.len(), dimensions);
                assert!((length - 1.0).abs() < 1e-9, "{text}: {length}");
            }
        }
        assert!((cosine("same text", "same text") - 1.0).abs() < 1e-9);
        let near = cosine("the cat sat on the mat", "a cat sat on a mat");
        let far = cosine("the cat sat on the mat", "quarterly revenue grew strongly");
        assert!(near > 0.5 && far < 0.3, "{near} {far}");
        assert!(cosine("Text", "text") < 0.999_999, "different texts differ");
    }
}
