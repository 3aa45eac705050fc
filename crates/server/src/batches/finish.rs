//! The last step of a batch: the answers are written in the order of the lines, and the jobs are booked.

use std::io;

use access::accounts::CallAsk;
use access::ledger::CallOutcome;
use access::{Caller, Holder};
use access::{KeyRecord, Nanodollars, Principal};
use bedrock::{Exception, Failure, ServiceError, Upload};
use bytes::Bytes;
use schema::converse::response::{ConverseResponse, TokenUsage};
use translate::batch::converse_answer;
use translate::{Invalid, Stamp};

use super::caller::{BatchCaller, LinePurpose};
use super::calls::results;
use super::jobs::places;
use super::lines::{FileLine, FileLines, LineRequest};
use super::output::{LineEnd, StoredResult};
use super::spool::{RecordOutput, Spool};
use super::state::{BatchApi, BatchState, GroupMode, LineCounts, LineGroup};
use super::validate::is_of_line;
use super::work::Work;
use crate::call_price::{CallPrice, counted};
use crate::error::{FileRefusal, GatewayError};
use crate::file_store::{FileRecord, unix_now};
use crate::request_id::RequestId;

/// Longest result of a call, in bytes.
const RESULT: usize = 65 * 1024 * 1024;
/// Most results of calls.
const MOST: usize = 1_000_000;

/// The files of a batch that was written.
pub(super) struct BatchFiles {
    pub(super) counts: LineCounts,
    pub(super) has_output: bool,
    pub(super) has_errors: bool,
}

/// The usage of a group's job.
#[derive(Debug, Clone, Copy, Default)]
struct GroupUsage {
    usage: TokenUsage,
    /// Picodollars; none once a record has no price.
    cost: Option<u128>,
    records: usize,
}

/// One pass over the lines.
struct Pass<'w> {
    work: &'w Work,
    state: &'w BatchState,
    principal: Result<Principal, GatewayError>,
    spool: Spool,
    prices: Vec<Option<CallPrice>>,
    used: Vec<GroupUsage>,
}

/// Writes the files of a batch and books its jobs. It may be done again after it broke off.
pub(super) async fn write(work: &Work, state: &BatchState) -> Result<BatchFiles, GatewayError> {
    let spool = filled(work, state).await?;
    let principal = match state.caller.principal(&work.worker).await {
        Err(error) if !is_of_line(&error) => return Err(error),
        principal => principal,
    };
    let mut prices = Vec::new();
    for group in &state.groups {
        let is_job = group.mode == GroupMode::Job;
        let target = if is_job { work.operator(group).await.ok() } else { None };
        prices.push(target.map(|(_, target)| CallPrice::of(&target.model)));
    }
    let none = GroupUsage { cost: Some(0), ..GroupUsage::default() };
    let used = vec![none; state.groups.len()];
    let mut pass = Pass { work, state, principal, spool, prices, used };
    let files = work.files(state);
    let (mut output, mut errors) = (files.upload(&state.output_id), files.upload(&state.error_id));
    let passed = pass.run((&mut output, &mut errors)).await;
    let counts = match passed {
        Ok(counts) => counts,
        Err(error) => {
            output.abort().await;
            errors.abort().await;
            return Err(error);
        }
    };
    let has_output = keep(work, state, (output, &state.output_id, "output")).await?;
    let has_errors = keep(work, state, (errors, &state.error_id, "errors")).await?;
    pass.book().await?;
    Ok(BatchFiles { counts, has_output, has_errors })
}

/// Keeps a file of answers, unless it is empty.
async fn keep(
    work: &Work,
    state: &BatchState,
    (upload, id, name): (Upload, &str, &str),
) -> Result<bool, GatewayError> {
    if upload.size() == 0 {
        return Ok(false);
    }
    let bytes = upload.finish().await.map_err(FileRefusal::from)?;
    let created_at = unix_now();
    let record = FileRecord {
        id: id.to_owned(),
        bytes,
        created_at,
        filename: format!("{}_{name}.jsonl", state.id),
        purpose: "batch_output".to_owned(),
        expires_at: state.output_seconds.map(|seconds| created_at + seconds),
        content_type: None,
    };
    work.files(state).keep(&record).await?;
    Ok(true)
}

/// All answers that jobs and calls have given.
async fn filled(work: &Work, state: &BatchState) -> Result<Spool, GatewayError> {
    let mut spool = Spool::new().map_err(unspooled)?;
    let bucket = work.bucket();
    for (at, group) in state.groups.iter().enumerate() {
        if group.mode != GroupMode::Job {
            continue;
        }
        let keys = bucket.keys(&places(state, at).1, MOST).await.map_err(FileRefusal::from)?;
        for key in keys.iter().filter(|key| key.ends_with(".jsonl.out")) {
            let opened = bucket.open(key, None).await.map_err(FileRefusal::from)?;
            let Some(answer) = opened else { continue };
            let mut lines = FileLines::new(answer);
            while let Some(line) = lines.next().await.map_err(FileRefusal::from)? {
                if let Some(text) = &line.text {
                    spool.add_record(at, text).map_err(unspooled)?;
                }
            }
        }
    }
    let folder = results(&state.id);
    for key in bucket.keys(&folder, MOST).await.map_err(FileRefusal::from)? {
        let line = key.strip_prefix(&folder).and_then(|line| line.parse().ok());
        let found = bucket.read(&key, RESULT).await.map_err(FileRefusal::from)?;
        if let (Some(line), Some(found)) = (line, found) {
            spool.add_result(line, &found.body).map_err(unspooled)?;
        }
    }
    Ok(spool)
}

// Errors are mapped by it.
#[allow(clippy::needless_pass_by_value)]
fn unspooled(error: io::Error) -> GatewayError {
    GatewayError::Internal(format!("the answers of a batch cannot be put on disk: {error}"))
}

impl Pass<'_> {
    async fn run(
        &mut self,
        (output, errors): (&mut Upload, &mut Upload),
    ) -> Result<LineCounts, GatewayError> {
        let (state, files) = (self.state, self.work.files(self.state));
        let mut lines = FileLines::new(files.open(&state.input_file_id, None).await?);
        let mut seen = std::collections::HashSet::new();
        let mut counts = LineCounts::default();
        while let Some(line) = lines.next().await.map_err(FileRefusal::from)? {
            counts.total += 1;
            let (custom_id, end) = match line.request(state.endpoint) {
                Ok(request) if !seen.insert(request.custom_id.clone()) => {
                    let bad = super::lines::BadLine::repeated(request.custom_id, line.number);
                    (bad.custom_id, LineEnd::Bad(bad.problem))
                }
                Ok(request) => {
                    let custom_id = request.custom_id.clone();
                    (Some(custom_id), self.end(&line, request).await?)
                }
                Err(bad) => (bad.custom_id, LineEnd::Bad(bad.problem)),
            };
            match (end.is_answer(), end.is_end()) {
                (true, _) => counts.completed += 1,
                (false, true) => counts.failed += 1,
                (false, false) => {}
            }
            let text = end.line(state.api, custom_id.as_deref());
            // Anthropic's results are all in one file.
            let place = match end.is_answer() || state.api == BatchApi::Anthropic {
                true => &mut *output,
                false => &mut *errors,
            };
            place.push(&text).await.map_err(FileRefusal::from)?;
            tokio::task::yield_now().await;
        }
        Ok(counts)
    }

    /// The end of a line that holds a request.
    async fn end(
        &mut self,
        line: &FileLine,
        request: LineRequest,
    ) -> Result<LineEnd, GatewayError> {
        if let Some(result) = self.spool.result(line.number).map_err(unspooled)? {
            let unread = || GatewayError::Internal("a result cannot be read".to_owned());
            return StoredResult::end(&result).ok_or_else(unread);
        }
        let outputs = self.spool.records(line.number).map_err(unspooled)?;
        match self.answered(request, outputs).await {
            Ok(end) => Ok(end),
            Err(error) if is_of_line(&error) || error.render().status == 502 => {
                Ok(LineEnd::of_error(&error, self.state.endpoint.errors()).await)
            }
            Err(error) => Err(error),
        }
    }

    async fn answered(
        &mut self,
        request: LineRequest,
        outputs: Option<(usize, Vec<RecordOutput>)>,
    ) -> Result<LineEnd, GatewayError> {
        let endpoint = self.state.endpoint;
        let mut answers = Vec::new();
        if let Some((group, outputs)) = outputs {
            for output in outputs {
                match output {
                    RecordOutput::Answer(answer) => {
                        self.count(group, &answer);
                        answers.push(answer);
                    }
                    RecordOutput::Error(status, message) => return Err(refused(status, message)),
                }
            }
        }
        let principal = match &self.principal {
            Ok(principal) => principal,
            Err(error) => return Ok(LineEnd::of_error(error, endpoint.errors()).await),
        };
        let http = self.work.request(self.state, principal, LinePurpose::Translate);
        let plan = endpoint.plan(&self.work.worker, &http, request.body).await?;
        if answers.is_empty() {
            return self.unanswered(&plan.name);
        }
        let request_id = RequestId::new().as_str().to_owned();
        let id = request_id.replacen("req_", endpoint.answer_prefix(), 1);
        let created = u32::try_from(unix_now()).unwrap_or(u32::MAX);
        let read = plan.reader.read(answers, Stamp { id, created, model: plan.asked }).await?;
        let (body, ignored) = (Bytes::from(read.body), plan.ignored);
        Ok(LineEnd::Response { status: 200, request_id, body, ignored })
    }

    /// The end of a line that neither a job nor a call has answered.
    fn unanswered(&self, model: &str) -> Result<LineEnd, GatewayError> {
        if self.state.is_cancelled() {
            return Ok(LineEnd::Cancelled);
        }
        let group = self.state.groups.iter().find(|group| group.name == model);
        let is_expired = |group: &LineGroup| group.status.as_deref() == Some("Expired");
        if self.state.is_late() || group.is_some_and(is_expired) {
            return Ok(LineEnd::Expired);
        }
        if let Some(problem) = group.and_then(|group| group.problem.as_deref()) {
            let message = format!("Bedrock refused the job of this line: {problem}");
            return Err(Invalid::value("model", message).with_code("job_refused").into());
        }
        match group.map(|group| (group.mode, group.status.as_deref())) {
            Some((GroupMode::Job, Some("Failed"))) => {
                Err(refused(424, "Bedrock's job for this line failed.".to_owned()))
            }
            _ => Err(refused(424, "Bedrock did not answer this line.".to_owned())),
        }
    }

    /// Adds the usage of an answer to that of its group.
    fn count(&mut self, group: usize, answer: &Bytes) {
        let usage = usage_of(answer);
        let price = self.prices.get(group).and_then(Option::as_ref);
        let cost = price.and_then(|price| price.batch_cost(usage)).map(|cost| u128::from(cost.0));
        if let Some(used) = self.used.get_mut(group) {
            used.records += 1;
            used.usage = sum(used.usage, usage);
            used.cost = used.cost.zip(cost).map(|(sum, cost)| sum.saturating_add(cost));
        }
    }

    /// Writes a row for each job. A row that was written before is not written again.
    async fn book(&self) -> Result<(), GatewayError> {
        let Some(accounts) = self.work.worker.shared.accounts.as_deref() else { return Ok(()) };
        let caller = self.caller();
        for ((group, used), price) in self.state.groups.iter().zip(&self.used).zip(&self.prices) {
            if group.mode != GroupMode::Job || used.records == 0 {
                continue;
            }
            let ask = CallAsk {
                id: group.row.clone(),
                call_type: self.state.endpoint.call_type().to_owned(),
                model_asked: group.name.clone(),
                model_names: vec![group.name.clone(), group.model.clone()],
                session_id: Some(self.state.id.clone()),
                ..CallAsk::default()
            };
            let outcome = self.outcome(group, used, price.as_ref());
            let booked = accounts.book(&caller, ask, outcome).await;
            booked.map_err(|error| GatewayError::StoreAway(error.to_string()))?;
        }
        Ok(())
    }

    /// The caller for rows: of a key that is gone, its id.
    fn caller(&self) -> Caller {
        let principal = match (&self.principal, &self.state.caller) {
            (Ok(principal), _) => principal.clone(),
            (Err(_), BatchCaller::Key(id)) => {
                let key = KeyRecord { id: id.clone(), ..KeyRecord::default() };
                Principal::Key(std::sync::Arc::new(Holder { key, ..Holder::default() }))
            }
            (Err(_), BatchCaller::Master) => Principal::Master,
            (Err(_), BatchCaller::Anonymous) => Principal::Anonymous,
        };
        Caller::from(principal)
    }

    fn outcome(
        &self,
        group: &LineGroup,
        used: &GroupUsage,
        price: Option<&CallPrice>,
    ) -> CallOutcome {
        let counted = counted(used.usage);
        let row = price.and_then(|price| price.batch_row(used.usage));
        let (price_id, price_source) = row.unzip();
        let cost = used.cost.and_then(|cost| i128::try_from(cost).ok());
        let seconds = unix_now().saturating_sub(self.state.created_at);
        CallOutcome {
            model: group.model.clone(),
            model_group: (group.name != group.model).then(|| group.name.clone()),
            region: Some(group.region.clone()),
            reach: price.map(CallPrice::reach),
            tier: Some("batch".to_owned()),
            input: counted.input,
            output: counted.output,
            cache_read: counted.cache_read,
            cache_write_5m: counted.cache_write,
            cache_write_1h: counted.cache_write_1h,
            cost: cost.map(Nanodollars::from_picodollars),
            price_id,
            price_source,
            status: 200,
            total_ms: seconds.saturating_mul(1000),
            attempts: 1,
            ..CallOutcome::default()
        }
    }
}

/// An error of the service for one record, as for a call.
fn refused(status: u16, message: String) -> GatewayError {
    let name = match status {
        400 => "ValidationException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        _ => "InternalServerException",
    };
    let error = ServiceError {
        status: if (400..600).contains(&status) { status } else { 500 },
        exception: Exception::from_name(name),
        message,
        request_id: None,
        retry_after: None,
        original_status: None,
        headers: http::HeaderMap::new(),
        body: Bytes::new(),
    };
    GatewayError::Upstream(Failure::Service(Box::new(error)))
}

/// The usage that an answer tells, in any of the forms of records.
fn usage_of(answer: &Bytes) -> TokenUsage {
    let as_converse = converse_answer(answer);
    let read: Option<ConverseResponse<'_>> =
        serde_json::from_slice(as_converse.as_deref().unwrap_or(answer)).ok();
    read.map_or_else(|| embedded(answer), |answer| answer.usage)
}

/// The usage of an answer with vectors.
fn embedded(answer: &Bytes) -> TokenUsage {
    let value: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let pointers = ["/inputTextTokenCount", "/meta/billed_units/input_tokens"];
    let tokens = pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_u64());
    let tokens = tokens.unwrap_or_default();
    TokenUsage { input_tokens: tokens, total_tokens: tokens, ..TokenUsage::default() }
}

fn sum(one: TokenUsage, other: TokenUsage) -> TokenUsage {
    let mut sum = one;
    sum.input_tokens += other.input_tokens;
    sum.output_tokens += other.output_tokens;
    sum.total_tokens += other.total_tokens;
    sum.cache_read_input_tokens += other.cache_read_input_tokens;
    sum.cache_write_input_tokens += other.cache_write_input_tokens;
    sum.cache_details.five_minutes += other.cache_details.five_minutes;
    sum.cache_details.one_hour += other.cache_details.one_hour;
    sum
}
