//! Cache marks of a request in the model's own body, by the rules of cache points: four at most, long
//! lifetimes before short ones, and none where the model or the operator takes none.

use std::collections::VecDeque;

use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::content::{BlockKind, CacheControl, Content};
use schema::anthropic::object::RawObject;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::Report;
use crate::parts::cache::are_taken;
use crate::profile::{CacheTtls, Profile};

/// Most marks in one request.
const MOST: usize = 4;
const MEMBER: &str = "cache_control";

/// A section of a prompt, in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Tools,
    System,
    Messages,
}

/// The treatment of one mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkChange {
    /// It stays as it is.
    None,
    /// It is removed.
    Removed,
    /// It is written anew, with an hour's lifetime or the usual one.
    Rewritten { is_hour: bool },
}

/// The treatment of every mark, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Marks {
    changes: VecDeque<MarkChange>,
    /// The mark on the whole request, which goes to the end of its last message.
    pub(super) whole: Option<MarkChange>,
    /// The request has no mark.
    pub(super) is_unmarked: bool,
}

impl Marks {
    pub(super) fn of(
        request: &MessagesRequest<'_>,
        profile: &Profile,
        report: &mut Report,
    ) -> Self {
        let mut found: Vec<(Section, &CacheControl<'_>)> = Vec::new();
        let tools = request.tools.iter().flatten();
        found.extend(
            tools.filter_map(|tool| Some((Section::Tools, tool.members.cache_control.as_ref()?))),
        );
        if let Some(system) = &request.system {
            add(system, Section::System, &mut found);
        }
        for message in &request.messages {
            add(&message.content, Section::Messages, &mut found);
        }
        let inside = found.len();
        found.extend(request.cache_control.as_ref().map(|mark| (Section::Messages, mark)));
        let is_unmarked = found.is_empty();
        let mut changes: VecDeque<_> = changes(&found, profile, report).into();
        let whole = if changes.len() > inside { changes.pop_back() } else { None };
        let whole = whole.map(|change| match (change, &request.cache_control) {
            (MarkChange::None, Some(mark)) => {
                MarkChange::Rewritten { is_hour: mark.ttl.as_deref() == Some("1h") }
            }
            (other, _) => other,
        });
        Self { changes, whole, is_unmarked }
    }

    /// The treatment of the next item's mark, if it has one.
    pub(super) fn next(&mut self, mark: Option<&CacheControl<'_>>) -> MarkChange {
        match mark {
            Some(_) => self.changes.pop_front().unwrap_or(MarkChange::None),
            None => MarkChange::None,
        }
    }
}

impl MarkChange {
    /// Changes the mark of an object.
    ///
    /// # Errors
    /// None: the mark is JSON.
    pub(super) fn apply(self, object: &mut RawObject<'_>) -> Result<(), serde_json::Error> {
        match self {
            Self::None => {}
            Self::Removed => {
                object.remove(MEMBER);
            }
            Self::Rewritten { is_hour } => {
                let mark = match is_hour {
                    true => json!({ "type": "ephemeral", "ttl": "1h" }),
                    false => json!({ "type": "ephemeral" }),
                };
                object.set(MEMBER, to_raw_value(&mark)?);
            }
        }
        Ok(())
    }
}

fn add<'r>(
    content: &'r Content<'r>,
    section: Section,
    found: &mut Vec<(Section, &'r CacheControl<'r>)>,
) {
    for block in content.blocks() {
        found.extend(block.cache_control.as_ref().map(|mark| (section, mark)));
        if let BlockKind::ToolResult { content: Some(content), .. } = &block.kind {
            add(content, section, found);
        }
    }
}

fn changes(
    found: &[(Section, &CacheControl<'_>)],
    profile: &Profile,
    report: &mut Report,
) -> Vec<MarkChange> {
    let field = |section: Section| match section {
        Section::Tools => "tools.cache_control",
        Section::System => "system.cache_control",
        Section::Messages => "messages.content.cache_control",
    };
    let is_kept = kept(found);
    let mut short_seen = false;
    let mut all = Vec::with_capacity(found.len());
    for (at, (section, mark)) in found.iter().enumerate() {
        let field = field(*section);
        if !are_taken(profile) || !is_kept[at] {
            report.ignore(field);
            all.push(MarkChange::Removed);
            continue;
        }
        let wants_hour = mark.ttl.as_deref() == Some("1h");
        let is_hour = wants_hour && profile.cache_ttl == CacheTtls::OneHour && !short_seen;
        short_seen |= !is_hour;
        if wants_hour && !is_hour {
            report.ignore(&format!("{field}.ttl"));
        }
        if mark.scope.is_some() {
            report.ignore(&format!("{field}.scope"));
        }
        let is_plain = mark.scope.is_none() && wants_hour == is_hour;
        all.push(if is_plain { MarkChange::None } else { MarkChange::Rewritten { is_hour } });
    }
    all
}

/// The marks that stay: those at the ends of sections first, then the later ones.
fn kept(found: &[(Section, &CacheControl<'_>)]) -> Vec<bool> {
    if found.len() <= MOST {
        return vec![true; found.len()];
    }
    let section = |at: usize| found.get(at).map(|(section, _)| *section);
    let mut ranked: Vec<(bool, usize)> =
        (0..found.len()).map(|at| (section(at) != section(at + 1), at)).collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    let mut kept = vec![false; found.len()];
    for (_, at) in ranked.into_iter().take(MOST) {
        kept[at] = true;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &serde_json::Value, profile: &Profile) -> (Vec<MarkChange>, Vec<String>) {
        let text = body.to_string();
        let request: MessagesRequest<'_> = serde_json::from_str(&text).unwrap();
        let mut report = Report::default();
        let Marks { changes, whole, is_unmarked: _ } = Marks::of(&request, profile, &mut report);
        (changes.into_iter().chain(whole).collect(), report.ignored().to_vec())
    }

    #[test]
    fn four_marks_stay_and_the_ends_of_sections_are_among_them() {
        let text =
            |mark: serde_json::Value| json!({ "type": "text", "text": "x", "cache_control": mark });
        let plain = || text(json!({ "type": "ephemeral" }));
        let body = json!({ "model": "m", "messages": [
            { "role": "user", "content": [plain(), plain()] }, { "role": "user", "content": [plain()] },
        ], "system": [plain(), plain()] });
        let profile = Profile::default();
        use MarkChange::{None, Removed};
        assert_eq!(of(&body, &profile).0, [Removed, None, None, None, None]);
        let off = Profile { prompt_cache: crate::profile::PromptCache::Off, ..Profile::default() };
        assert!(of(&body, &off).0.iter().all(|change| *change == Removed));
    }

    #[test]
    fn lifetimes_and_scopes_are_those_that_are_accepted() {
        let text =
            |mark: serde_json::Value| json!({ "type": "text", "text": "x", "cache_control": mark });
        let body = json!({ "model": "m", "cache_control": { "type": "ephemeral" }, "system": [
            text(json!({ "type": "ephemeral", "ttl": "1h", "scope": "global" })),
            text(json!({ "type": "ephemeral", "ttl": "5m" })),
            text(json!({ "type": "ephemeral", "ttl": "1h" })),
        ], "messages": [] });
        let (changes, ignored) = of(&body, &Profile::default());
        let rewritten = |is_hour| MarkChange::Rewritten { is_hour };
        let expected = [rewritten(true), MarkChange::None, rewritten(false), rewritten(false)];
        assert_eq!(changes, expected);
        assert_eq!(ignored, ["system.cache_control.scope", "system.cache_control.ttl"]);
    }
}
