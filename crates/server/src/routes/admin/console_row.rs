//! A call or a refusal as an operator's page shows it.

use std::borrow::Cow;

use access::UtcTime;
use access::ledger::{CallRow, CallState, Closing, Refusal};
use serde::Serialize;

use super::error::AdminRefusal;
use super::report_csv::CsvTable;
use super::report_names::{KeyNames, TeamNames};
use super::request::AdminRequest;

/// Longest text of a row, in characters.
const LONGEST: usize = 256;

/// A call of the ledger, or a refusal.
#[derive(Debug)]
pub(super) enum LedgerEntry {
    Call(CallRow),
    Refusal(Refusal),
}

/// Names of the parties of rows.
#[derive(Debug)]
pub(super) struct RowNames {
    pub(super) keys: KeyNames,
    pub(super) teams: TeamNames,
}

/// An id with its name for people.
#[derive(Debug, Serialize)]
pub(super) struct NamedId<'r> {
    pub(super) id: Cow<'r, str>,
    pub(super) label: String,
}

/// A row.
#[derive(Debug, Serialize)]
pub(super) struct ConsoleRow<'r> {
    pub(super) id: &'r str,
    pub(super) at: UtcTime,
    /// `running`, `settled`, `voided`, `estimated` or `refused`.
    pub(super) state: &'static str,
    pub(super) status: u16,
    pub(super) code: Option<Cow<'r, str>>,
    pub(super) key: Option<NamedId<'r>>,
    pub(super) team: Option<NamedId<'r>>,
    pub(super) user: Option<Cow<'r, str>>,
    pub(super) end_user: Option<Cow<'r, str>>,
    pub(super) call_type: Cow<'r, str>,
    pub(super) model_asked: Cow<'r, str>,
    pub(super) model: Option<Cow<'r, str>>,
    pub(super) region: Option<&'r str>,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    /// Null where the cost is not known.
    pub(super) cost_nano: Option<String>,
    pub(super) ttft_ms: Option<u64>,
    pub(super) total_ms: Option<u64>,
    pub(super) attempts: u32,
    /// Requests that were refused alike within a second.
    pub(super) count: u64,
    /// The scope that refused.
    pub(super) scope: Option<RefusingScope<'r>>,
}

/// The scope that refused a call.
#[derive(Debug, Serialize)]
pub(super) struct RefusingScope<'r> {
    kind: &'r str,
    /// The handle of a key, else the scope's own id.
    id: Cow<'r, str>,
    label: String,
    reason: Cow<'r, str>,
}

impl LedgerEntry {
    /// Its place in the order of time.
    pub(super) fn point(&self) -> (UtcTime, String) {
        match self {
            Self::Call(row) => (row.closing.call.at, row.closing.call.id.clone()),
            Self::Refusal(refusal) => (refusal.at, refusal.id.clone()),
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Call(row) => &row.closing.call.who.key_id,
            Self::Refusal(refusal) => &refusal.key_id,
        }
    }

    fn team(&self) -> Option<&str> {
        match self {
            Self::Call(row) => row.closing.call.who.team.as_deref(),
            Self::Refusal(refusal) => refusal.team.as_deref(),
        }
    }
}

impl RowNames {
    /// The names of these rows.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn read(
        request: &AdminRequest,
        entries: &[LedgerEntry],
    ) -> Result<Self, AdminRefusal> {
        let accounts = &request.accounts;
        let keys = KeyNames::read(accounts, entries.iter().map(LedgerEntry::key)).await?;
        let teams = TeamNames::read(accounts, entries.iter().filter_map(LedgerEntry::team)).await?;
        Ok(Self { keys, teams })
    }

    fn key<'r>(&self, id: &'r str) -> Option<NamedId<'r>> {
        let token = self.keys.token(id).to_owned();
        (!id.is_empty()).then(|| NamedId { id: Cow::Owned(token), label: self.keys.shown(id) })
    }

    fn team<'r>(&self, id: Option<&'r str>) -> Option<NamedId<'r>> {
        let id = id?;
        Some(NamedId { id: Cow::Borrowed(id), label: cut(self.teams.shown(id)).into_owned() })
    }
}

impl<'r> ConsoleRow<'r> {
    /// The columns of a table, texts first.
    pub(super) const COLUMNS: [&'static str; 22] = [
        "id",
        "time",
        "state",
        "code",
        "key",
        "key_alias",
        "team",
        "user",
        "end_user",
        "call_type",
        "model_asked",
        "model",
        "region",
        "status",
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cost_usd",
        "ttft_ms",
        "total_ms",
        "attempts",
    ];

    /// The row of a call or a refusal.
    pub(super) fn of(entry: &'r LedgerEntry, names: &RowNames) -> Self {
        match entry {
            LedgerEntry::Call(row) => Self::of_call(row, names),
            LedgerEntry::Refusal(refusal) => Self::of_refusal(refusal, names),
        }
    }

    pub(super) fn of_call(row: &'r CallRow, names: &RowNames) -> Self {
        let Closing { call, state, outcome, .. } = &row.closing;
        let (who, runs) = (&call.who, row.under_way);
        let state = match state {
            _ if runs => "running",
            CallState::Settled => "settled",
            CallState::Voided => "voided",
            CallState::Estimated => "estimated",
        };
        Self {
            id: &call.id,
            at: call.at,
            state,
            status: outcome.status,
            code: outcome.error_code.as_deref().map(cut),
            key: names.key(&who.key_id),
            team: names.team(who.team.as_deref()),
            user: who.user.as_deref().map(cut),
            end_user: who.customer.as_deref().map(cut),
            call_type: cut(&call.call_type),
            model_asked: cut(&call.model_asked),
            model: (!runs && !outcome.model.is_empty()).then(|| cut(&outcome.model)),
            region: outcome.region.as_deref(),
            input: outcome.input,
            output: outcome.output,
            cache_read: outcome.cache_read,
            cache_write: outcome.cache_write_5m.saturating_add(outcome.cache_write_1h),
            cost_nano: row.closing.cost().filter(|_| !runs).map(|cost| cost.nano().to_string()),
            ttft_ms: outcome.ttft_ms,
            total_ms: (!runs).then_some(outcome.total_ms),
            attempts: outcome.attempts,
            count: 1,
            scope: None,
        }
    }

    fn of_refusal(refusal: &'r Refusal, names: &RowNames) -> Self {
        let key = names.key(&refusal.key_id);
        let team = names.team(refusal.team.as_deref());
        let scope = (!refusal.scope.is_empty()).then(|| {
            let named = match refusal.scope.as_str() {
                "key" => names.key(&refusal.scope_id),
                "team" => names.team(Some(&refusal.scope_id)),
                _ => None,
            };
            let shown = || NamedId {
                id: cut(&refusal.scope_id),
                label: cut(&refusal.scope_id).into_owned(),
            };
            let NamedId { id, label } = named.unwrap_or_else(shown);
            RefusingScope { kind: &refusal.scope, id, label, reason: cut(&refusal.reason) }
        });
        Self {
            id: &refusal.id,
            at: refusal.at,
            state: "refused",
            status: refusal.status,
            code: Some(cut(&refusal.code)),
            key,
            team,
            user: refusal.user.as_deref().map(cut),
            end_user: None,
            call_type: Cow::Borrowed(""),
            model_asked: cut(&refusal.model),
            model: None,
            region: None,
            input: 0,
            output: 0,
            cache_read: 0,
            cache_write: 0,
            cost_nano: Some("0".to_owned()),
            ttft_ms: None,
            total_ms: None,
            attempts: 0,
            count: refusal.count,
            scope,
        }
    }

    /// Adds the row to a table.
    pub(super) fn write(&self, table: &mut CsvTable) {
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
        let named = |named: &Option<NamedId<'_>>| {
            named
                .as_ref()
                .map_or_else(Default::default, |one| (one.id.to_string(), one.label.clone()))
        };
        let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let (key, alias) = named(&self.key);
        let cost = self.cost_nano.as_deref().and_then(|nano| nano.parse().ok());
        let cost = cost.map(|nano| access::Nanodollars::new(nano).to_string());
        let texts = [
            self.id.to_owned(),
            self.at.to_string(),
            self.state.to_owned(),
            text(&self.code),
            key,
            alias,
            named(&self.team).0,
            text(&self.user),
            text(&self.end_user),
            self.call_type.to_string(),
            self.model_asked.to_string(),
            text(&self.model),
            self.region.unwrap_or_default().to_owned(),
        ];
        let numbers = [
            self.status.to_string(),
            self.input.to_string(),
            self.output.to_string(),
            self.cache_read.to_string(),
            self.cache_write.to_string(),
            cost.unwrap_or_default(),
            number(self.ttft_ms),
            number(self.total_ms),
            self.attempts.to_string(),
        ];
        table.row(&texts.each_ref().map(String::as_str), &numbers);
    }
}

/// A text that is no longer than a row may show.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(LONGEST + 1);
        assert_eq!(cut(&long).chars().count(), LONGEST + 1);
        assert!(cut(&long).ends_with('…'));
    }
}
