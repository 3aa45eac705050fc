//! The models in Anthropic's shape, for its clients: pages with a name for people and a date.

use access::UtcTime;
use actix_web::HttpRequest;
use actix_web::web::Query;
use schema::anthropic::models::{ModelInfo, ModelPage};
use schema::openai::models::Model;
use serde::Deserialize;

/// Most models of one page.
const LARGEST_PAGE: usize = 1000;

/// The part of the list that is asked for. A page without a limit has every model, because clients that
/// show a choice read only one page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
}

impl Page {
    /// The part that a request asks for. Other parameters are not read.
    pub(super) fn of(http: &HttpRequest) -> Self {
        Query::from_query(http.query_string()).map(Query::into_inner).unwrap_or_default()
    }

    /// The models of this part, in their order.
    pub(super) fn cut(&self, models: Vec<Model>) -> ModelPage {
        let place = |id: &Option<String>| {
            id.as_ref().and_then(|id| models.iter().position(|model| model.id == *id))
        };
        let limit = self.limit.unwrap_or(LARGEST_PAGE).clamp(1, LARGEST_PAGE);
        let (mut from, mut to) = (0, models.len());
        if let Some(before) = place(&self.before_id) {
            (from, to) = (before.saturating_sub(limit), before);
        } else if let Some(after) = place(&self.after_id) {
            from = after + 1;
        }
        to = to.min(from.saturating_add(limit));
        let has_more = match self.before_id {
            Some(_) => from > 0,
            None => to < models.len(),
        };
        let data: Vec<ModelInfo> = models
            .into_iter()
            .skip(from)
            .take(to.saturating_sub(from))
            .map(|model| info(model.id, model.created))
            .collect();
        let id_of = |model: Option<&ModelInfo>| model.map(|model| model.id.clone());
        let (first_id, last_id) = (id_of(data.first()), id_of(data.last()));
        ModelPage { data, has_more, first_id, last_id }
    }
}

/// A model by its id and the Unix seconds of its beginning.
pub(super) fn info(id: String, created: i64) -> ModelInfo {
    let created_at = UtcTime::from_millis(created.saturating_mul(1000)).to_string();
    ModelInfo { kind: "model", display_name: display_name(&id), id, created_at }
}

/// The name for people that an id tells: `Claude Sonnet 4.5` of
/// `anthropic.claude-sonnet-4-5-20250929-v1:0`.
pub(super) fn display_name(id: &str) -> String {
    let name = id.rsplit_once('/').map_or(id, |(_, name)| name);
    let name = name.rsplit_once('.').filter(|(_, rest)| rest.starts_with(char::is_alphabetic));
    let name = name.map_or(id, |(_, name)| name);
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let mut words: Vec<String> = Vec::new();
    let mut is_number = false;
    for word in name.split('-').filter(|word| !word.is_empty()) {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_version = word.strip_prefix('v').is_some_and(|rest| rest.parse::<u8>().is_ok());
        if is_version || (digits && word.len() >= 6) {
            continue;
        }
        match words.last_mut().filter(|_| digits && is_number) {
            Some(before) => {
                before.push('.');
                before.push_str(word);
            }
            None => words.push(capitalised(word)),
        }
        is_number = digits;
    }
    if words.is_empty() { id.to_owned() } else { words.join(" ") }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_people_are_told_by_ids() {
        for (id, name) in [
            ("claude-sonnet-4-5", "Claude Sonnet 4.5"),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5"),
            ("us.anthropic.claude-opus-4-20250514-v1:0", "Claude Opus 4"),
            ("anthropic.claude-opus-4-6-v1", "Claude Opus 4.6"),
            ("amazon.nova-2-lite-v1:0", "Nova 2 Lite"),
            ("mistral.mistral-large-3", "Mistral Large 3"),
            ("fast", "Fast"),
            ("-", "-"),
        ] {
            assert_eq!(display_name(id), name, "{id}");
        }
    }

    #[test]
    fn dates_are_written_as_anthropic_does() {
        assert_eq!(info("a".to_owned(), 1_759_104_000).created_at, "2025-09-29T00:00:00Z");
    }
}
