//! The end of a request, on drop: its reservation, its metrics, its line in the access log, and its trace.

use std::time::Instant;

use access::KeyRecord;
use access::ledger::Refusal;
use routing::catalogue::Day;

use super::RequestContext;
use crate::request::settlement::{CallEnd, ContinuedBy, EndedCall};
use crate::telemetry::access_log::{AccessLine, AccessLog};
use crate::telemetry::metrics::{EndedRequest, ModelNamed, Outcome};
use crate::telemetry::traces::{EndedTrace, RequestStep};

/// The key's id and token in refusals of the master key.
const MASTER: &str = "master";

impl RequestContext {
    /// Takes the call that went on with the answer for the one of the request.
    fn goes_on(&mut self) {
        let Some(ContinuedBy { label, region, price, attempts, made }) =
            self.settlement.take_continued()
        else {
            return;
        };
        self.is_continued = true;
        if let Some(log) = &mut self.attempt_log {
            (log.target, log.region) = (label, region);
            log.attempts += attempts;
            log.made.extend(made);
        }
        self.is_priced_by(&price);
    }

    /// Ends the reservations of the calls.
    fn account(&mut self) {
        if let Some((spare, model)) = self.spare.take() {
            spare.beside(self.spent.usage(), model);
        }
        let Some(reserved) = self.reserved.take() else { return self.note_refusal() };
        let end = match self.outcome {
            Outcome::Complete => CallEnd::Complete,
            Outcome::Refused if !self.may_be_billed => CallEnd::Refused,
            Outcome::Refused
            | Outcome::ClientClosed
            | Outcome::Broken
            | Outcome::Shutdown
            | Outcome::Panicked => CallEnd::CutOff,
        };
        let error_code = (end != CallEnd::Complete)
            .then(|| self.error_code.unwrap_or_else(|| self.outcome.name()));
        let ended = EndedCall {
            end,
            status: self.status,
            error_code,
            model: &self.model,
            attempt_log: self.attempt_log.as_ref(),
            spent: self.spent,
            guardrails: self.settlement.guardrails(),
            ttft: self.ttft,
            total: self.started.elapsed(),
        };
        let kind = reserved.end(&self.settlement, &ended);
        if let Some(telemetry) = &self.telemetry {
            telemetry.metrics.settled(kind);
        }
    }

    /// Hands over the refusal of a call that has no row.
    fn note_refusal(&mut self) {
        let (Some(refusal), Some(accounts)) = (self.refusal.take(), &self.accounts) else { return };
        let key = self.holder.as_ref().map(|holder| &holder.key);
        let text = |of: fn(&KeyRecord) -> &String| {
            key.map_or_else(|| MASTER.to_owned(), |key| of(key).clone())
        };
        let mut refusal = *refusal;
        if refusal.scope_id.is_empty() {
            let of_scope = match refusal.scope.as_str() {
                "key" => key.map(|key| key.id.clone()),
                "team" => key.and_then(|key| key.team_id.clone()),
                "user" => key.and_then(|key| key.user_id.clone()),
                _ => None,
            };
            refusal.scope_id = of_scope.unwrap_or_default();
        }
        accounts.refused(Refusal {
            id: self.id.as_str().to_owned(),
            at: accounts.now(),
            key_id: text(|key| &key.id),
            token: text(|key| &key.token),
            team: key.and_then(|key| key.team_id.clone()),
            user: key.and_then(|key| key.user_id.clone()),
            model: self.model.clone(),
            code: self.error_code.unwrap_or_default().to_owned(),
            status: self.status,
            count: 1,
            ..refusal
        });
    }

    /// Counts the request.
    fn count(&self) {
        let Some(telemetry) = &self.telemetry else { return };
        let metrics = &telemetry.metrics;
        metrics.in_flight.down();
        if self.is_streaming {
            metrics.streams.down();
        }
        if let Some(end) = self.attempt_log.as_ref().and_then(|log| log.end.as_deref()) {
            telemetry.model_ends.called(end, Day::today());
        }
        let guardrails = self.settlement.guardrails();
        let is_error = self.outcome != Outcome::Complete;
        metrics.ended(&EndedRequest {
            route: self.route,
            series: self.series.as_ref(),
            names_model: if self.model.is_empty() { ModelNamed::No } else { ModelNamed::Yes },
            status: self.status,
            outcome: self.outcome,
            error_code: self.error_code.filter(|_| is_error),
            total: self.started.elapsed(),
            overhead: self.overhead(),
            first_token: self.ttft.filter(|_| self.is_streaming),
            usage: self.spent.usage(),
            cost: self.spent.cost(),
            attempt_log: self.attempt_log.as_ref(),
            guardrails: (guardrails.calls, guardrails.units.total()),
            cache: self.cache,
        });
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        self.step(RequestStep::Settle);
        if std::thread::panicking() {
            (self.status, self.outcome) = (500, Outcome::Panicked);
        } else if self.outcome == Outcome::ClientClosed && self.cut.has_come() {
            (self.status, self.outcome) = (503, Outcome::Shutdown);
        }
        self.goes_on();
        self.account();
        self.count();
        self.log();
        self.end_trace();
    }
}

impl RequestContext {
    /// Writes its line.
    fn log(&mut self) {
        let (recording, is_on) = (self.recording.take(), AccessLog::is_on());
        let Some(telemetry) = self.telemetry.clone().filter(|_| is_on || recording.is_some())
        else {
            return;
        };
        let usage = self.spent.usage().unwrap_or_default();
        let guardrails = self.settlement.guardrails();
        let line = AccessLine {
            id: self.id.clone(),
            route: self.route,
            method: self.method.clone(),
            path: match &self.trace {
                None => std::mem::take(&mut self.path),
                Some(_) => self.path.clone(),
            },
            model: match &self.trace {
                None => std::mem::take(&mut self.model),
                Some(_) => self.model.clone(),
            },
            status: self.status,
            outcome: self.outcome,
            error_code: self.error_code,
            holder: self.holder.take(),
            attempt_log: match &self.trace {
                None => self.attempt_log.take(),
                Some(_) => self.attempt_log.clone(),
            },
            input: usage.input_tokens
                + usage.cache_read_input_tokens
                + usage.cache_write_input_tokens,
            output: usage.output_tokens,
            cost: self.spent.cost(),
            guardrails: (guardrails.calls, guardrails.units.total()),
            is_continued: self.is_continued,
            cache: self.cache,
            first_byte: self.ttft,
            total: self.started.elapsed(),
            overhead: self.overhead(),
            trace: self.trace.as_ref().map(|trace| trace.id),
        };
        if let Some(recording) = recording {
            recording.ended(line.members());
        }
        if is_on {
            telemetry.access_log.write(line);
        }
    }

    /// Hands over its trace.
    fn end_trace(&mut self) {
        let (Some(trace), Some(telemetry)) = (self.trace.take(), &self.telemetry) else { return };
        let Some(traces) = &telemetry.traces else { return };
        traces.end(EndedTrace {
            trace: *trace,
            ended: Instant::now(),
            request_id: self.id.as_str().to_owned(),
            route: self.route,
            method: self.method.as_str().to_owned(),
            path: std::mem::take(&mut self.path),
            model: std::mem::take(&mut self.model),
            status: self.status,
            outcome: self.outcome,
            error_code: self.error_code,
            attempt_log: self.attempt_log.take(),
            usage: self.spent.usage(),
            cost: self.spent.cost(),
            first_event: self.ttft.filter(|_| self.is_streaming),
            overhead: self.overhead(),
        });
    }
}
