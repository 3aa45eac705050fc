//! Moves cache points to places that Bedrock accepts: after a block that can carry one, at most
//! four, and long-lived ones before short-lived ones.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use schema::converse::message::{CachePoint, CacheTtl, ContentBlock, SystemBlock};
use schema::converse::request::ConverseRequest;
use schema::converse::tool::Tool;

use crate::Report;
use crate::profile::CachePointAfter;

/// The place of a cache point. The order is the reading order of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Tools(usize),
    System(usize),
    /// Index of the message, and of the block in it.
    Message(usize, usize),
}

impl Place {
    /// The field by which a caller would have set a point here.
    fn field(self) -> &'static str {
        match self {
            Self::Tools(_) => "tools.cache_control",
            Self::System(_) | Self::Message(..) => "messages.content.cache_control",
        }
    }
}

/// Sets points after the tools of these names. The mark of a tool that is not sent is dropped.
pub(super) fn mark_tools(
    body: &mut ConverseRequest<'_>,
    marked: Vec<(Cow<'_, str>, CachePoint)>,
    report: &mut Report,
) {
    if marked.is_empty() {
        return;
    }
    let mut points: HashMap<_, _> = marked.into_iter().collect();
    let tools = body.tool_config.as_mut().map(|config| &mut config.tools);
    if let Some(tools) = tools {
        let mut marked = Vec::with_capacity(tools.len() + points.len());
        for tool in tools.drain(..) {
            let point = match &tool {
                Tool::ToolSpec(spec) => points.remove(&spec.name),
                Tool::SystemTool(_) | Tool::CachePoint(_) => None,
            };
            marked.push(tool);
            marked.extend(point.map(Tool::CachePoint));
        }
        *tools = marked;
    }
    if !points.is_empty() {
        report.ignore("tools.cache_control");
    }
}

/// Returns whether the body has any cache point.
pub(crate) fn any(body: &ConverseRequest<'_>) -> bool {
    !all(body).is_empty()
}

/// Outcome for points at places that Bedrock refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tidied {
    AllKept,
    /// One point had no content before it and was dropped.
    OneLeftOut,
}

/// Joins adjacent points, and moves those that Bedrock refuses at their place to the left: after
/// the nearest block that can carry one, if need be in the turn before or in the system prompt.
pub(super) fn tidy(body: &mut ConverseRequest<'_>, after: CachePointAfter) -> Tidied {
    let mut tidied = Tidied::AllKept;
    let messages = &mut body.messages;
    for turn in (0..messages.len()).rev() {
        let content = &mut messages[turn].content;
        if !content.iter().any(|block| point(block).is_some()) {
            continue;
        }
        let moved = tidy_turn(content, after);
        if let Some(found) = moved {
            match turn.checked_sub(1) {
                Some(before) => messages[before].content.push(ContentBlock::CachePoint(found)),
                None => tidied = into_system(&mut body.system, found),
            }
        }
    }
    tidied
}

/// Moves a point without content before it in the messages to the end of the system prompt.
fn into_system(system: &mut Vec<SystemBlock<'_>>, found: CachePoint) -> Tidied {
    match system.last_mut() {
        Some(SystemBlock::CachePoint(before)) => *before = longer(*before, found),
        Some(SystemBlock::Text(_)) => system.push(SystemBlock::CachePoint(found)),
        None => return Tidied::OneLeftOut,
    }
    Tidied::AllKept
}

/// Does the same within one turn, and returns the point that has no carrier before it here. A
/// single pass from the end, so that many marks cost no more than a few.
fn tidy_turn(content: &mut Vec<ContentBlock<'_>>, after: CachePointAfter) -> Option<CachePoint> {
    let mut tidied = Vec::with_capacity(content.len());
    let mut moving: Option<CachePoint> = None;
    for block in content.drain(..).rev() {
        if let Some(found) = point(&block) {
            moving = Some(moving.map_or(found, |other| longer(found, other)));
            continue;
        }
        if carries(&block, after) {
            tidied.extend(moving.take().map(ContentBlock::CachePoint));
        }
        tidied.push(block);
    }
    tidied.reverse();
    *content = tidied;
    moving
}

/// Removes points until `most` are left. Points at the ends of messages, system prompt and tools
/// are kept first; among the others, the later ones of messages, then of the system prompt, then of
/// tools.
pub(super) fn limit(body: &mut ConverseRequest<'_>, most: usize, report: &mut Report) {
    let places = all(body);
    if places.len() <= most {
        return;
    }
    // Places are in order, so the last of a section is directly before the next section.
    let section = |at: usize| places.get(at).map(std::mem::discriminant);
    let is_last = |at: usize| section(at) != section(at + 1);
    let mut ranked: Vec<(bool, Place)> =
        places.iter().enumerate().map(|(at, place)| (is_last(at), *place)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    let left_out: HashSet<Place> = ranked.into_iter().skip(most).map(|(_, place)| place).collect();
    for place in places.iter().rev().filter(|place| left_out.contains(place)) {
        report.ignore(place.field());
    }
    remove(body, &left_out);
}

/// Shortens a long lifetime after a short one, which Bedrock refuses.
pub(super) fn shorten_later(body: &mut ConverseRequest<'_>, report: &mut Report) {
    let mut short_seen = false;
    for place in all(body) {
        let Some(point) = at(body, place) else { continue };
        match point.ttl {
            Some(CacheTtl::OneHour) if short_seen => {
                point.ttl = None;
                report.ignore(&format!("{}.ttl", place.field()));
            }
            Some(CacheTtl::OneHour) => {}
            Some(CacheTtl::FiveMinutes) | None => short_seen = true,
        }
    }
}

/// The point with the longer lifetime.
pub(crate) fn longer(one: CachePoint, other: CachePoint) -> CachePoint {
    if one.ttl > other.ttl { one } else { other }
}

/// All points, in the reading order of a prompt.
fn all(body: &ConverseRequest<'_>) -> Vec<Place> {
    let tools = body.tool_config.iter().flat_map(|config| config.tools.iter().enumerate());
    let tools = tools
        .filter(|(_, tool)| matches!(tool, Tool::CachePoint(_)))
        .map(|(index, _)| Place::Tools(index));
    let system = body.system.iter().enumerate();
    let system = system
        .filter(|(_, block)| matches!(block, SystemBlock::CachePoint(_)))
        .map(|(index, _)| Place::System(index));
    let messages = body.messages.iter().enumerate().flat_map(|(turn, message)| {
        let content = message.content.iter().enumerate();
        content
            .filter(|(_, block)| point(block).is_some())
            .map(move |(index, _)| Place::Message(turn, index))
    });
    tools.chain(system).chain(messages).collect()
}

fn at<'b>(body: &'b mut ConverseRequest<'_>, place: Place) -> Option<&'b mut CachePoint> {
    match place {
        Place::Tools(index) => match body.tool_config.as_mut()?.tools.get_mut(index)? {
            Tool::CachePoint(point) => Some(point),
            Tool::ToolSpec(_) | Tool::SystemTool(_) => None,
        },
        Place::System(index) => match body.system.get_mut(index)? {
            SystemBlock::CachePoint(point) => Some(point),
            SystemBlock::Text(_) => None,
        },
        Place::Message(turn, index) => {
            match body.messages.get_mut(turn)?.content.get_mut(index)? {
                ContentBlock::CachePoint(point) => Some(point),
                _ => None,
            }
        }
    }
}

fn remove(body: &mut ConverseRequest<'_>, places: &HashSet<Place>) {
    if let Some(config) = &mut body.tool_config {
        keep(&mut config.tools, |at| !places.contains(&Place::Tools(at)));
    }
    keep(&mut body.system, |at| !places.contains(&Place::System(at)));
    for (turn, message) in body.messages.iter_mut().enumerate() {
        keep(&mut message.content, |at| !places.contains(&Place::Message(turn, at)));
    }
}

/// Keeps the items whose index passes `stays`.
fn keep<T>(blocks: &mut Vec<T>, stays: impl Fn(usize) -> bool) {
    let mut at = 0..;
    blocks.retain(|_| at.next().is_none_or(&stays));
}

fn point(block: &ContentBlock<'_>) -> Option<CachePoint> {
    match block {
        ContentBlock::CachePoint(point) => Some(*point),
        _ => None,
    }
}

/// Returns whether a point may follow a block directly. Bedrock refuses points after documents sent
/// as text and after video; reasoning cannot be marked; some models accept points after text only.
pub(super) fn carries(block: &ContentBlock<'_>, after: CachePointAfter) -> bool {
    if after == CachePointAfter::Text {
        return matches!(block, ContentBlock::Text(_));
    }
    match block {
        ContentBlock::Document(document) => document.format == "pdf",
        ContentBlock::Video(_) | ContentBlock::ReasoningContent(_) => false,
        ContentBlock::Text(_)
        | ContentBlock::Image(_)
        | ContentBlock::Audio(_)
        | ContentBlock::SearchResult(_)
        | ContentBlock::ToolUse(_)
        | ContentBlock::ToolResult(_)
        | ContentBlock::CachePoint(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use schema::converse::media::{DocumentBlock, Source, VideoBlock};
    use schema::converse::message::{CacheKind, Message, Role};
    use schema::converse::tool::ToolUseBlock;

    use super::*;

    const POINT: CachePoint = CachePoint { kind: CacheKind::Default, ttl: None };

    /// One letter per block: text, pdf, csv, video, call, cache point, hour-long cache point.
    fn block(letter: char) -> ContentBlock<'static> {
        let source = Source::Bytes("AA==");
        match letter {
            'p' | 'c' => {
                let format = if letter == 'p' { "pdf" } else { "csv" };
                let name = Cow::Borrowed("d");
                let document =
                    DocumentBlock { format, name, source, context: None, citations: None };
                ContentBlock::Document(document)
            }
            'v' => ContentBlock::Video(VideoBlock { format: "mp4", source }),
            'u' => ContentBlock::ToolUse(ToolUseBlock {
                tool_use_id: Cow::Borrowed("u"),
                name: Cow::Borrowed("u"),
                input: Cow::Owned(serde_json::value::RawValue::from_string("{}".into()).unwrap()),
            }),
            '.' => ContentBlock::CachePoint(POINT),
            ':' => ContentBlock::CachePoint(CachePoint { ttl: Some(CacheTtl::OneHour), ..POINT }),
            _ => ContentBlock::Text(Cow::Borrowed("t")),
        }
    }

    fn letter(block: &ContentBlock<'_>) -> char {
        match block {
            ContentBlock::Document(document) if document.format == "pdf" => 'p',
            ContentBlock::Document(_) => 'c',
            ContentBlock::Video(_) => 'v',
            ContentBlock::ToolUse(_) => 'u',
            ContentBlock::CachePoint(CachePoint { ttl: None, .. }) => '.',
            ContentBlock::CachePoint(_) => ':',
            _ => 't',
        }
    }

    fn tidied(turns: &str) -> (String, Tidied) {
        tidied_after(CachePointAfter::AnyBlock, turns)
    }

    fn tidied_after(after: CachePointAfter, turns: &str) -> (String, Tidied) {
        let turns = turns.split(' ').enumerate().map(|(index, blocks)| Message {
            role: if index % 2 == 0 { Role::User } else { Role::Assistant },
            content: blocks.chars().map(block).collect(),
        });
        let mut body = ConverseRequest { messages: turns.collect(), ..ConverseRequest::default() };
        let tidied = tidy(&mut body, after);
        let turns = body.messages.iter();
        let turns = turns.map(|turn| turn.content.iter().map(letter).collect::<String>());
        (turns.collect::<Vec<_>>().join(" "), tidied)
    }

    #[test]
    fn points_move_before_blocks_that_cannot_carry_them_and_join() {
        for (turns, wanted) in [
            ("t.", "t."),
            ("tp.", "tp."),
            ("tc.", "t.c"),
            ("tcv.t", "t.cvt"),
            ("tc.c.t", "t.cct"),
            ("t.c:", "t:c"),
            ("t..", "t."),
            ("t t c.t", "t t. ct"),
            ("t t: c.t", "t t: ct"),
            ("tc t .t", "tc t. t"),
            ("t v. c.", "t. v c"),
            ("tc.t. t", "t.ct. t"),
        ] {
            assert_eq!(tidied(turns), (wanted.to_owned(), Tidied::AllKept), "{turns}");
        }
        assert_eq!(tidied("c.t"), ("ct".to_owned(), Tidied::OneLeftOut));
    }

    #[test]
    fn points_move_after_text_where_only_text_carries_them() {
        for (turns, wanted) in [
            ("t.", "t."),
            ("tp.", "t.p"),
            ("tpt.", "tpt."),
            ("t u.", "t. u"),
            ("t tu. p.", "t t.u p"),
            ("t u pt. u p.", "t u pt. u p"),
            ("t. u: p.t", "t: u pt"),
        ] {
            let found = tidied_after(CachePointAfter::Text, turns);
            assert_eq!(found, (wanted.to_owned(), Tidied::AllKept), "{turns}");
        }
        let found = tidied_after(CachePointAfter::Text, "p.t");
        assert_eq!(found, ("pt".to_owned(), Tidied::OneLeftOut));
    }

    #[test]
    fn a_point_before_all_text_moves_after_the_system_prompt() {
        let system = || SystemBlock::Text(Cow::Borrowed("s"));
        for before in [vec![system()], vec![system(), SystemBlock::CachePoint(POINT)]] {
            let content = "v:t".chars().map(block).collect();
            let messages = vec![Message { role: Role::User, content }];
            let mut body =
                ConverseRequest { messages, system: before, ..ConverseRequest::default() };
            assert_eq!(tidy(&mut body, CachePointAfter::AnyBlock), Tidied::AllKept);
            let hour = CachePoint { ttl: Some(CacheTtl::OneHour), ..POINT };
            assert!(
                matches!(&body.system[..], [_, SystemBlock::CachePoint(point)] if *point == hour)
            );
            assert_eq!(body.messages[0].content.len(), 2);
        }
    }

    /// Takes minutes if the cost of a mark grows with the number of marks.
    #[test]
    fn fifty_thousand_marks_have_a_linear_cost() {
        let (turns, _) = tidied(&format!("{} t", "tc.".repeat(50_000)));
        assert_eq!(turns.len(), 150_002);
        let content = "t.".repeat(50_000).chars().map(block).collect();
        let message = Message { role: Role::User, content };
        let mut body = ConverseRequest { messages: vec![message], ..ConverseRequest::default() };
        let mut report = Report::default();
        limit(&mut body, 4, &mut report);
        assert_eq!(body.messages[0].content.len(), 50_004);
        assert_eq!(report.ignored(), ["messages.content.cache_control"]);
    }
}
