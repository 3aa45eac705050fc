//! The first step of a batch: every line is read and translated, and its records are written into the input of the
//! job for its model. A line that is no request has an error of its own and spoils no other.

use std::collections::HashSet;

use bedrock::Upload;

use super::caller::LinePurpose;
use super::lines::FileLines;
use super::state::{BatchState, GroupMode, LineCounts, LineGroup, LineProblem};
use super::store::work_folder;
use super::work::Work;
use crate::config::SmallBatches;
use crate::error::{FileRefusal, GatewayError};
use crate::pipeline::record::RecordPlan;

/// Most groups of lines, each for a model of its own.
const GROUPS: usize = 16;

/// The lines of a file, by what is to be done with them.
#[derive(Debug)]
pub(super) enum Sorted {
    Groups {
        groups: Vec<LineGroup>,
        counts: LineCounts,
    },
    /// The batch fails.
    Unusable(Vec<LineProblem>),
}

/// The inputs of jobs that are being written.
struct Inputs<'w> {
    work: &'w Work,
    folder: String,
    groups: Vec<LineGroup>,
    uploads: Vec<Upload>,
}

/// Reads every line, and writes the records of those that are requests.
pub(super) async fn sort(work: &Work, state: &BatchState) -> Result<Sorted, GatewayError> {
    let files = work.files(state);
    let answer = match files.find(&state.input_file_id).await {
        Ok(_) => files.open(&state.input_file_id, None).await?,
        Err(GatewayError::NotKept(..)) => {
            let message = "The input file is gone.";
            return Ok(Sorted::Unusable(vec![LineProblem::of_file("file_not_found", message)]));
        }
        Err(error) => return Err(error),
    };
    let folder = work_folder(&state.id);
    let mut inputs = Inputs { work, folder, groups: Vec::new(), uploads: Vec::new() };
    let read = inputs.fill(state, FileLines::new(answer)).await;
    match read {
        Ok(Ok(counts)) => inputs.finish(counts).await,
        Ok(Err(problem)) => {
            inputs.abort().await;
            Ok(Sorted::Unusable(vec![problem]))
        }
        Err(error) => {
            inputs.abort().await;
            Err(error)
        }
    }
}

impl Inputs<'_> {
    async fn fill(
        &mut self,
        state: &BatchState,
        mut lines: FileLines,
    ) -> Result<Result<LineCounts, LineProblem>, GatewayError> {
        let principal = state.caller.principal(&self.work.worker).await?;
        let most = self.work.worker.now().config.batches.max_lines;
        let mut seen = HashSet::new();
        let mut counts = LineCounts::default();
        while let Some(line) = lines.next().await.map_err(FileRefusal::from)? {
            counts.total += 1;
            if counts.total > most {
                let message = format!("A batch has {most} lines at most here.");
                return Ok(Err(LineProblem::of_file("too_many_lines", message)));
            }
            let Ok(request) = line.request(state.endpoint) else {
                counts.failed += 1;
                continue;
            };
            if !seen.insert(request.custom_id) {
                counts.failed += 1;
                continue;
            }
            let http = self.work.request(state, &principal, LinePurpose::Translate);
            let plan = state.endpoint.plan(&self.work.worker, &http, request.body).await;
            match plan {
                Ok(plan) if self.has_room(&plan) => self.add(line.number, &plan).await?,
                Ok(_) => counts.failed += 1,
                // The line is translated again when the answers are written, and tells its error then.
                Err(error) if is_of_line(&error) => counts.failed += 1,
                Err(error) => return Err(error),
            }
            // Other batches of this process shall go on too.
            tokio::task::yield_now().await;
        }
        if counts.total == 0 {
            let message = "The input file has no lines.";
            return Ok(Err(LineProblem::of_file("empty_file", message)));
        }
        Ok(Ok(counts))
    }

    fn place(&self, plan: &RecordPlan) -> Option<usize> {
        self.groups.iter().position(|group| {
            group.model == plan.target.model.model_id
                && group.region == plan.target.account.region()
                && group.form == plan.form.name()
        })
    }

    fn has_room(&self, plan: &RecordPlan) -> bool {
        self.groups.len() < GROUPS || self.place(plan).is_some()
    }

    async fn add(&mut self, line: usize, plan: &RecordPlan) -> Result<(), GatewayError> {
        let at = match self.place(plan) {
            Some(at) => at,
            None => {
                let (model, region) = (&plan.target.model.model_id, plan.target.account.region());
                self.groups.push(LineGroup::new(&plan.name, (model, region, plan.form.name())));
                let at = self.groups.len() - 1;
                let key = format!("{}in/{at}.jsonl", self.folder);
                self.uploads.push(self.work.bucket().upload(&key));
                at
            }
        };
        let (Some(group), Some(upload)) = (self.groups.get_mut(at), self.uploads.get_mut(at))
        else {
            return Err(GatewayError::Internal("a group of lines was lost".to_owned()));
        };
        group.lines += 1;
        for (call, input) in plan.inputs.iter().enumerate() {
            group.records += 1;
            let head = format!("{{\"recordId\":\"{}\",\"modelInput\":", record_id(line, call));
            for piece in [head.as_bytes(), input, b"}\n"] {
                upload.push(piece).await.map_err(FileRefusal::from)?;
            }
        }
        Ok(())
    }

    /// Completes the inputs and decides what becomes of each group.
    async fn finish(self, counts: LineCounts) -> Result<Sorted, GatewayError> {
        let Self { work, mut groups, uploads, folder: _ } = self;
        for upload in uploads {
            upload.finish().await.map_err(FileRefusal::from)?;
        }
        let now = work.worker.now();
        let batches = &now.config.batches;
        let mut problems = Vec::new();
        for group in &mut groups {
            let is_small = group.records < batches.min_records;
            group.mode = match (is_small, batches.small) {
                (true, SmallBatches::Run) => GroupMode::Calls,
                (true, SmallBatches::Fail) => {
                    let message = format!(
                        "A job has {} records at least, and {} has {} here.",
                        batches.min_records, group.name, group.records
                    );
                    problems.push(LineProblem::of_file("too_few_records", message));
                    continue;
                }
                (false, _) => GroupMode::Job,
            };
        }
        let wants_jobs = groups.iter().any(|group| group.mode == GroupMode::Job);
        if wants_jobs && batches.role_arn.is_none() {
            let message = "This gateway starts no jobs: its operator names a role for Bedrock in batches.role_arn.";
            problems.push(LineProblem::of_file("batches_not_configured", message));
        }
        Ok(match problems.is_empty() {
            true => Sorted::Groups { groups, counts },
            false => Sorted::Unusable(problems),
        })
    }

    async fn abort(&mut self) {
        for upload in &mut self.uploads {
            upload.abort().await;
        }
    }
}

/// Whether an error is the line's own: others are tried again.
pub(super) fn is_of_line(error: &GatewayError) -> bool {
    let status = error.render().status;
    (400..500).contains(&status) && !matches!(status, 408 | 429)
}

/// The id of a record: the number of its line, and of the call among those of the line.
fn record_id(line: usize, call: usize) -> String {
    format!("r{line:09}c{call:05}")
}

/// The line and the call of a record.
pub(super) fn of_record_id(id: &str) -> Option<(usize, usize)> {
    let (line, call) = id.strip_prefix('r')?.split_once('c')?;
    Some((line.parse().ok()?, call.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_by_their_ids() {
        for place in [(1, 0), (50_000, 95), (999_999_999, 0)] {
            let id = record_id(place.0, place.1);
            assert!(id.len() >= 11 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
            assert_eq!(of_record_id(&id), Some(place));
        }
        for other in ["", "CALL0000001", "r1", "rxc1"] {
            assert_eq!(of_record_id(other), None);
        }
    }
}
