//! Formats detected from bytes, names and media types.

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
        (b"\0\0\0\x14ftypqt  \0", "mov"),
        (b"\0\0\0\x14ftyp3gp5\0", "three_gp"),
        (b"FLV\x01\x05", "flv"),
        (b"\0\0\x01\xba\x44", "mpeg"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"),
        (b"PK\x03\x04....word/document.xml", "docx"),
        (b"PK\x03\x04....xl/workbook.xml", "xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "doc"),
    ] {
        assert_eq!(found(bytes, lying), Some(format), "{bytes:?}");
    }
    let lying = Claims { mime: Some("application/pdf"), ..lying };
    for (bytes, format) in [
        (b"\0\0\0\x20ftypisom\0".as_slice(), "mp4"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska", "mkv"),
    ] {
        assert_eq!(found(bytes, lying), Some(format), "{bytes:?}");
    }
}

#[test]
fn containers_are_read_by_the_medium_of_the_part() {
    let audio = Claims { medium: Some(Medium::Audio), ..Claims::default() };
    assert_eq!(
        of_data(&STANDARD.encode(b"\0\0\0\x20ftypisom\0\0\0"), audio).unwrap(),
        MediaFormat { medium: Medium::Audio, name: "mp4" }
    );
    let matroska = b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska";
    assert_eq!(found(matroska, audio), Some("mka"));
    let mime = Claims { mime: Some("audio/webm"), ..Claims::default() };
    assert_eq!(
        of_data(&STANDARD.encode(b"\x1a\x45\xdf\xa3..webm"), mime).unwrap(),
        MediaFormat { medium: Medium::Audio, name: "webm" }
    );
}

#[test]
fn office_files_are_distinguished_by_name_or_by_their_last_bytes() {
    let zip = |inner: &[u8]| [b"PK\x03\x04".as_slice(), &[0; 20_000], inner, &[0; 50]].concat();
    assert_eq!(found(&zip(b"xl/worksheets/sheet1.xml"), Claims::default()), Some("xlsx"));
    assert_eq!(found(&zip(b"META-INF/"), Claims::default()), None);
    let named = |name| Claims { name: Some(name), ..Claims::default() };
    assert_eq!(found(&zip(b"META-INF/"), named("a.docx")), Some("docx"));
    assert_eq!(found(&zip(b"META-INF/"), named("a.zip")), None);
    assert_eq!(found(b"\xd0\xcf\x11\xe0", named("a.XLS")), Some("xls"));
}

#[test]
fn text_has_the_format_of_its_name_or_is_plain() {
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
fn text_of_older_programs_is_text() {
    let named = |name| Claims { name: Some(name), ..Claims::default() };
    for bytes in [
        b"Stra\xdfe;Preis\nH\xf6he;1\x80\n".as_slice(),
        b"\xff\xfea\0,\0b\0",
        b"\xfe\xff\0a\0,\0b",
        b"a,b\r\n1,2\r\n\x1a",
    ] {
        assert_eq!(found(bytes, named("a.csv")), Some("csv"), "{bytes:?}");
    }
    // Without a label, bytes beyond ASCII may be binary.
    assert_eq!(found(b"H\xf6he", Claims::default()), None);
    assert_eq!(found(b"\xff\xfea\0", Claims::default()), Some("txt"));
    assert_eq!(decoded(b"H\xf6he".to_vec()), "Höhe");
    assert_eq!(decoded(b"\xff\xfeH\0\xf6\0".to_vec()), "Hö");
    assert_eq!(decoded("Höhe".into()), "Höhe");
}

#[test]
fn a_pdf_may_have_lines_before_it() {
    let named = |name| Claims { name: Some(name), ..Claims::default() };
    let late = [b"X-Mail: 1\r\n\r\n%PDF-1.4\n%".as_slice(), b"\xe2\xe3\n"].concat();
    assert_eq!(found(&late, Claims::default()), Some("pdf"));
    assert_eq!(found(b"\n%PDF-1.4\n", named("a.pdf")), Some("pdf"));
    assert_eq!(found(b"A file begins with %PDF-1.4", named("a.md")), Some("md"));
    assert_eq!(found(&[&[b' '; 1100], late.as_slice()].concat(), Claims::default()), None);
}

#[test]
fn pictures_in_the_container_of_videos_are_no_videos() {
    let image = Claims { medium: Some(Medium::Image), ..Claims::default() };
    for brand in ["heic", "heix", "hevc", "mif1", "msf1", "avif", "avis"] {
        let bytes = format!("\0\0\0\x18ftyp{brand}\0\0\0\0");
        assert_eq!(found(bytes.as_bytes(), image), None, "{brand}");
        assert_eq!(found(bytes.as_bytes(), Claims::default()), None, "{brand}");
    }
    for bytes in [b"\0\0\0\x20ftypcrx \0".as_slice(), b"ID3\x04", b"OggS\0\0"] {
        assert_eq!(found(bytes, image), None);
    }
    let clips = [
        (b"\0\0\0\x20ftypisom\0".as_slice(), "mp4"),
        (b"\0\0\0\x14ftypqt  \0", "mov"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm", "webm"),
    ];
    for said in
        [Claims { mime: Some("Image/png"), ..image }, Claims { mime: Some("image/avif"), ..image }]
    {
        for (clip, _) in clips {
            assert_eq!(found(clip, said), None);
        }
    }
    // A clip in an image part without an image label is a clip, fetched or sent.
    for said in [image, Claims { mime: Some("video/mp4"), ..image }] {
        for (clip, name) in clips {
            let clip_of = |format: MediaFormat| (format.medium, format.name);
            assert_eq!(
                of_data(&STANDARD.encode(clip), said).map(clip_of),
                Some((Medium::Video, name))
            );
            assert_eq!(of_fetched(clip, image).map(clip_of), Some((Medium::Video, name)));
        }
    }
    let called = Claims { mime: Some("VIDEO/mp4"), ..image };
    assert_eq!(found(b"\0\0\0\x20ftypnew9\0", called), Some("mp4"));
}

#[test]
fn unknown_bytes_have_the_claimed_format() {
    let named = |name| Claims { name: Some(name), ..Claims::default() };
    let typed = |mime| Claims { mime: Some(mime), ..Claims::default() };
    let unknown = b"\x00\x07\x9c\xfe\x01\x80".as_slice();
    for (claims, format) in [
        (named("a.pdf"), Some("pdf")),
        (named("a.docx"), Some("docx")),
        (typed("application/vnd.ms-excel"), Some("xls")),
        (Claims { format: Some("application/pdf"), ..Claims::default() }, Some("pdf")),
        (Claims { mime: Some("application/octet-stream"), ..named("a.xlsx") }, Some("xlsx")),
        (Claims { medium: Some(Medium::Image), ..typed("application/pdf") }, Some("pdf")),
        (typed("application/octet-stream"), None),
        (named("a.exe"), None),
        (Claims::default(), None),
    ] {
        assert_eq!(found(unknown, claims), format, "{claims:?}");
    }
    let encrypted = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
    assert_eq!(found(encrypted, named("a.xlsx")), Some("xlsx"));
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    assert_eq!(found(encrypted, typed(docx)), Some("docx"));
    let lines = b"X-Scanner: ok\r\n".repeat(400);
    let late = [lines.as_slice(), b"%PDF-1.4\n%\xe2\xe3\n"].concat();
    assert_eq!(found(&late, named("a.pdf")), Some("pdf"));
    assert_eq!(found(&late, named("a.log")), Some("txt"));
    // Labels of fetched files are not trusted.
    assert_eq!(of_fetched(unknown, named("https://e.com/a.pdf")), None);
}

#[test]
fn fetched_files_are_detected_by_their_bytes_only() {
    let of = |bytes: &[u8], medium, name| {
        let claims = Claims { medium, name: Some(name), ..Claims::default() };
        of_fetched(bytes, claims).map(|format| format.name)
    };
    let png = b"\x89PNG\r\n\x1a\n";
    assert_eq!(of(png, Some(Medium::Image), "https://e.com/a.jpg"), Some("png"));
    assert_eq!(of(png, None, "https://e.com/a.pdf"), Some("png"));
    assert_eq!(of(b"%PDF-1.4", Some(Medium::Image), "https://e.com/a.png"), None);
    assert_eq!(of(png, Some(Medium::Video), "https://e.com/a.mp4"), None);
    for (medium, url) in
        [(Medium::Image, "a.png"), (Medium::Video, "a.mp4"), (Medium::Audio, "a.pcm")]
    {
        assert_eq!(of(b"{\"secret\": 1}", Some(medium), url), None, "{url}");
    }
    assert_eq!(of(b"a,b", None, "https://e.com/a.csv?x=1"), Some("csv"));
    assert_eq!(of(b"a,b", None, "https://e.com/a.png"), Some("txt"));
    assert_eq!(of(b"\0\x01", None, "https://e.com/a.csv"), None);
}

#[test]
fn unknown_bytes_without_a_claim_have_no_format() {
    for bytes in [b"\0\0\0\0".as_slice(), b"\x7fELF\x02", b"MZ\x90\0", &[0xfe, 0xff, 0, 1]] {
        assert_eq!(found(bytes, Claims { name: Some("a.out"), ..Claims::default() }), None);
    }
    assert_eq!(found(b"\0\0\0", Claims { mime: Some("image/svg+xml"), ..Claims::default() }), None);
}
