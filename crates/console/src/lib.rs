//! The files of the operator's page. They are plain HTML, CSS and JavaScript modules, embedded as they are, without a
//! build step, and the page loads nothing from elsewhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use flate2::Compression;
use flate2::write::GzEncoder;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Largest sum of all files, in bytes.
pub const MOST_BYTES: usize = 150 * 1024;
/// Largest sum of all files with gzip, in bytes.
pub const MOST_COMPRESSED: usize = 45 * 1024;

macro_rules! files {
    ($($path:literal: $kind:expr),* $(,)?) => {
        const FILES: &[(&str, &str, &[u8])] =
            &[$(($path, $kind, include_bytes!(concat!("../assets/", $path)))),*];
    };
}

files! {
    "index.html": HTML,
    "style.css": CSS,
    "favicon.svg": SVG,
    "js/main.js": SCRIPT,
    "js/api.js": SCRIPT,
    "js/chart.js": SCRIPT,
    "js/dom.js": SCRIPT,
    "js/format.js": SCRIPT,
    "js/range.js": SCRIPT,
    "js/surfaces.js": SCRIPT,
    "js/texts.js": SCRIPT,
    "js/pages/overview.js": SCRIPT,
    "js/pages/keys.js": SCRIPT,
    "js/pages/key_dialogs.js": SCRIPT,
    "js/pages/records.js": SCRIPT,
    "js/pages/models.js": SCRIPT,
    "js/pages/requests.js": SCRIPT,
    "js/pages/playground.js": SCRIPT,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    FILES.iter().map(|(path, kind, bytes)| Asset::new((path, kind), bytes)).collect()
});

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    /// Its path below that of the page.
    pub path: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes. Modules are without the lines that are comments alone, which are for those who read the source.
    pub bytes: Cow<'static, [u8]>,
    /// The same with gzip.
    pub compressed: Vec<u8>,
    /// Its entity tag, from its content.
    pub tag: String,
}

impl Asset {
    fn new((path, kind): (&'static str, &'static str), bytes: &'static [u8]) -> Self {
        let bytes = match kind {
            SCRIPT => Cow::Owned(without_comments(bytes)),
            _ => Cow::Borrowed(bytes),
        };
        Self { path, kind, compressed: gzip(&bytes), tag: tag(&bytes), bytes }
    }
}

/// All files.
pub fn assets() -> &'static [Asset] {
    &ASSETS
}

/// The file of a path below that of the page; the empty path is the page itself.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if path.is_empty() { "index.html" } else { path };
    ASSETS.iter().find(|asset| asset.path == path)
}

/// The entity tag of a content.
pub fn tag(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut tag = String::from("\"");
    for byte in digest.as_ref().iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// A module without the lines that hold nothing but a comment. Modules have no text of several lines in which such a line
/// could stand.
fn without_comments(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut is_within = false;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        let end = text.windows(2).position(|two| two == b"*/");
        let begins = !is_within && text.starts_with(b"/*");
        // Code may follow a comment in its line.
        let is_alone = end.is_none_or(|end| end + 2 == text.len());
        let is_comment = is_within || text.starts_with(b"//") || (begins && is_alone);
        if !is_comment {
            kept.extend_from_slice(line);
        }
        is_within = (is_within || begins) && end.is_none();
    }
    kept
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::best());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_comments_are_left_out() {
        for (module, expected) in [
            ("// a\nlet a = 1; // b\n", "let a = 1; // b\n"),
            ("/** @param {A} a */\nf(a);\n", "f(a);\n"),
            ("/** @type {A} */ (a).b();\n", "/** @type {A} */ (a).b();\n"),
            ("/* a */ b(); /* c */\n", "/* a */ b(); /* c */\n"),
            ("/**\n * a\n * // b\n */\nc();\n", "c();\n"),
            ("f();\n\n  // a\n", "f();\n\n"),
        ] {
            assert_eq!(without_comments(module.as_bytes()), expected.as_bytes(), "{module}");
        }
    }
}
