//! Names that may have been meant: suggestions for messages, never a decision.

/// Most names suggested at once.
const MOST: usize = 3;
/// Most edits that are still a slip of the hand.
const EDITS: usize = 4;
/// A shorter word is part of too many names to mean one of them.
const TELLING: usize = 4;
/// Longer names, in bytes, are no slip of anything.
const LONGEST: usize = 200;

/// The word that may have been meant, of a closed list.
pub fn nearest<'w>(name: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words
        .map(|word| (distance(word, name), word))
        .filter(|&(distance, word)| distance <= word.len().div_ceil(3))
        .min()
        .map(|(_, word)| word)
}

/// The names that may have been meant, the nearest first: few edits away, or with the whole of what was
/// written in them.
pub fn near<'w>(written: &str, names: impl Iterator<Item = &'w str>) -> Vec<String> {
    if written.len() > LONGEST {
        return Vec::new();
    }
    let written = written.to_lowercase();
    let few = (written.chars().count() / 4).clamp(1, EDITS);
    let mut found: Vec<(usize, usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_lowercase();
            // Lengths alone tell of most names that they are too far.
            let apart = lower.len().abs_diff(written.len());
            let edits = if apart <= few { distance(&lower, &written) } else { usize::MAX };
            if edits <= few {
                return Some((edits, apart, name));
            }
            let is_part = written.len() >= TELLING && lower.contains(&written);
            is_part.then_some((1, apart, name))
        })
        .collect();
    found.sort_unstable();
    let best = found.first().map_or(0, |(edits, ..)| *edits);
    found.retain(|(edits, ..)| *edits <= best + 1);
    found.dedup_by_key(|(_, _, name)| *name);
    found.truncate(MOST);
    found.into_iter().map(|(_, _, name)| name.to_owned()).collect()
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.chars().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_are_near_and_other_names_are_not() {
        let names = ["nova-lite", "nova-2-lite", "nova-pro", "claude-sonnet-4-5", "mine"];
        for (written, expected) in [
            ("nova-lit", &["nova-lite"][..]),
            ("Nova-Lite", &["nova-lite"]),
            ("claude-sonet-4.5", &["claude-sonnet-4-5"]),
            ("sonnet", &["claude-sonnet-4-5"]),
            ("lite", &["nova-lite", "nova-2-lite"]),
            ("min", &["mine"]),
            ("gpt-4o", &[]),
            ("", &[]),
        ] {
            assert_eq!(near(written, names.into_iter()), expected, "{written}");
        }
        let many = ["aaaa1", "aaaa2", "aaaa3", "aaaa4"];
        assert_eq!(near("aaaa", many.into_iter()).len(), MOST);
    }
}
