//! Batch jobs: a table of those of this account, and what each does over time.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    objects::{Condition, Object},
    routes::{State, jobs::answer_record, now},
};

/// Fewest records of a job.
const FEWEST: usize = 100;
/// Most records of a job.
const MOST: usize = 50_000;
/// Portions of a job's records, each answered in half a step: a job of any size shows its progress for as long.
const PORTIONS: usize = 10;

/// The form of a job's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordForm {
    /// The model's own body.
    Invoke,
    Converse,
}

/// A job as it was created.
#[derive(Clone, Debug)]
pub(crate) struct JobOrder {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) role: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    pub(crate) form: RecordForm,
    pub(crate) hours: u64,
    /// Bucket and key of the input, which may be a prefix.
    pub(crate) input: (String, String),
    /// Bucket and prefix of the output.
    pub(crate) output: (String, String),
}

/// A job and its state.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) order: JobOrder,
    pub(crate) status: &'static str,
    pub(crate) message: Option<String>,
    pub(crate) submitted: i64,
    pub(crate) modified: i64,
    pub(crate) ended: Option<i64>,
    pub(crate) total: usize,
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
}

/// All jobs, by id.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<BTreeMap<String, Job>>);

/// One record of the input.
struct InputRecord {
    id: String,
    input: Value,
}

/// Tokens of all answers of a job.
#[derive(Default)]
struct JobTokens {
    input: u64,
    output: u64,
}

impl Jobs {
    /// Adds a job, unless one was made by the same client token; returns its ARN, and whether it is new.
    pub(crate) fn add(&self, id: &str, order: JobOrder) -> (String, bool) {
        let mut jobs = self.lock();
        let same = |job: &&Job| order.token.is_some() && job.order.token == order.token;
        if let Some(known) = jobs.values().find(same) {
            return (known.order.arn.clone(), false);
        }
        let (arn, at) = (order.arn.clone(), now());
        let job = Job {
            order,
            status: "Submitted",
            message: None,
            submitted: at,
            modified: at,
            ended: None,
            total: 0,
            succeeded: 0,
            failed: 0,
        };
        jobs.insert(id.to_owned(), job);
        (arn, true)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Job> {
        self.lock().get(id).cloned()
    }

    /// All jobs, the latest first.
    pub(crate) fn all(&self) -> Vec<Job> {
        let mut jobs: Vec<Job> = self.lock().values().cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.submitted));
        jobs
    }

    /// Changes a job; absent without one.
    pub(crate) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Job) -> T) -> Option<T> {
        self.lock().get_mut(id).map(|job| {
            job.modified = now();
            change(job)
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        // A panic elsewhere leaves the table intact: every change is one insertion or one field.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    fn ends(&mut self, status: &'static str, message: Option<String>) {
        (self.status, self.message, self.ended) = (status, message, Some(now()));
    }
}

/// Runs a job to its end.
pub(crate) async fn run(state: Arc<State>, id: String) {
    let step = state.options.job_step;
    for status in ["Validating", "Scheduled", "InProgress"] {
        tokio::time::sleep(step).await;
        let read = (status == "Validating").then(|| records(&state, &id));
        let begun = state.jobs.change(&id, |job| match (job.status, read) {
            ("Stopping", _) => {
                job.ends("Stopped", None);
                false
            }
            (_, Some(Err(message))) => {
                job.ends("Failed", Some(message));
                false
            }
            (_, Some(Ok(records))) => {
                job.total = records.len();
                job.status = status;
                true
            }
            (_, None) => {
                job.status = status;
                true
            }
        });
        if begun != Some(true) {
            return;
        }
    }
    let (Ok(records), Some(job)) = (records(&state, &id), state.jobs.find(&id)) else { return };
    answer(&state, &id, &job.order, records).await;
}

/// Answers the records in portions, and writes the answers.
async fn answer(state: &State, id: &str, order: &JobOrder, mut records: Vec<InputRecord>) {
    let expires = order.role.ends_with("expires");
    // The service guarantees no order.
    records.sort_by_key(|record| shuffled(&record.id));
    let answered = if expires { records.len() / 2 } else { records.len() };
    let (mut lines, mut tokens, mut end) = (Vec::new(), JobTokens::default(), None);
    for portion in records[..answered].chunks(answered.div_ceil(PORTIONS).max(1)) {
        tokio::time::sleep(state.options.job_step / 2).await;
        let stopped = state.jobs.find(id).is_none_or(|job| job.status == "Stopping");
        if stopped {
            end = Some("Stopped");
            break;
        }
        let mut failed = 0;
        for record in portion {
            let input = &record.input;
            let line = match answer_record(state, order, input) {
                Ok(output) => {
                    tokens.add(&output);
                    json!({ "modelInput": input, "modelOutput": output, "recordId": record.id })
                }
                Err((code, message)) => {
                    failed += 1;
                    let error = json!({ "errorCode": code, "errorMessage": message });
                    json!({ "modelInput": input, "error": error, "recordId": record.id })
                }
            };
            lines.extend(line.to_string().into_bytes());
            lines.push(b'\n');
        }
        state.jobs.change(id, |job| {
            job.failed += failed;
            job.succeeded += portion.len() - failed;
        });
    }
    write(state, id, order, (lines, &tokens));
    let late = if expires { "Expired" } else { "Completed" };
    state.jobs.change(id, |job| {
        let done = if job.failed > 0 && late == "Completed" { "PartiallyCompleted" } else { late };
        job.ends(end.unwrap_or(done), None);
    });
}

/// Writes the answers and the manifest.
fn write(state: &State, id: &str, order: &JobOrder, (lines, tokens): (Vec<u8>, &JobTokens)) {
    let Some(job) = state.jobs.find(id) else { return };
    let (bucket, prefix) = &order.output;
    let folder = match prefix.trim_end_matches('/') {
        "" => id.to_owned(),
        prefix => format!("{prefix}/{id}"),
    };
    let name = order.input.1.rsplit('/').next().unwrap_or_default();
    let manifest = json!({
        "totalRecordCount": job.total,
        "processedRecordCount": job.succeeded + job.failed,
        "successRecordCount": job.succeeded,
        "errorRecordCount": job.failed,
        "inputTokenCount": tokens.input,
        "outputTokenCount": tokens.output,
    });
    let files = [
        (format!("{folder}/{name}.out"), lines),
        (format!("{folder}/manifest.json.out"), manifest.to_string().into_bytes()),
    ];
    for (key, body) in files {
        let object = Object::new(Bytes::from(body), "application/octet-stream", now());
        if let Err(objection) = state.objects.put((bucket, &key), object, &Condition::Always) {
            log::warn!("the output of job {id} is not written: {objection:?}");
        }
    }
}

/// The records of a job's input.
fn records(state: &State, id: &str) -> Result<Vec<InputRecord>, String> {
    let Some(job) = state.jobs.find(id) else { return Err("no such job".to_owned()) };
    let ((bucket, key), arn) = (&job.order.input, &job.order.arn);
    if job.order.role.ends_with("fails") {
        return Err(format!(
            "Access denied when reading s3://{bucket}/{key}: the role {} has no permission.",
            job.order.role
        ));
    }
    let files = match state.objects.find(bucket, key) {
        Some(object) => vec![object],
        None => {
            let folder = format!("{}/", key.trim_end_matches('/'));
            let below = state.objects.list(bucket, &folder, "");
            below.into_iter().filter(|(key, _)| key.ends_with(".jsonl")).map(|(_, it)| it).collect()
        }
    };
    let mut records = Vec::new();
    for line in files.iter().flat_map(|file| file.body.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| format!("Batch job {arn} has a line that is not JSON: {error}"))?;
        let id = value.get("recordId").and_then(Value::as_str);
        let Some(input) = value.get("modelInput").filter(|input| input.is_object()) else {
            return Err(format!("Batch job {arn} has a line without modelInput"));
        };
        let generated = || format!("CALL{:07}", records.len());
        let id = id.map_or_else(generated, ToOwned::to_owned);
        records.push(InputRecord { id, input: input.clone() });
    }
    match records.len() {
        count if count < FEWEST => Err(format!(
            "Batch job {arn} contains less records ({count}) than the required minimum of: {FEWEST}"
        )),
        count if count > MOST => Err(format!(
            "Batch job {arn} contains more records ({count}) than the allowed maximum of: {MOST}"
        )),
        _ => Ok(records),
    }
}

impl JobTokens {
    fn add(&mut self, output: &Value) {
        let usage = &output["usage"];
        let count = |names: [&str; 2]| {
            names.iter().find_map(|name| usage.get(name)?.as_u64()).unwrap_or_default()
        };
        self.input += count(["inputTokens", "input_tokens"]);
        self.output += count(["outputTokens", "output_tokens"]);
    }
}

fn shuffled(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
