//! The files of the page: all are embedded, small, and refer only to each other.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use console::{MOST_BYTES, MOST_COMPRESSED, assets, find};
use flate2::read::GzDecoder;

fn listed(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            listed(&path, into);
        } else {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
            into.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn every_file_is_embedded() {
    let mut found = BTreeSet::new();
    listed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"), &mut found);
    let embedded: BTreeSet<_> = assets().iter().map(|asset| asset.path.to_owned()).collect();
    assert_eq!(found, embedded);
    assert_eq!(find("").unwrap().path, "index.html");
    assert!(find("../Cargo.toml").is_none());
}

#[test]
fn the_page_is_small() {
    let raw: usize = assets().iter().map(|asset| asset.bytes.len()).sum();
    let compressed: usize = assets().iter().map(|asset| asset.compressed.len()).sum();
    println!("{raw} bytes, {compressed} with gzip");
    assert!(raw <= MOST_BYTES, "{raw}");
    assert!(compressed <= MOST_COMPRESSED, "{compressed}");
    for asset in assets() {
        let mut plain = Vec::new();
        GzDecoder::new(asset.compressed.as_slice()).read_to_end(&mut plain).unwrap();
        assert!(plain == *asset.bytes, "{}", asset.path);
    }
}

#[test]
fn no_text_of_a_module_has_several_lines() {
    for asset in assets().iter().filter(|asset| asset.path.starts_with("js/")) {
        for line in std::str::from_utf8(&asset.bytes).unwrap().lines() {
            let signs = line.matches('`').count() - line.matches("\\`").count();
            assert!(signs.is_multiple_of(2), "{}: {line}", asset.path);
            assert!(!line.trim_start().starts_with("//"), "{}: {line}", asset.path);
        }
    }
}

#[test]
fn tags_are_of_the_content() {
    let tags: BTreeSet<_> = assets().iter().map(|asset| &asset.tag).collect();
    assert_eq!(tags.len(), assets().len());
    assert_ne!(console::tag(b"a"), console::tag(b"b"));
}

#[test]
fn modules_are_preloaded_and_markup_is_never_parsed() {
    let page = std::str::from_utf8(&find("index.html").unwrap().bytes).unwrap();
    for asset in assets().iter().filter(|asset| asset.path.starts_with("js/")) {
        assert!(page.contains(&format!("\"{}\"", asset.path)), "{} is not preloaded", asset.path);
        let text = std::str::from_utf8(&asset.bytes).unwrap();
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ] {
            assert!(!text.contains(sink), "{}: {sink}", asset.path);
        }
    }
    // No address of elsewhere is loaded: only names of namespaces and examples have a scheme.
    for asset in assets() {
        let text = std::str::from_utf8(&asset.bytes).unwrap();
        for (at, _) in text.match_indices("://") {
            let before = &text[at.saturating_sub(5)..at + 3];
            let after = &text[at + 3..(at + 14).min(text.len())];
            assert!(after.starts_with("www.w3.org"), "{}: {before}{after}", asset.path);
        }
    }
}
