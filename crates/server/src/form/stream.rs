//! A form read piece by piece: a file in it may be longer than memory has room for.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;
use translate::Invalid;

use super::{BLANK_LINE, HEADERS, PARTS, broken, parameter, part};

/// A step of reading a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FormEvent {
    /// A part begins. One without a name of a file is a field.
    Part {
        /// The name of the field.
        name: String,
        /// The name of the file.
        filename: Option<String>,
        /// The declared type.
        content_type: Option<String>,
    },
    /// Bytes of the present part.
    Content(Bytes),
    /// The present part is complete.
    End,
}

/// The position in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary.
    Boundary,
    /// In the headers of a part.
    Headers,
    /// In its content.
    Content,
    /// Behind the last boundary.
    Epilogue,
}

/// A form that is pushed in pieces, and read event by event.
#[derive(Debug)]
pub(crate) struct FormReader {
    /// A line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    pending: BytesMut,
    place: Place,
    parts: usize,
}

impl FormReader {
    /// A reader for a form of this content type.
    ///
    /// # Errors
    /// It names no boundary.
    pub(crate) fn of(content_type: &str) -> Result<Self, Invalid> {
        let boundary = parameter(content_type, "boundary").filter(|it| !it.is_empty());
        let boundary = boundary.ok_or_else(|| broken("its content type names no boundary"))?;
        // The first boundary is read as one after a line break.
        let pending = BytesMut::from(&b"\r\n"[..]);
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Ok(Self { delimiter, pending, place: Place::Preamble, parts: 0 })
    }

    /// Adds a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.place != Place::Epilogue {
            self.pending.extend_from_slice(piece);
        }
    }

    /// The next event; absent until there are more pieces.
    ///
    /// # Errors
    /// The form cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<FormEvent>, Invalid> {
        loop {
            match self.place {
                Place::Epilogue => return Ok(None),
                Place::Preamble => {
                    let Some(at) = memmem::find(&self.pending, &self.delimiter) else {
                        if self.pending.len() > HEADERS {
                            return Err(broken("its boundary does not begin it"));
                        }
                        return Ok(None);
                    };
                    self.pending.advance(at + self.delimiter.len());
                    self.place = Place::Boundary;
                }
                Place::Boundary => match self.pending.get(..2) {
                    None => return Ok(None),
                    Some(b"--") => {
                        self.place = Place::Epilogue;
                        self.pending.clear();
                    }
                    // The line break stays: headers end with a blank line even where there are none.
                    Some(_) => self.place = Place::Headers,
                },
                Place::Headers => {
                    let Some(at) = memmem::find(&self.pending, BLANK_LINE) else {
                        if self.pending.len() > HEADERS {
                            return Err(broken("a part has no headers"));
                        }
                        return Ok(None);
                    };
                    let head = self.pending.split_to(at + BLANK_LINE.len());
                    return self.begun(&head).map(Some);
                }
                Place::Content => return Ok(self.content()),
            }
        }
    }

    /// Whether the last boundary was read.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::Epilogue
    }

    fn begun(&mut self, head: &[u8]) -> Result<FormEvent, Invalid> {
        self.parts += 1;
        if self.parts > PARTS {
            return Err(broken("it has too many parts"));
        }
        let begun = part(head.strip_prefix(b"\r\n").unwrap_or(head))?;
        self.place = Place::Content;
        Ok(FormEvent::Part {
            name: begun.name.into_owned(),
            filename: begun.filename.map(std::borrow::Cow::into_owned),
            content_type: begun.content_type.map(ToOwned::to_owned),
        })
    }

    /// Content up to the next boundary, or as far as no boundary can begin in it.
    fn content(&mut self) -> Option<FormEvent> {
        match memmem::find(&self.pending, &self.delimiter) {
            Some(0) => {
                self.pending.advance(self.delimiter.len());
                self.place = Place::Boundary;
                Some(FormEvent::End)
            }
            Some(at) => Some(FormEvent::Content(self.pending.split_to(at).freeze())),
            None => {
                let sure = self.pending.len().saturating_sub(self.delimiter.len() - 1);
                (sure > 0).then(|| FormEvent::Content(self.pending.split_to(sure).freeze()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--B\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: text/x\r\n\r\n\
        one\r\n--A\r\n-\r\n--B--\r\nrest";

    /// The parts of a form that comes in pieces of this length.
    fn read(form: &str, length: usize) -> Result<Vec<(String, Option<String>, String)>, Invalid> {
        let mut reader = FormReader::of("multipart/form-data; boundary=B")?;
        let (mut parts, mut open) = (Vec::new(), None);
        for piece in form.as_bytes().chunks(length) {
            reader.push(piece);
            while let Some(event) = reader.next()? {
                match event {
                    FormEvent::Part { name, filename, content_type: _ } => {
                        open = Some((name, filename, String::new()));
                    }
                    FormEvent::Content(bytes) => {
                        let (_, _, content) = open.as_mut().unwrap();
                        content.push_str(std::str::from_utf8(&bytes).unwrap());
                    }
                    FormEvent::End => parts.push(open.take().unwrap()),
                }
            }
        }
        assert_eq!(reader.is_over(), form.contains("--B--"));
        Ok(parts)
    }

    #[test]
    fn any_pieces_give_the_same_parts() {
        let expected = vec![
            ("purpose".to_owned(), None, "batch".to_owned()),
            ("file".to_owned(), Some("a.jsonl".to_owned()), "one\r\n--A\r\n-".to_owned()),
        ];
        for length in 1..FORM.len() {
            assert_eq!(read(FORM, length).unwrap(), expected, "in pieces of {length}");
        }
        assert_eq!(read(&format!("preamble\r\n{FORM}"), 3).unwrap(), expected);
        assert!(read("--B--", 1).unwrap().is_empty());
    }

    #[test]
    fn a_form_that_cannot_be_read_is_refused() {
        let long = "x".repeat(HEADERS + 10);
        let nameless = "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--";
        let headless = format!("--B\r\n{long}");
        for form in [long.as_str(), nameless, &headless] {
            assert_eq!(read(form, 64).unwrap_err().code, "invalid_body");
        }
        assert!(FormReader::of("multipart/form-data").is_err());
    }
}
