//! Errors of the store of files.

use bedrock::{Failure, status_of};

use super::{INVALID, Rendered, SERVER, UNAVAILABLE};

/// The reason why files cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileRefusal {
    /// The operator names no bucket.
    #[error("files.bucket is not set")]
    NoBucket,
    /// The bytes that were asked for are not in the file.
    #[error("the range is not within the file")]
    Range,
    /// S3 did not do what it was asked.
    #[error("S3: {0}")]
    Storage(Failure),
    /// The form of an upload came by a signature, which covers a whole body.
    #[error("an upload was signed")]
    Signed,
}

impl From<Failure> for FileRefusal {
    fn from(failure: Failure) -> Self {
        match status_of(&failure) {
            Some(416) => Self::Range,
            Some(_) | None => Self::Storage(failure),
        }
    }
}

pub(super) fn rendered(refusal: &FileRefusal) -> Rendered {
    match refusal {
        FileRefusal::NoBucket => Rendered::new(
            400,
            INVALID,
            Some("files_not_configured"),
            "This gateway keeps no files: its operator names a bucket of S3 in files.bucket.",
        ),
        FileRefusal::Range => Rendered::new(
            416,
            INVALID,
            Some("range_not_satisfiable"),
            "The header range asks for bytes that the file does not have.",
        ),
        FileRefusal::Signed => Rendered::new(
            400,
            INVALID,
            Some("unsupported_authentication"),
            "Files are sent with a key in the header authorization, not with a signature.",
        ),
        FileRefusal::Storage(failure) => storage(failure),
    }
}

fn storage(failure: &Failure) -> Rendered {
    match (failure, status_of(failure)) {
        (_, Some(403 | 404 | 301)) => Rendered {
            in_vain: true,
            ..Rendered::new(
                502,
                SERVER,
                Some("files_unavailable"),
                "The gateway may not use its bucket, or it is in another region; its log has the cause under the request id. Its operator checks files.bucket, files.region and the role's permissions for S3.",
            )
        },
        (Failure::Credentials(_), _) => super::entry::no_credentials(),
        _ => Rendered::new(
            503,
            UNAVAILABLE,
            Some("files_unavailable"),
            "The gateway's store of files did not answer; try again shortly.",
        )
        .after(1),
    }
}
