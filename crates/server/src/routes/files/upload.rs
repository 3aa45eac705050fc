//! `POST /v1/files`: a form whose file goes to S3 while it arrives, in parts, so that its length is no matter of
//! memory.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Payload};
use bedrock::Upload;
use translate::Invalid;

use crate::body::{BodyError, BodyPieces, Unread};
use crate::credential::{Identity, identity_of};
use crate::error::{FileRefusal, GatewayError};
use crate::file_store::{FileRecord, FileStore, unix_now};
use crate::form::stream::{FormEvent, FormReader};
use crate::pipeline::Incoming;
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Purposes of OpenAI's API that files are kept for.
const PURPOSES: [&str; 5] = ["batch", "user_data", "vision", "assistants", "evals"];
/// Longest field besides the file, in bytes.
const FIELD: usize = 1024;
/// Longest name of a file that is kept, in characters.
const NAME: usize = 255;
/// Bytes of a form besides its file.
const FRAME: usize = 64 * 1024;
/// Seconds that a file may be kept for.
const SECONDS: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;

/// The fields of the form besides the file.
#[derive(Debug, Default)]
struct Fields {
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
}

/// The file of the form.
struct Receiving {
    record: FileRecord,
    upload: Upload,
}

/// Receives a file and keeps it.
///
/// # Errors
/// The form is not one of a file, or the file cannot be kept; its parts are removed.
pub(super) async fn received(
    worker: &Data<Worker>,
    http: &HttpRequest,
    payload: &mut Payload,
    context: &mut RequestContext,
) -> Result<FileRecord, GatewayError> {
    if matches!(identity_of(http), Some(Identity::Signed(_))) {
        return Err(FileRefusal::Signed.into());
    }
    let admitted = Incoming::list(worker, http).await?.admit(None, context).await?;
    admitted.check_route(http.path())?;
    let (files, now) = (admitted.files()?, admitted.now());
    let declared = http.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let form = FormReader::of(declared.unwrap_or_default())?;
    let longest = now.config.files.max_mib.bytes();
    let pieces = BodyPieces::new(http.headers(), payload, now.config.body, longest + FRAME)?;
    let mut file = None;
    let read = read((form, pieces), &files, &mut file, longest).await;
    let kept = match (read, &mut file) {
        (Ok(fields), Some(_)) => fields.complete(&mut file),
        (Ok(_), None) => {
            Err(missing("file", "The form has no file: send one, curl: -F file=@NAME.").into())
        }
        (Err(error), _) => Err(error),
    };
    let Some(Receiving { mut record, mut upload }) = file else {
        return kept.and(Err(GatewayError::Internal("a file was lost".to_owned())));
    };
    if let Err(error) = kept {
        upload.abort().await;
        return Err(error);
    }
    record.bytes = upload.finish().await.map_err(FileRefusal::from)?;
    files.keep(&record).await?;
    Ok(record)
}

/// Reads the form to its end; its file is being sent on meanwhile.
async fn read(
    (mut form, mut pieces): (FormReader, BodyPieces<'_>),
    files: &FileStore,
    file: &mut Option<Receiving>,
    longest: usize,
) -> Result<Fields, GatewayError> {
    let mut fields = Fields::default();
    // The field that is being read, and its text; none in a file.
    let mut field: Option<(String, String)> = None;
    while let Some(piece) = pieces.next().await? {
        form.push(&piece);
        while let Some(event) = form.next()? {
            match (event, &mut field, &mut *file) {
                (FormEvent::Part { name, filename: Some(filename), content_type }, _, taken) => {
                    if name != "file" || taken.is_some() {
                        let message =
                            format!("The form has a file {name:?}: it takes one, in file.");
                        return Err(Invalid::value("file", message).into());
                    }
                    let filename: String = filename.chars().take(NAME).collect();
                    let mut record = FileRecord::new(filename, String::new());
                    record.content_type = content_type;
                    let upload = files.upload(&record.id);
                    (*taken, field) = (Some(Receiving { record, upload }), None);
                }
                (FormEvent::Part { name, filename: None, .. }, field, _) => {
                    *field = Some((name, String::new()));
                }
                (FormEvent::Content(bytes), Some((name, text)), _) => {
                    if text.len() + bytes.len() > FIELD {
                        let message = format!("The field {name:?} is too long.");
                        return Err(Invalid::value("file", message).into());
                    }
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
                (FormEvent::Content(bytes), None, Some(Receiving { upload, .. })) => {
                    if upload.size() + bytes.len() as u64 > longest as u64 {
                        return Err(too_large(longest));
                    }
                    upload.push(&bytes).await.map_err(FileRefusal::from)?;
                }
                (FormEvent::End, Some(_), _) => {
                    if let Some((name, text)) = field.take() {
                        fields.set(&name, text)?;
                    }
                }
                (FormEvent::Content(_) | FormEvent::End, None, _) => {}
            }
        }
    }
    if !form.is_over() {
        let message = "The form in the request's body cannot be read: its last part is not ended.";
        return Err(Invalid { message: message.into(), param: None, code: "invalid_body" }.into());
    }
    Ok(fields)
}

impl Fields {
    fn set(&mut self, name: &str, text: String) -> Result<(), Invalid> {
        let place = match name {
            "purpose" => &mut self.purpose,
            "expires_after[anchor]" => &mut self.anchor,
            "expires_after[seconds]" => &mut self.seconds,
            "file" => {
                return Err(Invalid::value(
                    "file",
                    "file is a field, and must be a file with a name.",
                ));
            }
            other => {
                let message = format!("The form has an unknown field {other:?}.");
                return Err(Invalid::value("file", message));
            }
        };
        *place = Some(text);
        Ok(())
    }

    /// Adds purpose and end to the record.
    fn complete(self, file: &mut Option<Receiving>) -> Result<(), GatewayError> {
        let Some(Receiving { record, .. }) = file else { return Ok(()) };
        let known = PURPOSES.join(", ");
        let Some(purpose) = self.purpose else {
            return Err(missing("purpose", format!("purpose is missing: {known}.")).into());
        };
        if !PURPOSES.contains(&purpose.as_str()) {
            let message = format!("Files are not kept for {purpose:?} here, but for {known}.");
            return Err(Invalid::value("purpose", message).into());
        }
        record.purpose = purpose;
        match (self.anchor.as_deref(), self.seconds) {
            (None, None) => Ok(()),
            (Some("created_at"), Some(seconds)) => {
                let seconds = seconds.parse().ok().filter(|seconds| SECONDS.contains(seconds));
                let message = "expires_after.seconds must be from 3600 to 2592000.";
                let seconds: u64 =
                    seconds.ok_or_else(|| Invalid::value("expires_after", message))?;
                record.expires_at = Some(unix_now() + seconds);
                Ok(())
            }
            (_, _) => {
                let message = "expires_after has the anchor created_at and a number of seconds.";
                Err(Invalid::value("expires_after", message).into())
            }
        }
    }
}

fn too_large(longest: usize) -> GatewayError {
    Unread::of(BodyError::TooLarge(longest)).into()
}

fn missing(param: &str, message: impl Into<std::borrow::Cow<'static, str>>) -> Invalid {
    Invalid::value(param, message).with_code("missing_required_parameter")
}
