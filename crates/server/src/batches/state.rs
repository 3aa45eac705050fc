//! A batch as it is kept, and the groups of its lines.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::caller::BatchCaller;
use super::plans::BatchEndpoint;
use crate::file_store::{new_id, unix_now};
use crate::request_id::RequestId;

/// Problems of a file that a batch tells.
const PROBLEMS: usize = 100;

/// The API that a batch was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchApi {
    OpenAi,
    Anthropic,
}

/// The status of a batch, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchStatus {
    Validating,
    Failed,
    InProgress,
    Finalizing,
    Completed,
    Expired,
    Cancelling,
    Cancelled,
}

/// The step that is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchPhase {
    /// The lines are read and written as records.
    Validate,
    /// Jobs are started.
    Submit,
    /// Jobs and calls are under way.
    Run,
    /// The answers are written in the order of the lines.
    Finish,
    Over,
}

/// The treatment of a group of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupMode {
    /// A job of Bedrock.
    Job,
    /// Ordinary calls.
    Calls,
    /// None: Bedrock refused the job.
    Refused,
}

/// Lines for one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineGroup {
    /// The model as the first line names it.
    pub(crate) name: String,
    /// Its id at Bedrock.
    pub(crate) model: String,
    pub(crate) region: String,
    /// The form of its records, by the name in the order of a job.
    pub(crate) form: String,
    pub(crate) mode: GroupMode,
    /// Records, and lines that they belong to.
    pub(crate) records: usize,
    pub(crate) lines: usize,
    /// The id of its row in the ledger.
    pub(crate) row: String,
    /// The job.
    pub(crate) arn: Option<String>,
    /// The job's status, by Bedrock's word.
    pub(crate) status: Option<String>,
    /// Why the job was refused.
    pub(crate) problem: Option<String>,
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
}

/// A problem of a line, or of the whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineProblem {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    pub(crate) line: Option<usize>,
}

/// Lines and their ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineCounts {
    pub(crate) total: usize,
    pub(crate) completed: usize,
    pub(crate) failed: usize,
}

/// The process that works on a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) holder: String,
    /// Milliseconds since 1970.
    pub(crate) until: u64,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BatchState {
    pub(crate) id: String,
    pub(crate) api: BatchApi,
    pub(crate) caller: BatchCaller,
    pub(crate) endpoint: BatchEndpoint,
    pub(crate) input_file_id: String,
    pub(crate) completion_window: String,
    pub(crate) metadata: Option<Map<String, Value>>,
    /// Seconds that its output is kept for.
    pub(crate) output_seconds: Option<u64>,
    pub(crate) status: BatchStatus,
    pub(crate) phase: BatchPhase,
    pub(crate) created_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) in_progress_at: Option<u64>,
    pub(crate) finalizing_at: Option<u64>,
    pub(crate) completed_at: Option<u64>,
    pub(crate) failed_at: Option<u64>,
    pub(crate) expired_at: Option<u64>,
    pub(crate) cancelling_at: Option<u64>,
    pub(crate) cancelled_at: Option<u64>,
    pub(crate) problems: Vec<LineProblem>,
    pub(crate) counts: LineCounts,
    pub(crate) groups: Vec<LineGroup>,
    /// Ids of its files, chosen before they are written.
    pub(crate) output_id: String,
    pub(crate) error_id: String,
    /// Whether those files exist.
    pub(crate) has_output: bool,
    pub(crate) has_errors: bool,
    pub(crate) lease: Option<Lease>,
}

/// The parts of a batch that its maker chooses.
pub(crate) struct BatchOrder {
    pub(crate) api: BatchApi,
    pub(crate) caller: BatchCaller,
    pub(crate) endpoint: BatchEndpoint,
    pub(crate) input_file_id: String,
    pub(crate) completion_window: String,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) output_seconds: Option<u64>,
}

/// Beginnings of the ids of batches, by API.
pub(crate) fn id_prefix(api: BatchApi) -> &'static str {
    match api {
        BatchApi::OpenAi => "batch_",
        BatchApi::Anthropic => "msgbatch_",
    }
}

impl BatchState {
    /// A batch that was just ordered, to be done within so many seconds.
    pub(crate) fn new(order: BatchOrder, seconds: u64) -> Self {
        let BatchOrder {
            api,
            caller,
            endpoint,
            input_file_id,
            completion_window,
            metadata,
            output_seconds,
        } = order;
        let created_at = unix_now();
        Self {
            id: new_id(id_prefix(api)),
            api,
            caller,
            endpoint,
            input_file_id,
            completion_window,
            metadata,
            output_seconds,
            status: BatchStatus::Validating,
            phase: BatchPhase::Validate,
            created_at,
            expires_at: created_at + seconds,
            in_progress_at: None,
            finalizing_at: None,
            completed_at: None,
            failed_at: None,
            expired_at: None,
            cancelling_at: None,
            cancelled_at: None,
            problems: Vec::new(),
            counts: LineCounts::default(),
            groups: Vec::new(),
            output_id: new_id("file-"),
            error_id: new_id("file-"),
            has_output: false,
            has_errors: false,
            lease: None,
        }
    }

    /// Lines and their ends as far as they are known. While jobs run, their own counts come on top.
    pub(crate) fn progress(&self) -> LineCounts {
        let mut counts = self.counts;
        if self.phase == BatchPhase::Run {
            counts.completed += self.groups.iter().map(|group| group.succeeded).sum::<usize>();
            counts.failed += self.groups.iter().map(|group| group.failed).sum::<usize>();
        }
        counts
    }

    /// Whether its end is asked for.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelling_at.is_some()
    }

    /// Whether its time has run out.
    pub(crate) fn is_late(&self) -> bool {
        self.expires_at <= unix_now()
    }

    /// Whether no more will be done.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == BatchPhase::Over
    }

    /// Asks for its end, once.
    pub(crate) fn cancel(&mut self) {
        if !self.is_over() && self.phase != BatchPhase::Finish && !self.is_cancelled() {
            self.cancelling_at = Some(unix_now());
            self.status = BatchStatus::Cancelling;
        }
    }

    /// Ends it without an answer.
    pub(crate) fn fail(&mut self, mut problems: Vec<LineProblem>) {
        problems.truncate(PROBLEMS);
        (self.status, self.phase) = (BatchStatus::Failed, BatchPhase::Over);
        (self.problems, self.failed_at) = (problems, Some(unix_now()));
    }

    /// Begins the next step.
    pub(crate) fn begin(&mut self, phase: BatchPhase) {
        let now = Some(unix_now());
        self.phase = phase;
        match phase {
            BatchPhase::Validate | BatchPhase::Over => {}
            BatchPhase::Submit => {
                if !self.is_cancelled() {
                    self.status = BatchStatus::InProgress;
                }
                self.in_progress_at = self.in_progress_at.or(now);
            }
            BatchPhase::Run => {}
            BatchPhase::Finish => {
                if !self.is_cancelled() {
                    self.status = BatchStatus::Finalizing;
                }
                self.finalizing_at = self.finalizing_at.or(now);
            }
        }
    }

    /// Ends it with its answers.
    pub(crate) fn complete(&mut self) {
        let now = Some(unix_now());
        let is_expired = self.groups.iter().any(|group| group.status.as_deref() == Some("Expired"));
        self.phase = BatchPhase::Over;
        if self.is_cancelled() {
            (self.status, self.cancelled_at) = (BatchStatus::Cancelled, now);
        } else if is_expired
            || (self.is_late() && self.counts.total > self.counts.completed + self.counts.failed)
        {
            (self.status, self.expired_at) = (BatchStatus::Expired, now);
        } else {
            (self.status, self.completed_at) = (BatchStatus::Completed, now);
        }
    }
}

impl BatchStatus {
    /// The name in answers and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }
}

impl LineGroup {
    /// A group whose lines are still being counted.
    pub(crate) fn new(name: &str, (model, region, form): (&str, &str, &str)) -> Self {
        Self {
            name: name.to_owned(),
            model: model.to_owned(),
            region: region.to_owned(),
            form: form.to_owned(),
            mode: GroupMode::Calls,
            records: 0,
            lines: 0,
            row: RequestId::new().as_str().to_owned(),
            arn: None,
            status: None,
            problem: None,
            succeeded: 0,
            failed: 0,
        }
    }
}

impl LineProblem {
    /// A problem of the whole file.
    pub(crate) fn of_file(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), param: None, line: None }
    }
}
