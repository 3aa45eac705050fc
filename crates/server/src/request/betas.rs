//! Betas that a caller requests by header, as clients of Anthropic's API do.

use actix_web::http::header::{HeaderMap, HeaderName};
use schema::converse::request::ConverseRequest;
use translate::{Invalid, Profile, Report, add_betas};

static HEADER: HeaderName = HeaderName::from_static("anthropic-beta");

/// Reads the names in all headers of that name, each of which may hold several.
///
/// # Errors
/// A header that is not text.
pub(crate) fn of(headers: &HeaderMap) -> Result<Vec<String>, Invalid> {
    let mut names = Vec::new();
    for value in headers.get_all(&HEADER) {
        let text = value.to_str().map_err(|_| {
            Invalid::value(
                HEADER.as_str(),
                format!("The header {HEADER} is names with commas between."),
            )
        })?;
        names.extend(
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        );
    }
    Ok(names)
}

/// Adds the betas that the model supports to a body; the others are reported.
pub(crate) fn apply(
    names: &[String],
    body: &mut ConverseRequest<'_>,
    profile: &Profile,
    report: &mut Report,
) {
    add_betas(body, names, HEADER.as_str(), profile, report);
}
