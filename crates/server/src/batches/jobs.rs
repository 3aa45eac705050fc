//! Jobs of Bedrock: ordered, watched and stopped.

use bedrock::{Call, Failure, Kind, Service, ServiceError, encode_segment};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::state::{BatchPhase, BatchState, GroupMode, LineGroup, LineProblem};
use super::store::work_folder;
use super::work::{Halt, HeldBatch, Work};
use crate::error::GatewayError;

/// Longest answer, in bytes.
const ANSWER: usize = 1024 * 1024;
const JOBS: &str = "/model-invocation-job";
/// Hours that a job may take, at least and at most.
const HOURS: std::ops::RangeInclusive<u64> = 24..=168;
/// Statuses of jobs that do no more.
const OVER: [&str; 5] = ["Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"];

/// A job as Bedrock describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Described {
    status: String,
    message: Option<String>,
    success_record_count: Option<usize>,
    error_record_count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ordered {
    job_arn: String,
}

/// Orders the jobs of a batch. An order that was made before is found again by its token.
pub(super) async fn submit(held: &mut HeldBatch) -> Result<(), Halt> {
    for at in 0..held.state().groups.len() {
        let (work, state) = (held.work().clone(), held.state().clone());
        let Some(group) = state.groups.get(at) else { continue };
        if group.mode != GroupMode::Job || group.arn.is_some() || state.is_cancelled() {
            continue;
        }
        match held.during(order(&work, &state, (at, group))).await {
            Ok(arn) => {
                held.change(|state| {
                    if let Some(group) = state.groups.get_mut(at) {
                        (group.arn, group.status) =
                            (Some(arn.clone()), Some("Submitted".to_owned()));
                    }
                })
                .await?;
            }
            Err(Halt::Failed(error)) if is_final(&error) => {
                log::warn!("a job of batch {} is refused: {error}", state.id);
                let message = error.render().message.into_owned();
                held.change(|state| {
                    if let Some(group) = state.groups.get_mut(at) {
                        (group.mode, group.problem) = (GroupMode::Refused, Some(message.clone()));
                    }
                })
                .await?;
            }
            Err(halt) => return Err(halt),
        }
    }
    let groups = &held.state().groups;
    let problems = groups.iter().filter_map(|group| group.problem.as_deref());
    let problems = problems.map(|text| LineProblem::of_file("job_refused", text));
    let problems: Vec<LineProblem> = problems.collect();
    if !problems.is_empty() && problems.len() == groups.len() {
        return held.change(|state| state.fail(problems.clone())).await;
    }
    held.change(|state| state.begin(BatchPhase::Run)).await
}

/// Looks at every job once, and stops those of a batch whose end is asked for.
pub(super) async fn watch(held: &mut HeldBatch) -> Result<(), Halt> {
    if held.state().is_cancelled() {
        stop_all(held).await?;
    }
    for at in 0..held.state().groups.len() {
        let (work, state) = (held.work().clone(), held.state().clone());
        let Some(group) = state.groups.get(at).filter(|group| is_running(group)) else { continue };
        let told = held.during(describe(&work, group)).await?;
        if let Some(message) = told.message.as_ref().filter(|_| told.status == "Failed") {
            log::warn!("a job of batch {} failed: {message}", state.id);
        }
        let (succeeded, failed) = (told.success_record_count, told.error_record_count);
        let is_new = group.status.as_deref() != Some(told.status.as_str())
            || succeeded.is_some_and(|count| count != group.succeeded)
            || failed.is_some_and(|count| count != group.failed);
        if is_new {
            held.change(|state| {
                if let Some(group) = state.groups.get_mut(at) {
                    group.status = Some(told.status.clone());
                    group.succeeded = succeeded.unwrap_or(group.succeeded);
                    group.failed = failed.unwrap_or(group.failed);
                }
            })
            .await?;
        }
    }
    Ok(())
}

/// Whether every job is over.
pub(super) fn are_over(state: &BatchState) -> bool {
    !state.groups.iter().any(is_running)
}

fn is_running(group: &LineGroup) -> bool {
    let is_over = group.status.as_deref().is_some_and(|status| OVER.contains(&status));
    group.arn.is_some() && !is_over
}

async fn stop_all(held: &mut HeldBatch) -> Result<(), Halt> {
    let (work, state) = (held.work().clone(), held.state().clone());
    let running =
        |group: &&LineGroup| is_running(group) && group.status.as_deref() != Some("Stopping");
    for group in state.groups.iter().filter(running) {
        held.during(stop(&work, group)).await?;
    }
    Ok(())
}

/// The key of a group's input, and the folder of its output, below the bucket's prefix.
pub(super) fn places(state: &BatchState, at: usize) -> (String, String) {
    let folder = work_folder(&state.id);
    (format!("{folder}in/{at}.jsonl"), format!("{folder}out/{at}/"))
}

/// Orders the job of a group.
async fn order(
    work: &Work,
    state: &BatchState,
    (at, group): (usize, &LineGroup),
) -> Result<String, GatewayError> {
    let now = work.worker.now();
    let (input, output) = places(state, at);
    let role = now.config.batches.role_arn.as_deref().unwrap_or_default();
    // Names of jobs have no underscores.
    let name = format!("outcrop-{}-{at}", state.id.replace('_', "-"));
    let hours = (state.expires_at.saturating_sub(state.created_at)).div_ceil(3600);
    let body = json!({
        "jobName": name,
        "clientRequestToken": name,
        "roleArn": role,
        "modelId": group.model,
        "modelInvocationType": group.form,
        "timeoutDurationInHours": hours.clamp(*HOURS.start(), *HOURS.end()),
        "inputDataConfig": { "s3InputDataConfig": {
            "s3Uri": work.bucket().address(&input), "s3InputFormat": "JSONL",
        } },
        "outputDataConfig": { "s3OutputDataConfig": { "s3Uri": work.bucket().address(&output) } },
    });
    let answer = call(work, group, (Method::POST, JOBS.to_owned()), Some(&body)).await?;
    let ordered: Ordered = serde_json::from_slice(&answer).map_err(GatewayError::Unreadable)?;
    Ok(ordered.job_arn)
}

async fn describe(work: &Work, group: &LineGroup) -> Result<Described, GatewayError> {
    let answer = call(work, group, (Method::GET, path(group, "")), None).await?;
    serde_json::from_slice(&answer).map_err(GatewayError::Unreadable)
}

async fn stop(work: &Work, group: &LineGroup) -> Result<(), GatewayError> {
    match call(work, group, (Method::POST, path(group, "/stop")), None).await {
        // A job that has just ended cannot be stopped.
        Err(GatewayError::Upstream(Failure::Service(error))) if error.status == 409 => Ok(()),
        stopped => stopped.map(|_| ()),
    }
}

fn path(group: &LineGroup, operation: &str) -> String {
    let mut path = format!("{JOBS}/");
    encode_segment(group.arn.as_deref().unwrap_or_default(), &mut path);
    path.push_str(operation);
    path
}

async fn call(
    work: &Work,
    group: &LineGroup,
    (method, path): (Method, String),
    body: Option<&Value>,
) -> Result<Bytes, GatewayError> {
    let (admitted, target) = work.operator(group).await?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = body.map(Value::to_string).unwrap_or_default().into();
    let (service, kind) = (Service::Control, Kind::Unary);
    let call = Call { service, method, path, query: None, headers, body, kind };
    let transport = admitted.account_transport(&target.account);
    Ok(transport.send(call).await?.bytes(ANSWER).await?)
}

/// Whether an order is refused for good.
fn is_final(error: &GatewayError) -> bool {
    let refused = match error {
        GatewayError::Upstream(Failure::Service(error)) => error,
        GatewayError::Refused { error, .. } => error,
        GatewayError::NotListed { .. } | GatewayError::Denied(_) => return true,
        _ => return false,
    };
    let ServiceError { status, .. } = **refused;
    (400..500).contains(&status) && !matches!(status, 408 | 429)
}
