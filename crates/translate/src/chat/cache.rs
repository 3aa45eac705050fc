//! The cache fields of a chat request, as the inputs that prompt caching takes.

use schema::openai::cache::{CacheControl, CacheMode, CacheOptions, Lifetime, Mark};
use schema::openai::chat::ChatRequest;

use crate::parts::cache::{self, Asked, Automatic, CacheMark};
use crate::{Profile, Report};

/// Reads the caching options of a request, and the marks on its tools.
pub(super) fn asked<'a>(
    request: &'a ChatRequest<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Asked<'a> {
    let functions = request.functions.iter().flatten();
    let marked = functions.map(|function| (Some(&*function.name), function.cache_control));
    let declared = request.tools.iter().flatten().map(|tool| {
        let function = tool.function.as_ref();
        let inside = function.and_then(|function| function.cache_control);
        let name = function.map(|function| &*function.name);
        let name = name.or(tool.custom.as_ref().map(|custom| &*custom.name));
        (name, tool.cache_control.or(inside))
    });
    let tools = declared.chain(marked);
    let marks = tools.filter_map(|(name, control)| Some((name, mark(control?))));
    Asked {
        tools: cache::marked_tools(marks, profile, report),
        automatic: automatic(request.cache_control, request.prompt_cache_options, profile, report),
    }
}

/// A mark, whatever its spelling.
pub(crate) fn mark(mark: impl Into<Mark>) -> CacheMark {
    let Mark { spelling, ttl } = mark.into();
    CacheMark { field: spelling.name(), ttl: ttl.map(minutes) }
}

fn minutes(Lifetime(minutes): Lifetime) -> u32 {
    minutes
}

/// The condition for the gateway's own points: a mark on the whole request, or OpenAI's options.
pub(crate) fn automatic(
    whole: Option<CacheControl>,
    options: Option<CacheOptions>,
    profile: &Profile,
    report: &mut Report,
) -> Automatic {
    const OPTIONS: &str = "prompt_cache_options";
    let mode = options.and_then(|options| options.mode);
    let ttl = options.and_then(|options| options.ttl).map(minutes);
    let is_implicit = mode == Some(CacheMode::Implicit);
    if let Some(whole) = whole {
        let automatic = Automatic::asked(mark(whole), profile, report);
        if !cache::are_taken(profile) && (is_implicit || ttl.is_some()) {
            report.ignore(OPTIONS);
        }
        return automatic;
    }
    if is_implicit {
        return Automatic::asked(CacheMark { field: OPTIONS, ttl }, profile, report);
    }
    if ttl.is_some() {
        let is_taken = cache::are_taken(profile);
        report.ignore(if is_taken { "prompt_cache_options.ttl" } else { OPTIONS });
    }
    if mode.is_none() { Automatic::unasked(profile) } else { Automatic::Never }
}
