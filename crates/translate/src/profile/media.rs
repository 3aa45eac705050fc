//! Media that a model reads besides text, and their limits.

use serde::{Deserialize, Serialize};

/// A kind of content besides text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// Images.
    Image,
    /// Files that hold text: pdf, office files, plain text.
    Document,
    /// Video clips.
    Video,
    /// Speech or music.
    Audio,
}

impl Medium {
    /// Its name in rows and for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Document => "document",
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// Method that requests citations of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Citations {
    /// Not supported: the model refuses the field.
    Unserved,
    /// By `document.citations`, for PDF and text in the request.
    Native,
}

/// Form in which a model gets search results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchResults {
    /// As text with its source and title.
    Text,
    /// As `searchResult` blocks, which the model can cite.
    Native,
}

/// A set of media, written as a list of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Vec<Medium>", into = "Vec<Medium>")]
pub struct Media(u8);

impl Media {
    /// All media.
    pub const ALL: Self = Self(0b1111);

    const EACH: [Medium; 4] = [Medium::Image, Medium::Document, Medium::Video, Medium::Audio];

    /// The set of these media.
    pub const fn of(media: &[Medium]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < media.len() {
            bits |= Self::bit(media[at]);
            at += 1;
        }
        Self(bits)
    }

    /// Returns whether the set holds this medium.
    pub const fn has(self, medium: Medium) -> bool {
        self.0 & Self::bit(medium) != 0
    }

    const fn bit(medium: Medium) -> u8 {
        1 << medium as u8
    }
}

impl From<Vec<Medium>> for Media {
    fn from(media: Vec<Medium>) -> Self {
        Self::of(&media)
    }
}

impl From<Media> for Vec<Medium> {
    fn from(media: Media) -> Self {
        Media::EACH.into_iter().filter(|medium| media.has(*medium)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_of_names() {
        let media: Media = serde_json::from_str(r#"["audio", "image"]"#).unwrap();
        assert!(media.has(Medium::Audio) && media.has(Medium::Image));
        assert!(!media.has(Medium::Video) && !media.has(Medium::Document));
        assert_eq!(serde_json::to_string(&media).unwrap(), r#"["image","audio"]"#);
        assert_eq!(Media::of(&Media::EACH), Media::ALL);
        assert!(serde_json::from_str::<Media>(r#"["smell"]"#).is_err());
    }
}
