//! Limits and sampling: OpenAI's ranges checked, Bedrock's applied.

use schema::converse::request::InferenceConfig;
use schema::openai::chat::Stop;

use crate::profile::{BlankStops, Profile};
use crate::{Invalid, Report};

/// The scalar parameters of a request, whatever dialect they came from.
pub(crate) struct Sampling<'a> {
    /// Name of the field that carried the limit, and the limit.
    pub(crate) max_tokens: Option<(&'static str, i64)>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) stop: Option<&'a Stop<'a>>,
}

/// Checks the parameters against OpenAI's ranges and brings them into Bedrock's.
pub(crate) fn inference_config<'a>(
    sampling: &Sampling<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Result<InferenceConfig<'a>, Invalid> {
    Ok(InferenceConfig {
        max_tokens: sampling.max_tokens.map(max_tokens).transpose()?,
        temperature: temperature(sampling.temperature, report)?,
        top_p: sampling.top_p.map(|value| within("top_p", value, 1.0)).transpose()?,
        stop_sequences: sampling
            .stop
            .map(|stop| stop_sequences(stop, profile, report))
            .unwrap_or_default(),
    })
}

fn max_tokens((field, value): (&'static str, i64)) -> Result<u32, Invalid> {
    if value < 1 {
        let message = format!("{field} must be at least 1, and is {value}.");
        return Err(Invalid::value(field, message).with_code("integer_below_min_value"));
    }
    // Bedrock's member is a 32-bit signed integer.
    i32::try_from(value).ok().and_then(|limit| u32::try_from(limit).ok()).ok_or_else(|| {
        let message = format!("{field} must be at most {}, and is {value}.", i32::MAX);
        Invalid::value(field, message).with_code("integer_above_max_value")
    })
}

/// OpenAI's scale ends at 2, Bedrock's at 1: what lies between is clamped, and said to be.
fn temperature(value: Option<f64>, report: &mut Report) -> Result<Option<f64>, Invalid> {
    let Some(value) = value else { return Ok(None) };
    let value = within("temperature", value, 2.0)?;
    if value > 1.0 {
        report.ignore("temperature");
    }
    Ok(Some(value.min(1.0)))
}

fn within(field: &'static str, value: f64, max: f64) -> Result<f64, Invalid> {
    let code = if value < 0.0 {
        "decimal_below_min_value"
    } else if value > max {
        "decimal_above_max_value"
    } else {
        return Ok(value);
    };
    let message = format!("{field} must be between 0 and {max}, and is {value}.");
    Err(Invalid::value(field, message).with_code(code))
}

/// Empty entries are refused by Bedrock and stop nothing. Some families refuse white space as well:
/// there it is left out, and said to be.
fn stop_sequences<'a>(stop: &'a Stop<'a>, profile: &Profile, report: &mut Report) -> Vec<&'a str> {
    let all = match stop {
        Stop::One(one) => std::slice::from_ref(one),
        Stop::Many(many) => many,
    };
    let taken = |stop: &&str| match profile.blank_stops {
        BlankStops::Taken => !stop.is_empty(),
        BlankStops::Refused => !stop.trim().is_empty(),
    };
    let given = all.iter().map(schema::Str::as_str).filter(|stop| !stop.is_empty());
    let kept: Vec<_> = given.clone().filter(taken).collect();
    if kept.len() < given.count() {
        report.ignore("stop");
    }
    kept
}
