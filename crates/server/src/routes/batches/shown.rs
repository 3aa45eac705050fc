//! Batches in OpenAI's shape, with what became of their lines here.

use serde_json::{Value, json};

use crate::batches::{BatchState, LineProblem};

/// A batch.
pub(super) fn shown(state: &BatchState) -> Value {
    let counts = state.progress();
    let errors = match state.problems.as_slice() {
        [] => Value::Null,
        problems => {
            json!({ "object": "list", "data": problems.iter().map(problem).collect::<Vec<_>>() })
        }
    };
    let file = |exists: bool, id: &str| if exists { json!(id) } else { Value::Null };
    let groups = state.groups.iter().map(|group| {
        json!({
            "model": group.model,
            "region": group.region,
            "mode": group.mode,
            "lines": group.lines,
            "job_status": group.status,
        })
    });
    json!({
        "id": state.id,
        "object": "batch",
        "endpoint": state.endpoint,
        "errors": errors,
        "input_file_id": state.input_file_id,
        "completion_window": state.completion_window,
        "status": state.status,
        "output_file_id": file(state.has_output, &state.output_id),
        "error_file_id": file(state.has_errors, &state.error_id),
        "created_at": state.created_at,
        "in_progress_at": state.in_progress_at,
        "expires_at": state.expires_at,
        "finalizing_at": state.finalizing_at,
        "completed_at": state.completed_at,
        "failed_at": state.failed_at,
        "expired_at": state.expired_at,
        "cancelling_at": state.cancelling_at,
        "cancelled_at": state.cancelled_at,
        "request_counts": {
            "total": counts.total, "completed": counts.completed, "failed": counts.failed,
        },
        "metadata": state.metadata,
        "outcrop": { "groups": groups.collect::<Vec<_>>() },
    })
}

/// A page of batches.
pub(super) fn shown_page(states: &[BatchState], has_more: bool) -> Value {
    let ids: Vec<&str> = states.iter().map(|state| state.id.as_str()).collect();
    json!({
        "object": "list",
        "data": states.iter().map(shown).collect::<Vec<_>>(),
        "first_id": ids.first(),
        "last_id": ids.last(),
        "has_more": has_more,
    })
}

fn problem(problem: &LineProblem) -> Value {
    let LineProblem { code, message, param, line } = problem;
    json!({ "code": code, "message": message, "param": param, "line": line })
}
