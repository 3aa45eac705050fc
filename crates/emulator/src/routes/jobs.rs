//! The operations on batch jobs, and the answer to one of their records.

use actix_web::web;
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Request, State, converse, invoke, s3};
use crate::{
    auth::Caller,
    delivery::{Act, Reply},
    error::Refusal,
    jobs::{Job, JobOrder, RecordForm, run},
    json::text,
    models::ACCOUNT,
    validate::Mode,
};

/// Characters of a job's id.
const ID: usize = 12;
/// Hours that a job may last.
const HOURS: std::ops::RangeInclusive<u64> = 24..=168;

/// CreateModelInvocationJob.
pub(super) fn create(state: &web::Data<State>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let body = request.json()?;
    let id = Uuid::now_v7().simple().to_string();
    // Its end is random.
    let id = &id[id.len() - ID..];
    let order = order(state, request, (id, &body))?;
    let (arn, is_new) = state.jobs.add(id, order);
    if is_new {
        actix_rt::spawn(run(state.clone().into_inner(), id.to_owned()));
    }
    Ok(Reply::json(200, &json!({ "jobArn": arn })))
}

/// GetModelInvocationJob.
pub(super) fn describe(state: &State, id: &str) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &described(&found(state, id)?)))
}

/// ListModelInvocationJobs, in pages.
pub(super) fn list(state: &State, request: &Request<'_>) -> Result<Reply, Refusal> {
    let status = request.parameter("statusEquals");
    let name = request.parameter("nameContains");
    let size = request.parameter("maxResults").and_then(|size| size.parse().ok()).unwrap_or(100);
    let start = match request.parameter("nextToken") {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| Refusal::validation("The provided nextToken is invalid."))?,
    };
    let jobs = state.jobs.all().into_iter();
    let jobs: Vec<Value> = jobs
        .filter(|job| status.as_deref().is_none_or(|status| job.status == status))
        .filter(|job| name.as_deref().is_none_or(|part| job.order.name.contains(part)))
        .map(|job| described(&job))
        .collect();
    let page: Vec<&Value> = jobs.iter().skip(start).take(size).collect();
    let mut answer = json!({ "invocationJobSummaries": page });
    if start + size < jobs.len() {
        answer["nextToken"] = json!((start + size).to_string());
    }
    Ok(Reply::json(200, &answer))
}

/// StopModelInvocationJob.
pub(super) fn stop(state: &State, id: &str) -> Result<Reply, Refusal> {
    let job = found(state, id)?;
    if job.is_over() {
        return Err(Refusal::new(
            409,
            "ConflictException",
            format!(
                "The job {} is in the status {} and cannot be stopped.",
                job.order.arn, job.status
            ),
        ));
    }
    state.jobs.change(&job_id(id), |job| job.status = "Stopping");
    Ok(Reply::json(200, &json!({})))
}

/// The answer to one record, or its error's code and message.
pub(crate) fn answer_record(
    state: &State,
    order: &JobOrder,
    input: &Value,
) -> Result<Value, (u16, String)> {
    if order.form == RecordForm::Converse && input.get("toolConfig").is_some() {
        return Err((400, "toolConfig is not supported in batch inference.".to_owned()));
    }
    let body = Bytes::from(input.to_string());
    let region = Some(order.region.clone());
    let caller = Caller { region, service: None, account: ACCOUNT.to_owned() };
    let request = Request { caller, query: "", body: &body };
    let answered = match order.form {
        RecordForm::Converse => converse::answer(state, &request, &order.model, Mode::Unary),
        RecordForm::Invoke => invoke::answer(state, &request, &order.model, Mode::Unary),
    };
    let reply = answered.unwrap_or_else(Refusal::reply);
    let bytes: Vec<u8> = reply.body.iter().flat_map(sent).copied().collect();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    match (reply.status, value.is_object()) {
        (200, true) => Ok(value),
        (200, false) => Err((500, "The answer broke off.".to_owned())),
        (status, _) => Err((status, text(&value, "message").to_owned())),
    }
}

fn sent(act: &Act) -> &[u8] {
    match act {
        Act::Send(bytes) => bytes,
        Act::Wait(_) | Act::Stall | Act::Reset | Act::Close | Act::Cut => &[],
    }
}

fn order(
    state: &State,
    request: &Request<'_>,
    (id, body): (&str, &Value),
) -> Result<JobOrder, Refusal> {
    let required = |member: &'static str| {
        let value = text(body, member);
        match value.is_empty() {
            true => Err(Refusal::validation(format!(
                "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
            ))),
            false => Ok(value.to_owned()),
        }
    };
    let name = required("jobName")?;
    if name.len() > 63 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Refusal::validation("The job name is not valid."));
    }
    let role = required("roleArn")?;
    if !role.starts_with("arn:aws") || !role.contains(":iam::") || !role.contains(":role/") {
        return Err(Refusal::validation("The role ARN is not valid."));
    }
    let model = required("modelId")?;
    state.models.resolve(&model, request.caller.region.as_deref())?;
    let form = match text(body, "modelInvocationType") {
        "" | "InvokeModel" => RecordForm::Invoke,
        "Converse" => RecordForm::Converse,
        other => {
            return Err(Refusal::validation(format!("{other} is not a modelInvocationType.")));
        }
    };
    let hours = body.get("timeoutDurationInHours").map_or(Some(24), Value::as_u64);
    let hours = hours.filter(|hours| HOURS.contains(hours)).ok_or_else(|| {
        Refusal::validation("timeoutDurationInHours must be between 24 and 168 hours.")
    })?;
    let region = request.region().to_owned();
    Ok(JobOrder {
        arn: format!("arn:aws:bedrock:{region}:{ACCOUNT}:model-invocation-job/{id}"),
        name,
        model,
        role,
        token: body.get("clientRequestToken").and_then(Value::as_str).map(ToOwned::to_owned),
        region,
        form,
        hours,
        input: place(body, "/inputDataConfig/s3InputDataConfig/s3Uri")?,
        output: place(body, "/outputDataConfig/s3OutputDataConfig/s3Uri")?,
    })
}

fn place(body: &Value, pointer: &str) -> Result<(String, String), Refusal> {
    let uri = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let rest = uri.strip_prefix("s3://").ok_or_else(|| {
        Refusal::validation(format!("{pointer} must be an address of the form s3://bucket/key."))
    })?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((bucket.to_owned(), key.to_owned()))
}

fn found(state: &State, id: &str) -> Result<Job, Refusal> {
    state.jobs.find(&job_id(id)).ok_or_else(|| {
        let message = format!("Could not find the model invocation job {id}.");
        Refusal::new(404, "ResourceNotFoundException", message)
    })
}

/// Jobs are named by their ARN or by its last part.
fn job_id(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

fn described(job: &Job) -> Value {
    let order = &job.order;
    let uri = |(bucket, key): &(String, String)| format!("s3://{bucket}/{key}");
    let form = match order.form {
        RecordForm::Invoke => "InvokeModel",
        RecordForm::Converse => "Converse",
    };
    let mut told = json!({
        "jobArn": order.arn,
        "jobName": order.name,
        "modelId": order.model,
        "roleArn": order.role,
        "status": job.status,
        "submitTime": s3::iso_date(job.submitted),
        "lastModifiedTime": s3::iso_date(job.modified),
        "jobExpirationTime": s3::iso_date(job.submitted + i64::try_from(order.hours * 3600).unwrap_or_default()),
        "inputDataConfig": { "s3InputDataConfig": { "s3Uri": uri(&order.input), "s3InputFormat": "JSONL" } },
        "outputDataConfig": { "s3OutputDataConfig": { "s3Uri": uri(&order.output) } },
        "timeoutDurationInHours": order.hours,
        "modelInvocationType": form,
        "totalRecordCount": job.total,
        "processedRecordCount": job.succeeded + job.failed,
        "successRecordCount": job.succeeded,
        "errorRecordCount": job.failed,
    });
    if let Some(token) = &order.token {
        told["clientRequestToken"] = json!(token);
    }
    if let Some(message) = &job.message {
        told["message"] = json!(message);
    }
    if let Some(ended) = job.ended {
        told["endTime"] = json!(s3::iso_date(ended));
    }
    told
}
