//! Parsers of single values: each returns the value, or a text that names what was expected.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use translate::Unsupported;
use translate::profile::PromptCache;

use super::yaml_tree::Value;
use crate::byte_size::Mib;
use crate::native::s3::NativeS3;
use crate::native::settings::{NativeErrors, OtherModels};
use crate::telemetry::request_log::S3Place;
use bedrock::{AccountSecret, Endpoint, Service};
use routing::catalogue::is_region;
use routing::{Thousandths, Weight};

/// Text that names what a parser expected, for a complaint.
pub(super) type Expected = &'static str;

/// HOST:PORT.
pub(super) fn address(value: &Value) -> Result<SocketAddr, Expected> {
    match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or("an address such as 127.0.0.1:4000")
}

/// Text, not empty.
pub(super) fn text(value: &Value) -> Result<String, Expected> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        Value::Text(_) => Err("text of at least one character"),
        _ => Err("text: put it in quotes"),
    }
}

/// Text, or a scalar that Python would convert to text.
pub(super) fn scalar(value: &Value) -> Result<String, Expected> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => Err("text or a number"),
    }
}

/// Expected of a secret, whose value no complaint quotes.
pub(super) const SECRET: Expected = "a secret: text in quotes, of at least one character";

/// Text that is never shown.
pub(super) fn secret(value: &Value) -> Result<AccountSecret, Expected> {
    text(value).map(AccountSecret::new).map_err(|_| SECRET)
}

/// A path of a file.
pub(super) fn path(value: &Value) -> Result<PathBuf, Expected> {
    text(value).map(PathBuf::from)
}

/// A place in S3.
pub(super) fn s3_place(value: &Value) -> Result<S3Place, Expected> {
    S3Place::parse(&text(value)?).ok_or("a place in S3 such as s3://BUCKET/PREFIX")
}

/// Names of services that can be added to the native API.
pub(super) fn services(value: &Value) -> Result<Vec<Service>, Expected> {
    const EXPECTED: Expected = "a list of bedrock, bedrock-agent, bedrock-agentcore, bedrock-agentcore-control, bedrock-data-automation, bedrock-data-automation-runtime and bedrock-mantle";
    const ADDED: [Service; 7] = [
        Service::Control,
        Service::Agent,
        Service::AgentCore,
        Service::AgentCoreControl,
        Service::DataAutomation,
        Service::DataAutomationRuntime,
        Service::Mantle,
    ];
    let Value::List(items) = value else { return Err(EXPECTED) };
    let named = |value: &Value| match value {
        Value::Text(name) => ADDED.into_iter().find(|service| service.host_label() == name),
        _ => None,
    };
    items.iter().map(|item| named(&item.value).ok_or(EXPECTED)).collect()
}

/// S3 locations that callers of the native API may name.
pub(super) fn native_s3(value: &Value) -> Result<NativeS3, Expected> {
    let words = [NativeS3::Listed, NativeS3::Allow];
    match value {
        Value::Text(text) => words.into_iter().find(|word| word.name() == text),
        _ => None,
    }
    .ok_or("listed or allow")
}

/// The part of AWS's own errors that callers of the native API see.
pub(super) fn native_errors(value: &Value) -> Result<NativeErrors, Expected> {
    let words = [NativeErrors::Masked, NativeErrors::Raw];
    match value {
        Value::Text(text) => words.into_iter().find(|word| word.name() == text),
        _ => None,
    }
    .ok_or("masked or raw")
}

/// The treatment of operations that run models no configured name leads to.
pub(super) fn other_models(value: &Value) -> Result<OtherModels, Expected> {
    let words = [OtherModels::Guarded, OtherModels::Allow];
    match value {
        Value::Text(text) => words.into_iter().find(|word| word.name() == text),
        _ => None,
    }
    .ok_or("guarded or allow")
}

/// The mode of the prompt cache.
/// Where a model is called, by its name in rows of the catalogue.
pub(super) fn surface(value: &Value) -> Result<String, Expected> {
    match value {
        Value::Text(text) if ["converse", "runtime", "mantle"].contains(&text.as_str()) => {
            Ok(text.clone())
        }
        _ => Err("converse, runtime or mantle"),
    }
}

pub(super) fn prompt_cache(value: &Value) -> Result<PromptCache, Expected> {
    let words = [PromptCache::Auto, PromptCache::Marks, PromptCache::Off];
    match value {
        Value::Text(text) => words.into_iter().find(|word| word.name() == text),
        // YAML 1.1 reads `off` as false.
        Value::Bool(false) => Some(PromptCache::Off),
        _ => None,
    }
    .ok_or("auto, marks or off")
}

/// The treatment of fields that cannot be honoured.
pub(super) fn unsupported(value: &Value) -> Result<Unsupported, Expected> {
    match value {
        Value::Text(text) => Unsupported::parse(text),
        _ => None,
    }
    .ok_or("warn, drop or reject")
}

/// true or false.
pub(super) fn boolean(value: &Value) -> Result<bool, Expected> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err("true or false"),
    }
}

/// A whole number from 1 to 1024: of workers, or of calls in flight.
pub(super) fn count(value: &Value) -> Result<usize, Expected> {
    whole(value, 1..=1024, "a whole number from 1 to 1024")
}

/// MiB, from 1 to 4096.
pub(super) fn mib(value: &Value) -> Result<Mib, Expected> {
    whole(value, 1..=4096, "a whole number from 1 to 4096").map(Mib::new)
}

/// A whole number within a range.
pub(super) fn whole<T: TryFrom<i64>>(
    value: &Value,
    range: RangeInclusive<i64>,
    expected: Expected,
) -> Result<T, Expected> {
    match value {
        Value::Integer(number) if range.contains(number) => T::try_from(*number).ok(),
        _ => None,
    }
    .ok_or(expected)
}

/// Calls a minute.
pub(super) fn calls(value: &Value) -> Result<NonZeroU32, Expected> {
    const EXPECTED: Expected = "a whole number from 1";
    NonZeroU32::new(whole(value, 1..=u32::MAX.into(), EXPECTED)?).ok_or(EXPECTED)
}

/// Tokens a minute.
pub(super) fn tokens(value: &Value) -> Result<NonZeroU64, Expected> {
    const EXPECTED: Expected = "a whole number from 1";
    NonZeroU64::new(whole(value, 1..=i64::MAX, EXPECTED)?).ok_or(EXPECTED)
}

/// A position in an order, the lowest first.
pub(super) fn order(value: &Value) -> Result<u32, Expected> {
    whole(value, 0..=u32::MAX.into(), "a whole number from 0")
}

/// A fraction, 0 to 1.
pub(super) fn part(value: &Value) -> Result<Thousandths, Expected> {
    weight(value)
        .ok()
        .filter(|weight| weight.0 <= 1000)
        .map(|weight| Thousandths(weight.0))
        .ok_or("a part from 0 to 1, such as 0.2")
}

/// `on` or `off`. YAML may have read them as true and false.
pub(super) fn switch(value: &Value) -> Result<bool, Expected> {
    match value {
        Value::Bool(on) => Ok(*on),
        Value::Text(text) if text == "on" => Ok(true),
        Value::Text(text) if text == "off" => Ok(false),
        _ => Err("on or off"),
    }
}

/// One name or a list of names.
pub(super) fn names(value: &Value) -> Result<Vec<String>, Expected> {
    const EXPECTED: Expected = "a list of names";
    match value {
        Value::List(items) => {
            items.iter().map(|item| text(&item.value).map_err(|_| EXPECTED)).collect()
        }
        one => text(one).map(|name| vec![name]).map_err(|_| EXPECTED),
    }
}

/// Value that means "no time limit". It is not the longest possible duration, because clocks must be
/// able to add it.
pub(super) const UNLIMITED: Duration = Duration::from_hours(24 * 365);
const LONGEST: Duration = Duration::from_hours(24);

/// Seconds above zero, a day at most.
pub(super) fn span(value: &Value) -> Result<Duration, Expected> {
    up_to(LONGEST, value)
        .filter(|span| !span.is_zero())
        .ok_or("a number of seconds above 0 and up to 86400 (a day), such as 10 or 0.5")
}

/// Seconds as LiteLLM reads them: zero counts as left out, and more than a day as a day.
pub(super) fn lenient_limit(value: &Value) -> Result<Option<Duration>, Expected> {
    let limit =
        up_to(Duration::MAX, value).ok_or("a number of seconds, such as 30 or 0.5")?.min(LONGEST);
    Ok((!limit.is_zero()).then_some(limit))
}

/// A time limit in seconds, a day at most; 0 for none.
pub(super) fn limit(value: &Value) -> Result<Duration, Expected> {
    up_to(LONGEST, value)
        .map(|limit| if limit.is_zero() { UNLIMITED } else { limit })
        .ok_or("a number of seconds up to 86400 (a day), such as 30 or 0.5, or 0 for no limit")
}

/// Seconds, whole or not, a day at most; zero is allowed.
pub(super) fn seconds(value: &Value) -> Result<Duration, Expected> {
    up_to(LONGEST, value).ok_or("a number of seconds up to 86400 (a day), such as 30 or 0.5")
}

/// Seconds to keep something, thirty days at most; zero is allowed.
pub(super) fn age(value: &Value) -> Result<Duration, Expected> {
    up_to(LONGEST * 30, value).ok_or("a number of seconds up to 2592000 (30 days), such as 3600")
}

/// A number of seconds that is not negative. A number above 0 is never rounded to 0, which may mean
/// something else.
fn up_to(longest: Duration, value: &Value) -> Option<Duration> {
    let span = match value {
        Value::Integer(whole) => Duration::from_secs(u64::try_from(*whole).ok()?),
        Value::Float(seconds) => {
            let span = Duration::try_from_secs_f64(*seconds).ok()?;
            let is_lost = span.is_zero() && *seconds > 0.0;
            (!is_lost).then_some(span)?
        }
        _ => return None,
    };
    (span <= longest).then_some(span)
}

/// A target's share of the calls.
pub(super) fn weight(value: &Value) -> Result<Weight, Expected> {
    match value {
        // Numbers that f64 cannot hold exactly are out of range anyway.
        #[allow(clippy::cast_precision_loss)]
        Value::Integer(number) => Weight::of(*number as f64),
        Value::Float(number) => Weight::of(*number),
        _ => None,
    }
    .ok_or("a number from 0 to 1000000, such as 2 or 0.5")
}

/// A region's name.
pub(super) fn region(value: &Value) -> Result<String, Expected> {
    let name = text(value).ok().filter(|name| is_region(name));
    name.ok_or("a region such as us-east-1")
}

/// An endpoint of Bedrock or STS.
pub(super) fn endpoint(value: &Value) -> Result<String, Expected> {
    let url = text(value).ok().filter(|url| is_endpoint(url));
    url.ok_or(
        "a URL such as https://bedrock-runtime.us-east-1.amazonaws.com, without user and query",
    )
}

/// Whether a URL can be an endpoint.
pub(super) fn is_endpoint(url: &str) -> bool {
    Endpoint::parse(url).is_ok()
}

/// A guardrail's id or ARN, which must also fit into a header.
pub(super) fn guardrail_id(value: &Value) -> Result<String, Expected> {
    let id = text(value).ok().filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
    id.ok_or("a guardrail's id or ARN")
}

/// A guardrail's version.
pub(super) fn guardrail_version(value: &Value) -> Result<String, Expected> {
    match value {
        Value::Integer(number) if *number > 0 => Some(number.to_string()),
        Value::Text(text) if text == "DRAFT" => Some(text.clone()),
        Value::Text(text) => text.parse::<u32>().ok().map(|number| number.to_string()),
        _ => None,
    }
    .ok_or("a version's number, or DRAFT")
}

/// Converts a value as Python's readers would: text as YAML reads it without quotes, a whole float as
/// an integer. Applies to values from the environment and in LiteLLM's files.
pub(super) fn reread(value: &Value) -> Option<Value> {
    match value {
        Value::Text(text) => match text.trim() {
            "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            text => {
                let whole = text.parse().map(Value::Integer);
                let number = whole.or_else(|_| text.parse().map(Value::Float)).ok()?;
                Some(as_integer(&number).unwrap_or(number))
            }
        },
        number @ Value::Float(_) => as_integer(number),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn as_integer(value: &Value) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        // Whole, and within the range in which floats are exact.
        #[allow(clippy::cast_possible_truncation)]
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            Some(Value::Integer(*number as i64))
        }
        _ => None,
    }
}
