//! Formats told from bytes, names and media types.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

use super::*;

fn found(bytes: &[u8], claims: Claims<'_>) -> Option<&'static str> {
    of_data(&STANDARD.encode(bytes), claims).map(|format| format.name)
}

#[test]
fn bytes_beat_names() {
    let lying = Claims { mime: Some("image/jpeg"), name: Some("x.csv"), ..Claims::default() };
    for (bytes, format) in [
        (b"\x89PNG\r\n\x1a\n".as_slice(), "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"%PDF-1.7\n%\xe2\xe3", "pdf"),
        (b"ID3\x04\0\0", "mp3"),
        (b"\xff\xfb\x90\0", "mp3"),
        (b"fLaC\0\0", "flac"),
        (b"OggS\0\0", "ogg"),
        (b"\0\0\0\x20ftypM4A \0", "m4a"),
        (b"\0\0\0\x20ftypisom\0", "mp4"),
        (b"\0\0\0\x14ftypqt  \0", "mov"),
        (b"\0\0\0\x14ftyp3gp5\0", "three_gp"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska", "mkv"),
        (b"FLV\x01\x05", "flv"),
        (b"\0\0\x01\xba\x44", "mpeg"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"),
        (b"PK\x03\x04....word/document.xml", "docx"),
        (b"PK\x03\x04....xl/workbook.xml", "xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "doc"),
    ] {
        assert_eq!(found(bytes, lying), Some(format), "{bytes:?}");
    }
}

#[test]
fn containers_hold_what_the_part_is_for() {
    let audio = Claims { medium: Some(Medium::Audio), ..Claims::default() };
    assert_eq!(
        of_data(&STANDARD.encode(b"\0\0\0\x20ftypisom\0\0\0"), audio).unwrap(),
        Format { medium: Medium::Audio, name: "mp4" }
    );
    let matroska = b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska";
    assert_eq!(found(matroska, audio), Some("mka"));
    let mime = Claims { mime: Some("audio/webm"), ..Claims::default() };
    assert_eq!(
        of_data(&STANDARD.encode(b"\x1a\x45\xdf\xa3..webm"), mime).unwrap(),
        Format { medium: Medium::Audio, name: "webm" }
    );
}

#[test]
fn office_files_are_told_apart_by_name_or_by_what_lies_at_their_end() {
    let zip = |inner: &[u8]| [b"PK\x03\x04".as_slice(), &[0; 20_000], inner, &[0; 50]].concat();
    assert_eq!(found(&zip(b"xl/worksheets/sheet1.xml"), Claims::default()), Some("xlsx"));
    assert_eq!(found(&zip(b"META-INF/"), Claims::default()), None);
    let named = |name| Claims { name: Some(name), ..Claims::default() };
    assert_eq!(found(&zip(b"META-INF/"), named("a.docx")), Some("docx"));
    assert_eq!(found(&zip(b"META-INF/"), named("a.zip")), None);
    assert_eq!(found(b"\xd0\xcf\x11\xe0", named("a.XLS")), Some("xls"));
}

#[test]
fn text_is_what_its_name_says_else_plain() {
    let named = |name| Claims { name: Some(name), ..Claims::default() };
    let plain = |name| Claims { name: Some(name), mime: Some("text/plain"), ..Claims::default() };
    for (claims, format) in [
        (named("a.csv"), Some("csv")),
        (named("a.md"), Some("md")),
        (plain("a.md"), Some("md")),
        (named("a.rs"), Some("txt")),
        (named("a.pdf"), Some("txt")),
        (Claims { mime: Some("text/csv"), ..Claims::default() }, Some("csv")),
        (Claims { mime: Some("text/x-python; charset=utf-8"), ..Claims::default() }, Some("txt")),
        (Claims { mime: Some("application/octet-stream"), ..named("a.html") }, Some("html")),
        (Claims { format: Some("text/markdown"), ..Claims::default() }, Some("md")),
        (Claims { mime: Some("application/pdf"), ..named("a.md") }, Some("md")),
        (Claims::default(), Some("txt")),
    ] {
        assert_eq!(found("a,b\nü,ö".as_bytes(), claims), format, "{claims:?}");
    }
    assert_eq!(found(b"\n<!DOCTYPE HTML><p>", Claims::default()), Some("html"));
    let long = format!("{}ü", "x".repeat(3071));
    assert_eq!(found(long.as_bytes(), Claims::default()), Some("txt"), "cut inside a letter");
}

#[test]
fn what_is_neither_known_nor_text_is_unknown() {
    for bytes in [b"\0\0\0\0".as_slice(), b"\x7fELF\x02", b"MZ\x90\0", &[0xfe, 0xff, 0, 65]] {
        assert_eq!(found(bytes, Claims { name: Some("a.txt"), ..Claims::default() }), None);
    }
    assert_eq!(found(b"\0\0\0", Claims { mime: Some("image/svg+xml"), ..Claims::default() }), None);
}
