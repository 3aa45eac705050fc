//! Limits and sampling: values are checked against OpenAI's ranges and mapped to Bedrock's.

use schema::Str;
use schema::converse::request::InferenceConfig;

use crate::profile::{self, Profile, StopSequences};
use crate::{Invalid, Report};

/// The scalar parameters of a request in any dialect.
pub(crate) struct Sampling<'a> {
    /// Name of the field that carried the limit, and the limit.
    pub(crate) max_tokens: Option<(&'static str, i64)>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    /// Name of the field that carried the stop sequences, and the sequences.
    pub(crate) stop: Option<(&'static str, &'a [Str<'a>])>,
}

/// Checks the parameters against OpenAI's ranges and maps them to Bedrock's. The choice between
/// temperature and top_p is left to [`choose`].
pub(crate) fn inference_config<'a>(
    sampling: &Sampling<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Result<InferenceConfig<'a>, Invalid> {
    let temperature = temperature(sampling.temperature, report)?;
    let top_p = sampling.top_p.map(|value| within("top_p", value, 1.0)).transpose()?;
    let limit = sampling.max_tokens.map(|limit| max_tokens(limit, profile, report)).transpose()?;
    let default = profile.default_max_tokens.min(profile.most_max_tokens);
    let default = (default > 0).then_some(default);
    Ok(InferenceConfig {
        max_tokens: limit.or(default),
        temperature,
        top_p,
        stop_sequences: sampling
            .stop
            .map(|stop| stop_sequences(stop, profile, report))
            .unwrap_or_default(),
    })
}

/// Leaves out the one of temperature and top_p that the model does not support. It runs last, after
/// reasoning has removed the parameters it forbids, which may have been one of the two.
pub(crate) fn choose(config: &mut InferenceConfig<'_>, profile: &Profile, report: &mut Report) {
    match (profile.sampling, config.temperature, config.top_p) {
        (profile::SamplingSupport::Both, ..) => {}
        (profile::SamplingSupport::One, Some(temperature), Some(top_p)) => {
            if temperature < 1.0 || top_p >= 1.0 {
                leave_out("top_p", &mut config.top_p, report);
            } else {
                leave_out("temperature", &mut config.temperature, report);
            }
        }
        (profile::SamplingSupport::One, ..) => {}
        (profile::SamplingSupport::None, ..) => {
            leave_out("temperature", &mut config.temperature, report);
            leave_out("top_p", &mut config.top_p, report);
        }
    }
}

/// Leaves out a sampling parameter. OpenAI's default is 1 for both, so leaving out that value
/// changes no behaviour.
pub(crate) fn leave_out(field: &'static str, value: &mut Option<f64>, report: &mut Report) {
    if value.take().is_some_and(|value| value < 1.0) {
        report.ignore(field);
    }
}

/// Checks the number of answers to one question; its upper limit is the operator's.
pub(crate) fn choices(n: Option<i64>) -> Result<(), Invalid> {
    match n {
        Some(n) if n < 1 => Err(Invalid::value("n", format!("n must be at least 1, and is {n}."))
            .with_code("integer_below_min_value")),
        _ => Ok(()),
    }
}

fn max_tokens(
    (field, value): (&'static str, i64),
    profile: &Profile,
    report: &mut Report,
) -> Result<u32, Invalid> {
    if value < 1 {
        let message = format!("{field} must be at least 1, and is {value}.");
        return Err(Invalid::value(field, message).with_code("integer_below_min_value"));
    }
    // Bedrock's member is a 32-bit signed integer.
    let limit = i32::try_from(value).ok().and_then(|limit| u32::try_from(limit).ok());
    let limit = limit.ok_or_else(|| {
        let message = format!("{field} must be at most {}, and is {value}.", i32::MAX);
        Invalid::value(field, message).with_code("integer_above_max_value")
    })?;
    let taken = limit.max(profile.least_max_tokens).min(profile.most_max_tokens);
    if taken != limit {
        report.ignore(field);
    }
    Ok(taken)
}

/// OpenAI's range ends at 2, Bedrock's at 1: values between are clamped and reported.
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

/// The stop sequences that the model accepts. Empty ones are dropped, because Bedrock refuses them
/// and they have no effect; others that the model refuses are dropped and reported.
fn stop_sequences<'a>(
    (field, all): (&'static str, &'a [Str<'a>]),
    profile: &Profile,
    report: &mut Report,
) -> Vec<&'a str> {
    let taken = |stop: &&str| match profile.stop_sequences {
        StopSequences::Any => true,
        StopSequences::NotBlank => !stop.trim().is_empty(),
        StopSequences::Refused => false,
    };
    let given = all.iter().map(Str::as_str).filter(|stop| !stop.is_empty());
    let kept = given.clone().filter(taken).take(profile.most_stop_sequences);
    let kept: Vec<_> = kept.collect();
    if kept.len() < given.count() {
        report.ignore(field);
    }
    kept
}
