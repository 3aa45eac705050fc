//! The number of images in an answer of InvokeModel, counted as its bytes pass: bodies with images are too large to keep.

/// The member that lists images, at the top of the answers of all image models.
const MEMBER: &[u8] = b"images";

/// Counts the texts of the array `images`.
#[derive(Debug, Default)]
pub(crate) struct ImageCount {
    depth: usize,
    place: Place,
    /// The last text at the top level, as far as it may be the member's name.
    name: Vec<u8>,
    is_named: bool,
    count: u64,
}

/// The place within the JSON text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Between,
    Text,
    /// Behind a backslash.
    Escape,
}

impl ImageCount {
    /// Reads a piece.
    pub(crate) fn see(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            match self.place {
                Place::Escape => self.place = Place::Text,
                Place::Text => {
                    // Images are long texts without escapes.
                    let end = memchr::memchr2(b'"', b'\\', rest);
                    if byte == b'"' {
                        self.place = Place::Between;
                    } else if byte == b'\\' {
                        self.place = Place::Escape;
                    } else {
                        let end = end.unwrap_or(rest.len());
                        if self.depth == 1 && self.name.len() <= MEMBER.len() {
                            self.name.push(byte);
                            let room = (MEMBER.len() + 1).saturating_sub(self.name.len());
                            self.name.extend_from_slice(&rest[..end.min(room)]);
                        }
                        rest = &rest[end..];
                    }
                }
                Place::Between => self.token(byte),
            }
        }
    }

    /// The images so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    fn token(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.place = Place::Text;
                if self.depth == 1 {
                    self.name.clear();
                } else if self.depth == 2 && self.is_named {
                    self.count += 1;
                }
            }
            b'{' | b'[' => {
                self.is_named = self.depth == 1 && byte == b'[' && self.name == MEMBER;
                self.depth += 1;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted_however_the_body_is_cut() {
        let image = "iVBORw0KGgo".repeat(50);
        for (body, expected) in [
            (format!(r#"{{"images":["{image}","{image}"],"error":null}}"#), 2),
            (format!(r#"{{"error": "\"images\":[\"x\"]", "images" : [ "{image}" ] }}"#), 1),
            (format!(r#"{{"seeds":["1"],"finish_reasons":[null],"images":["{image}"]}}"#), 1),
            (format!(r#"{{"result":{{"images":["{image}"]}}}}"#), 0),
            (r#"{"images":[],"error":"blocked"}"#.to_owned(), 0),
            ("no JSON".to_owned(), 0),
        ] {
            for size in [1, 3, 100, body.len()] {
                let mut images = ImageCount::default();
                body.as_bytes().chunks(size).for_each(|piece| images.see(piece));
                assert_eq!(images.count(), expected, "{size} {}", &body[..40.min(body.len())]);
            }
        }
    }
}
