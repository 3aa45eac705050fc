//! Prompt caching: the caller's marks become cache points while the conversation is built; this
//! module then adjusts the finished body, so that every point stands at a place that Bedrock
//! accepts. Without marks, the gateway's own points are set (in `cache/automatic.rs`).

use std::borrow::Cow;

use schema::converse::message::{CacheKind, CachePoint, CacheTtl};
use schema::converse::request::ConverseRequest;

use super::tools::sent_name;
use crate::Report;
use crate::profile::{CachePoints, CacheTtls, Profile, PromptCache};

mod automatic;
mod places;

pub(crate) use automatic::{BYTES_PER_TOKEN, MEDIUM};
pub(crate) use places::{any, longer};

/// Most cache points in one request: Bedrock's limit, for all models.
const MOST: usize = 4;

/// The longest lifetime of a cache point, in minutes.
const HOUR: u32 = 60;

/// The short and default lifetime of a cache point, in minutes.
const SHORT: u32 = 5;

/// A request to cache the content before a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheMark {
    /// The field of the request.
    pub(crate) field: &'static str,
    /// The requested lifetime, in minutes.
    pub(crate) ttl: Option<u32>,
}

/// The caching options of a request besides the marks in its messages.
pub(crate) struct Asked<'a> {
    pub(crate) tools: MarkedTools<'a>,
    pub(crate) automatic: Automatic,
}

/// Marked tools, by the names that are sent.
pub(crate) struct MarkedTools<'a>(Vec<(Cow<'a, str>, CachePoint)>);

/// Condition for the gateway's own cache points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Automatic {
    Never,
    /// Set if the caller has set none.
    Unmarked,
    /// Set because the caller requests it, with this lifetime.
    Wanted(Option<CacheTtl>),
}

impl Automatic {
    /// The gateway's points where the caller states no wish.
    pub(crate) fn unasked(profile: &Profile) -> Self {
        let chosen_by_us = profile.prompt_cache == PromptCache::Auto
            && profile.cache_points != CachePoints::AsMarked;
        if are_taken(profile) && chosen_by_us { Self::Unmarked } else { Self::Never }
    }

    /// The gateway's points because the caller marks the whole request.
    pub(crate) fn asked(mark: CacheMark, profile: &Profile, report: &mut Report) -> Self {
        if !are_taken(profile) {
            report.ignore(mark.field);
            return Self::Never;
        }
        Self::Wanted(ttl(mark.ttl, &|| mark.field.to_owned(), profile, report))
    }
}

/// The cache point for a mark, if this model accepts any. `place` is the path of the marked item.
pub(crate) fn point(
    mark: Option<CacheMark>,
    place: &str,
    profile: &Profile,
    report: &mut Report,
) -> Option<CachePoint> {
    let mark = mark?;
    let field = || format!("{place}{}", mark.field);
    if !are_taken(profile) {
        report.ignore(&field());
        return None;
    }
    Some(CachePoint { kind: CacheKind::Default, ttl: ttl(mark.ttl, &field, profile, report) })
}

/// The cache points of marked tools. A tool without a name is not a function: only functions can
/// carry a cache point.
pub(crate) fn marked_tools<'a>(
    marks: impl Iterator<Item = (Option<&'a str>, CacheMark)>,
    profile: &Profile,
    report: &mut Report,
) -> MarkedTools<'a> {
    let mut tools = Vec::new();
    for (name, mark) in marks {
        let Some(name) = name.filter(|_| profile.cache_points != CachePoints::SystemAndMessages)
        else {
            report.ignore("tools.cache_control");
            continue;
        };
        if let Some(point) = point(Some(mark), "tools.", profile, report) {
            tools.push((sent_name(name, profile.tool_names), point));
        }
    }
    MarkedTools(tools)
}

/// Adds the gateway's points to a finished body, and moves all points to places that Bedrock
/// accepts.
pub(crate) fn place_points(
    body: &mut ConverseRequest<'_>,
    asked: Asked<'_>,
    profile: &Profile,
    report: &mut Report,
) {
    places::mark_tools(body, asked.tools.0, report);
    let marked = any(body);
    match (asked.automatic, marked) {
        (Automatic::Wanted(ttl), true) => automatic::set_last(body, ttl, profile.cache_point_after),
        (Automatic::Wanted(ttl), false) => {
            automatic::set_all(body, ttl, automatic::FirstTurn::Cached, profile);
        }
        (Automatic::Unmarked, false) => {
            automatic::set_all(body, None, automatic::FirstTurn::IfToolsMayFollow, profile);
        }
        (Automatic::Unmarked, true) | (Automatic::Never, _) => {}
    }
    if places::tidy(body, profile.cache_point_after) == places::Tidied::OneLeftOut && marked {
        report.ignore("messages.content.cache_control");
    }
    places::limit(body, MOST, report);
    places::shorten_later(body, report);
}

/// Returns whether a model of this profile accepts cache points.
pub(crate) fn are_taken(profile: &Profile) -> bool {
    profile.cache_points != CachePoints::Refused && profile.prompt_cache != PromptCache::Off
}

/// The lifetime of a point for the requested one: never shorter if the model supports it. A
/// difference is reported.
fn ttl(
    asked: Option<u32>,
    field: &dyn Fn() -> String,
    profile: &Profile,
    report: &mut Report,
) -> Option<CacheTtl> {
    let minutes = asked.filter(|minutes| *minutes > SHORT)?;
    let given = match profile.cache_ttl {
        CacheTtls::FiveMinutes => None,
        CacheTtls::OneHour => Some(CacheTtl::OneHour),
    };
    if given.is_none() || minutes > HOUR {
        report.ignore(&format!("{}.ttl", field()));
    }
    given
}
