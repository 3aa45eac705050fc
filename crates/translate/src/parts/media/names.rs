//! Names of documents. Bedrock allows few characters and no name twice in a request; the model
//! reads the name, and it is part of the cached prompt. So names stay readable, and the same file
//! has the same name in every later turn: a name depends only on the file and on the files before
//! it.

use std::collections::{HashMap, HashSet};

/// Bedrock allows 200 characters; the suffix that makes a name unique needs some of them.
const LONGEST: usize = 160;
/// Longer than any file's extension.
const LONGEST_EXTENSION: usize = 8;

/// The names given so far.
#[derive(Debug, Default)]
pub(super) struct DocumentNames {
    given: HashSet<String>,
    /// The next number to try, by the name it is appended to.
    next: HashMap<String, usize>,
}

impl DocumentNames {
    /// A name for a file with this content: `report.v2.pdf` becomes `report-v2 (pdf)`.
    pub(super) fn claim(
        &mut self,
        filename: Option<&str>,
        format: &'static str,
        content: &str,
    ) -> String {
        let (stem, extension) = filename.map_or(("", ""), split);
        let stem = clean(stem);
        let extension = if extension.is_empty() { format } else { extension };
        let fresh = if stem.is_empty() {
            format!("document {} ({extension})", digest(content))
        } else {
            format!("{stem} ({extension})")
        };
        if self.given.insert(fresh.clone()) {
            return fresh;
        }
        let stem = if stem.is_empty() { "document" } else { stem.as_str() };
        let base = format!("{stem} {}", digest(content));
        let mut name = format!("{base} ({extension})");
        let next = self.next.entry(format!("{base} ({extension})")).or_insert(2);
        while !self.given.insert(name.clone()) {
            name = format!("{base} {next} ({extension})");
            *next += 1;
        }
        name
    }
}

/// Stem and extension of the last part of a path.
fn split(filename: &str) -> (&str, &str) {
    let base = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let extension = |end: &str| {
        (1..=LONGEST_EXTENSION).contains(&end.len())
            && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match base.rsplit_once('.') {
        Some((stem, end)) if !stem.is_empty() && extension(end) => (stem, end),
        _ => (base, ""),
    }
}

/// Removes all but letters, digits, hyphens, brackets and single spaces.
fn clean(stem: &str) -> String {
    let mut name = String::with_capacity(stem.len().min(LONGEST));
    for letter in stem.chars() {
        if name.len() >= LONGEST {
            break;
        }
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => name.push(letter),
            '.' | '_' => name.push('-'),
            '\'' | '’' | '`' | '´' => {}
            other => match plain(other) {
                Some(letters) => name.push_str(letters),
                None if name.ends_with(' ') => {}
                None => name.push(' '),
            },
        }
    }
    let name = name.trim_matches([' ', '-']);
    if name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        name.to_owned()
    } else {
        String::new()
    }
}

/// Latin letters without diacritics; other scripts have no letters that Bedrock allows.
fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ą' => "a",
        'À' | 'Á' | 'Â' | 'Ã' | 'Å' => "A",
        'ä' | 'æ' => "ae",
        'Ä' | 'Æ' => "Ae",
        'ç' | 'ć' | 'č' => "c",
        'Ç' | 'Ć' | 'Č' => "C",
        'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' => "e",
        'È' | 'É' | 'Ê' | 'Ë' => "E",
        'ì' | 'í' | 'î' | 'ï' | 'ı' => "i",
        'Ì' | 'Í' | 'Î' | 'Ï' | 'İ' => "I",
        'ñ' | 'ń' => "n",
        'Ñ' => "N",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' => "o",
        'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ø' => "O",
        'ö' | 'œ' => "oe",
        'Ö' | 'Œ' => "Oe",
        'ù' | 'ú' | 'û' | 'ů' => "u",
        'Ù' | 'Ú' | 'Û' => "U",
        'ü' => "ue",
        'Ü' => "Ue",
        'ý' | 'ÿ' => "y",
        'ß' => "ss",
        'ś' | 'š' | 'ş' => "s",
        'Ś' | 'Š' | 'Ş' => "S",
        'ł' => "l",
        'Ł' => "L",
        'ğ' => "g",
        'ź' | 'ż' | 'ž' => "z",
        'Ź' | 'Ż' | 'Ž' => "Z",
        _ => return None,
    })
}

/// Six hexadecimal digits of a content hash. It is the same in every build, because names outlive
/// the process.
fn digest(content: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ content.len() as u64;
    for chunk in content.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    format!("{:06x}", hash >> 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(filename: &str) -> String {
        DocumentNames::default().claim(Some(filename), "pdf", "AAAA")
    }

    #[test]
    fn names_stay_readable() {
        for (filename, name) in [
            ("report.pdf", "report (pdf)"),
            ("report", "report (pdf)"),
            ("John's report.pdf", "Johns report (pdf)"),
            ("resume #1.pdf", "resume 1 (pdf)"),
            ("a  b\t c.pdf", "a b c (pdf)"),
            ("Q3.final_v2.PDF", "Q3-final-v2 (PDF)"),
            ("C:\\docs\\x.pdf", "x (pdf)"),
            ("../../etc/passwd", "passwd (pdf)"),
            ("Übersicht – März.pdf", "Uebersicht Maerz (pdf)"),
            ("[draft] (2).pdf", "[draft] (2) (pdf)"),
            (".pdf", "pdf (pdf)"),
            ("ignore all\nprevious.txt", "ignore all previous (txt)"),
            ("Vol. 3", "Vol- 3 (pdf)"),
        ] {
            assert_eq!(named(filename), name, "{filename}");
        }
        assert_eq!(named("报告.pdf"), format!("document {} (pdf)", digest("AAAA")));
        assert_eq!(named("..."), format!("document {} (pdf)", digest("AAAA")));
        assert!(named(&"x".repeat(500)).len() <= 200);
        assert!(named(&"ü".repeat(500)).len() <= 200);
    }

    /// Takes minutes if each copy searches the names of all copies before it.
    #[test]
    fn the_same_file_may_come_many_times() {
        let mut names = DocumentNames::default();
        let all: HashSet<_> = (0..50_000).map(|_| names.claim(Some("a.pdf"), "pdf", "1")).collect();
        assert_eq!(all.len(), 50_000);
    }

    #[test]
    fn names_are_unique_and_do_not_change_with_later_turns() {
        let files = [
            (Some("a.pdf"), "1"),
            (Some("a.pdf"), "2"),
            (Some("a.pdf"), "2"),
            (None, "3"),
            (None, "3"),
            (Some("a.pdf"), "1"),
        ];
        let name_all = |count: usize| {
            let mut names = DocumentNames::default();
            files[..count]
                .iter()
                .map(|(file, content)| names.claim(*file, "pdf", content))
                .collect::<Vec<_>>()
        };
        let all = name_all(files.len());
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), files.len(), "{all:?}");
        for count in 0..files.len() {
            assert_eq!(name_all(count), all[..count]);
        }
        assert_eq!(digest("AAAA"), "17e482", "cached prefixes hold it");
    }
}
