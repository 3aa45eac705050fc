//! The length of a page that a list's query names.

use translate::Invalid;

/// The entries of a page: what the query says, or the usual number.
///
/// # Errors
/// It is no number from 1 to `most`.
pub(in crate::routes) fn of(
    query: Option<&str>,
    usual: usize,
    most: usize,
) -> Result<usize, Invalid> {
    match query.map(str::parse) {
        None => Ok(usual),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(Invalid::value("limit", format!("limit must be from 1 to {most}."))),
    }
}
