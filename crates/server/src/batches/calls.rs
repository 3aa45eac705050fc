//! Lines that are too few for a job, run as ordinary calls at a bounded pace: with the caller's key, its limits and
//! budgets. Each result is an object in the bucket, so that a process that dies loses none that was answered.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::time::Duration;

use access::Principal;
use actix_web::body::to_bytes_limited;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use bedrock::WriteCondition;
use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt as _};
use tokio::time::sleep;

use super::caller::LinePurpose;
use super::jobs::places;
use super::lines::{FileLine, FileLines};
use super::output::StoredResult;
use super::state::{BatchState, GroupMode, LineCounts};
use super::store::work_folder;
use super::validate::of_record_id;
use super::work::Work;
use crate::error::{FileRefusal, GatewayError};
use crate::request_id::RequestId;

/// Longest answer, in bytes.
const ANSWER: usize = 64 * 1024 * 1024;
/// Most lines that are run as calls.
const MOST: usize = 1_000_000;
/// Times that a call is made again while a limit has no room.
const ATTEMPTS: u32 = 20;
/// The pause before a call is made again, at least and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// The progress of the calls, which the lease's renewals write down; and whether they are to stop.
#[derive(Debug, Default, Clone)]
pub(super) struct CallProgress {
    pub(super) counts: Rc<Cell<LineCounts>>,
    pub(super) is_stopped: Rc<Cell<bool>>,
}

/// Folder of the results.
pub(super) fn results(id: &str) -> String {
    format!("{}calls/", work_folder(id))
}

/// Runs every line that has no result yet.
pub(super) async fn run(
    work: &Work,
    state: &BatchState,
    progress: &CallProgress,
) -> Result<(), GatewayError> {
    let (wanted, done) = (wanted(work, state).await?, done(work, state).await?);
    let open: HashSet<usize> = wanted.difference(&done).copied().collect();
    if open.is_empty() {
        return Ok(());
    }
    let files = work.files(state);
    let lines = FileLines::new(files.open(&state.input_file_id, None).await?);
    let principal = state.caller.principal(&work.worker).await?;
    let lines = stream::try_unfold(lines, async |mut lines| {
        Ok::<_, GatewayError>(
            lines.next().await.map_err(FileRefusal::from)?.map(|line| (line, lines)),
        )
    });
    let lines = lines.try_filter(|line| std::future::ready(open.contains(&line.number)));
    let concurrency = work.worker.now().config.batches.concurrency;
    let calls = lines.map_ok(|line| one(work, state, &principal, (line, progress)));
    calls.try_buffer_unordered(concurrency).try_for_each(|()| std::future::ready(Ok(()))).await
}

/// The lines of groups that are run as calls.
async fn wanted(work: &Work, state: &BatchState) -> Result<BTreeSet<usize>, GatewayError> {
    let mut wanted = BTreeSet::new();
    for (at, group) in state.groups.iter().enumerate() {
        if group.mode != GroupMode::Calls {
            continue;
        }
        let opened = work.bucket().open(&places(state, at).0, None).await;
        let Some(answer) = opened.map_err(FileRefusal::from)? else { continue };
        let mut records = FileLines::new(answer);
        while let Some(FileLine { text, .. }) = records.next().await.map_err(FileRefusal::from)? {
            let id = text.as_deref().and_then(record_id_of);
            wanted.extend(id.and_then(of_record_id).map(|(line, _)| line));
        }
    }
    Ok(wanted)
}

/// The id at the beginning of a record that was written here.
fn record_id_of(record: &[u8]) -> Option<&str> {
    let rest = record.strip_prefix(b"{\"recordId\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The lines that have a result.
async fn done(work: &Work, state: &BatchState) -> Result<BTreeSet<usize>, GatewayError> {
    let folder = results(&state.id);
    let keys = work.bucket().keys(&folder, MOST).await.map_err(FileRefusal::from)?;
    let lines = keys.iter().filter_map(|key| key.strip_prefix(&folder)?.parse().ok());
    Ok(lines.collect())
}

/// Runs one line and keeps its result.
async fn one(
    work: &Work,
    state: &BatchState,
    principal: &Principal,
    (line, progress): (FileLine, &CallProgress),
) -> Result<(), GatewayError> {
    let Ok(request) = line.request(state.endpoint) else { return Ok(()) };
    let mut attempt = 1;
    let (status, id, body) = loop {
        if progress.is_stopped.get() {
            return Ok(());
        }
        let (status, id, pause, body) =
            called(work, state, principal, request.body.clone()).await?;
        if !matches!(status, 429 | 503) || attempt == ATTEMPTS {
            break (status, id, body);
        }
        attempt += 1;
        sleep(pause.clamp(PAUSE, LONG_PAUSE)).await;
    };
    let result = StoredResult::json(status, &id, &body);
    let key = format!("{}{:09}", results(&state.id), line.number);
    let written = work.bucket().write(&key, result.into(), &WriteCondition::Always).await;
    written.map_err(FileRefusal::from)?;
    let mut counts = progress.counts.get();
    match status {
        200 => counts.completed += 1,
        _ => counts.failed += 1,
    }
    progress.counts.set(counts);
    Ok(())
}

/// Makes the call: its status, id, the time that it asks to wait, and its body.
async fn called(
    work: &Work,
    state: &BatchState,
    principal: &Principal,
    body: Bytes,
) -> Result<(u16, String, Duration, Bytes), GatewayError> {
    use actix_web::HttpMessage as _;
    let http = work.request(state, principal, LinePurpose::Call);
    let id = RequestId::new();
    http.extensions_mut().insert(id.clone());
    let response = state.endpoint.run(work.worker.clone(), http, body).await;
    let status = response.status();
    let pause =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let read = to_bytes_limited(response.into_body(), ANSWER).await;
    let (status, body) = match read {
        Ok(Ok(body)) => (status, body),
        Ok(Err(_)) | Err(_) => {
            let error = GatewayError::Internal("the answer of a line cannot be read".to_owned());
            let response = error.respond(state.endpoint.errors(), id.as_str());
            let body = to_bytes_limited(response.into_body(), ANSWER).await;
            (StatusCode::INTERNAL_SERVER_ERROR, body.ok().and_then(Result::ok).unwrap_or_default())
        }
    };
    let pause = Duration::from_secs(pause.unwrap_or_default());
    Ok((status.as_u16(), id.as_str().to_owned(), pause, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_record_is_read_without_its_input() {
        let record = b"{\"recordId\":\"r000000007c00000\",\"modelInput\":{\"recordId\":\"x\"}}";
        assert_eq!(record_id_of(record), Some("r000000007c00000"));
        assert_eq!(record_id_of(b"{\"modelInput\":{}}"), None);
    }
}
