//! Prompt caching: the caller's marks become cache points while the conversation is built; this
//! module then adjusts the finished body, so that every point stands at a place that Bedrock
//! accepts. Without marks, the gateway's own points are set (in `cache/automatic.rs`).

use std::borrow::Cow;

use schema::converse::message::{CacheKind, CachePoint, CacheTtl};
use schema::converse::request::ConverseRequest;
use schema::openai::cache::{CacheMode, Lifetime, Mark};
use schema::openai::chat::ChatRequest;

use super::tools::sent_name;
use crate::Report;
use crate::profile::{CachePoints, CacheTtls, Profile, PromptCache};

mod automatic;
mod places;

pub(crate) use places::{any, longer};

/// Most cache points in one request: Bedrock's limit, for all models.
const MOST: usize = 4;

/// The longest lifetime of a cache point, in minutes.
const HOUR: u32 = 60;

/// The short and default lifetime of a cache point, in minutes.
const SHORT: u32 = 5;

/// The caching options of a request besides the marks in its messages.
pub(crate) struct Asked<'a> {
    /// Marked tools, by the names that are sent.
    tools: Vec<(Cow<'a, str>, CachePoint)>,
    automatic: Automatic,
}

/// Condition for the gateway's own cache points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Automatic {
    Never,
    /// Set if the caller has set none.
    Unmarked,
    /// Set because the caller requests it, with this lifetime.
    Wanted(Option<CacheTtl>),
}

/// The cache point for a mark, if this model accepts any. `place` is the path of the marked item.
pub(crate) fn point(
    mark: Option<Mark>,
    place: &str,
    profile: &Profile,
    report: &mut Report,
) -> Option<CachePoint> {
    let mark = mark?;
    let field = || format!("{place}{}", mark.spelling.name());
    if !are_taken(profile) {
        report.ignore(&field());
        return None;
    }
    Some(CachePoint { kind: CacheKind::Default, ttl: ttl(mark.ttl, &field, profile, report) })
}

/// Reads the caching options of a request, and the marks on its tools.
pub(crate) fn asked<'a>(
    request: &'a ChatRequest<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Asked<'a> {
    let mut tools = Vec::new();
    let functions = request.functions.iter().flatten();
    let marked = functions.map(|function| (Some(&*function.name), function.cache_control));
    let declared = request.tools.iter().flatten().map(|tool| {
        let function = tool.function.as_ref();
        let inside = function.and_then(|function| function.cache_control);
        let name = function.map(|function| &*function.name);
        let name = name.or(tool.custom.as_ref().map(|custom| &*custom.name));
        (name, tool.cache_control.or(inside))
    });
    for (name, mark) in declared.chain(marked) {
        let Some(mark) = mark.map(Mark::from) else { continue };
        let Some(name) = name else {
            // Not a function: only functions can carry a cache point.
            report.ignore("tools.cache_control");
            continue;
        };
        if profile.cache_points == CachePoints::SystemAndMessages {
            report.ignore("tools.cache_control");
        } else if let Some(point) = point(Some(mark), "tools.", profile, report) {
            tools.push((sent_name(name, profile.tool_names), point));
        }
    }
    Asked { tools, automatic: automatic_for(request, profile, report) }
}

/// Adds the gateway's points to a finished body, and moves all points to places that Bedrock
/// accepts.
pub(crate) fn settle(
    body: &mut ConverseRequest<'_>,
    asked: Asked<'_>,
    profile: &Profile,
    report: &mut Report,
) {
    places::mark_tools(body, asked.tools, report);
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

fn are_taken(profile: &Profile) -> bool {
    profile.cache_points != CachePoints::Refused && profile.prompt_cache != PromptCache::Off
}

fn automatic_for(request: &ChatRequest<'_>, profile: &Profile, report: &mut Report) -> Automatic {
    let options = request.prompt_cache_options;
    let mode = options.and_then(|options| options.mode);
    let lifetime = options.and_then(|options| options.ttl);
    let whole = request.cache_control.map(|control| control.ttl);
    if !are_taken(profile) {
        if whole.is_some() {
            report.ignore("cache_control");
        }
        if mode == Some(CacheMode::Implicit) || lifetime.is_some() {
            report.ignore("prompt_cache_options");
        }
        return Automatic::Never;
    }
    let chosen_by_us =
        profile.prompt_cache == PromptCache::Auto && profile.cache_points != CachePoints::AsMarked;
    match (whole, mode) {
        (Some(lifetime), _) => {
            Automatic::Wanted(ttl(lifetime, &|| "cache_control".to_owned(), profile, report))
        }
        (None, Some(CacheMode::Implicit)) => {
            let field = || "prompt_cache_options".to_owned();
            Automatic::Wanted(ttl(lifetime, &field, profile, report))
        }
        (None, mode) => {
            if lifetime.is_some() {
                report.ignore("prompt_cache_options.ttl");
            }
            if mode.is_none() && chosen_by_us { Automatic::Unmarked } else { Automatic::Never }
        }
    }
}

/// The lifetime of a point for the requested one: never shorter if the model supports it. A
/// difference is reported.
fn ttl(
    asked: Option<Lifetime>,
    field: &dyn Fn() -> String,
    profile: &Profile,
    report: &mut Report,
) -> Option<CacheTtl> {
    let Lifetime(minutes) = asked.filter(|asked| asked.0 > SHORT)?;
    let given = match profile.cache_ttl {
        CacheTtls::FiveMinutes => None,
        CacheTtls::OneHour => Some(CacheTtl::OneHour),
    };
    if given.is_none() || minutes > HOUR {
        report.ignore(&format!("{}.ttl", field()));
    }
    given
}
