//! `outcrop keys`: keys are made, listed, blocked and revoked.

use std::collections::HashMap;
use std::process::ExitCode;

use access::accounts::{AdminError, KeyRef, NewKey, ScopeSpend, SpendAsk};
use access::ledger::ScopeKind;
use access::store::RecordQuery;
use access::{BudgetRecord, DEFAULT_USER, KeyInput, KeyRecord, Limits, RecordKind, UtcTime};
use clap::{Args, Subcommand};
use serde_json::{Map, Number, Value, json};

use super::accounts::{CommandError, Desk, StoreArgs, at_desk};
use super::table::{Align, Table, dollars, maybe, maybe_dollars, minute, number};

/// The identity of commands in the audit log.
const ACTOR: &str = "outcrop-cli";
/// Keys read at once.
const PAGE: u64 = 500;
/// Keys whose spend is read at once.
const ASKED: usize = 100;
/// Fewest characters of a token that name a key.
const SHORTEST_TOKEN: usize = 8;
/// Characters of a token in tables.
const SHOWN_TOKEN: usize = 12;

/// Arguments of `outcrop keys`.
#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Makes a key and prints it, once. Only the key goes to stdout: KEY=$(outcrop keys create).
    Create(CreateArgs),
    /// Lists keys with their spend.
    List(ListArgs),
    /// Blocks a key until it is unblocked.
    Block(KeyArgs),
    /// Lets a blocked key work again.
    Unblock(KeyArgs),
    /// Deletes a key for good.
    #[command(visible_alias = "delete")]
    Revoke(KeyArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name for people, unique among keys.
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// Team that the key belongs to; it must exist.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// User that the key belongs to; a new one is made.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Models that the key may call, separated by commas; `family-*` too. All when left out.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    models: Vec<String>,
    /// Tags of all calls with the key.
    #[arg(long, value_name = "TAG,..", value_delimiter = ',')]
    tags: Vec<String>,
    /// Most dollars spent in a window of --budget-duration, or ever.
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, value_parser = parse_number)]
    max_budget: Option<Number>,
    /// Window of the budget: 1h, 1d, 7d, 30d, 1mo.
    #[arg(long, value_name = "SPAN", requires = "max_budget")]
    budget_duration: Option<String>,
    /// Requests a minute.
    #[arg(long, value_name = "N")]
    rpm: Option<u64>,
    /// Tokens a minute.
    #[arg(long, value_name = "N")]
    tpm: Option<u64>,
    /// Calls at the same time.
    #[arg(long, value_name = "N")]
    max_parallel: Option<u64>,
    /// Life of the key: 12h, 90d. For ever when left out.
    #[arg(long, value_name = "SPAN")]
    duration: Option<String>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only keys of this team.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only keys of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// The key, its token, the first 8 or more digits of the token, or its alias.
    #[arg(value_name = "KEY_OR_TOKEN_OR_ALIAS")]
    key: String,
}

/// Runs `outcrop keys`.
pub(super) fn keys(args: &KeysArgs) -> ExitCode {
    at_desk(&args.store, async |desk: &Desk| match &args.command {
        KeysCommand::Create(args) => create(desk, args).await,
        KeysCommand::List(args) => list(desk, args).await,
        KeysCommand::Block(args) => set_blocked(desk, args, Blocked::Yes).await,
        KeysCommand::Unblock(args) => set_blocked(desk, args, Blocked::No).await,
        KeysCommand::Revoke(args) => revoke(desk, args).await,
    })
}

/// Whether a key is to be blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    Yes,
    No,
}

async fn create(desk: &Desk, args: &CreateArgs) -> Result<(), CommandError> {
    let made = desk.accounts.create_key(args.input()?, None, ACTOR).await.map_err(hint)?;
    desk.answer(|| shown_once(&made), || format!("{}\n", made.secret.reveal()));
    let NewKey { aws, record, .. } = &made;
    desk.remark(&format!(
        "The key is shown this once. It is kept, as a hash, in {}.\ntoken: {}\nalias: {}\nexpires: {}\nfor AWS's SDKs and CLI: AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}",
        desk.place,
        record.token,
        maybe(record.key_alias.as_deref()),
        record.expires.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        aws.id(),
        aws.secret(),
    ));
    Ok(())
}

impl CreateArgs {
    /// The fields as `POST /key/generate` takes them.
    fn input(&self) -> Result<KeyInput, CommandError> {
        let Self {
            alias,
            team,
            user,
            models,
            tags,
            max_budget,
            budget_duration,
            rpm,
            tpm,
            max_parallel,
            duration,
        } = self;
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("key_alias", alias.clone().map(Value::from));
        set("team_id", team.clone().map(Value::from));
        // As `POST /key/generate` with the master key does.
        set("user_id", Some(user.clone().unwrap_or_else(|| DEFAULT_USER.to_owned()).into()));
        set("models", (!models.is_empty()).then(|| models.clone().into()));
        set("tags", (!tags.is_empty()).then(|| tags.clone().into()));
        set("max_budget", max_budget.clone().map(Value::from));
        set("budget_duration", budget_duration.clone().map(Value::from));
        set("rpm_limit", rpm.map(Value::from));
        set("tpm_limit", tpm.map(Value::from));
        set("max_parallel_requests", max_parallel.map(Value::from));
        set("duration", duration.clone().map(Value::from));
        let input = serde_json::from_value(Value::Object(fields));
        input.map_err(|error| CommandError::Argument(error.to_string()))
    }
}

/// Adds the next step to a refusal.
fn hint(error: AdminError) -> CommandError {
    match error {
        AdminError::Taken { value, .. } => CommandError::NotFound(format!(
            "another key has the alias {value:?}: choose another, or revoke that key first (outcrop keys revoke)"
        )),
        error => error.into(),
    }
}

fn shown_once(made: &NewKey) -> Value {
    let NewKey { secret, aws, record } = made;
    let mut value = described(record);
    value["key"] = secret.reveal().into();
    value["outcrop"] = json!({
        "public_id": record.public_id,
        "aws_access_key_id": aws.id(),
        "aws_secret_access_key": aws.secret(),
    });
    value
}

/// A record in the words of the admin API.
fn described(record: &KeyRecord) -> Value {
    let limits = &record.limits;
    json!({
        "token": record.token,
        "key_name": record.key_name,
        "key_alias": record.key_alias,
        "team_id": record.team_id,
        "user_id": record.user_id,
        "models": record.models,
        "tags": record.tags,
        "max_budget": limits.max_budget.map(number),
        "budget_duration": limits.budget_duration,
        "rpm_limit": limits.rpm_limit,
        "tpm_limit": limits.tpm_limit,
        "max_parallel_requests": limits.max_parallel_requests,
        "blocked": record.blocked,
        "expires": record.expires,
        "created_at": record.stamp.created_at,
    })
}

/// A key with what it has spent.
struct Listed {
    record: KeyRecord,
    limits: Limits,
    spend: ScopeSpend,
}

async fn list(desk: &Desk, args: &ListArgs) -> Result<(), CommandError> {
    let now = desk.accounts.now();
    let query = RecordQuery {
        team: args.team.clone(),
        user: args.user.clone(),
        ..RecordQuery::all(RecordKind::Key, now)
    };
    let listed = with_spend(desk, all(desk, query).await?).await?;
    desk.answer(
        || listed.iter().map(|key| key.value(now)).collect(),
        || if listed.is_empty() { no_keys(desk) } else { table(&listed, now) },
    );
    Ok(())
}

async fn with_spend(desk: &Desk, records: Vec<KeyRecord>) -> Result<Vec<Listed>, CommandError> {
    let mut rows = HashMap::new();
    let mut limits = Vec::with_capacity(records.len());
    for record in &records {
        limits.push(in_force(desk, record, &mut rows).await?);
    }
    let asks = records.iter().zip(&limits);
    let asks =
        asks.map(|(record, limits)| SpendAsk { kind: ScopeKind::Key, id: &record.id, limits });
    let mut spends = Vec::with_capacity(records.len());
    for page in asks.collect::<Vec<_>>().chunks(ASKED) {
        spends.extend(desk.accounts.spends_of(page).await?);
    }
    let listed = records.into_iter().zip(limits).zip(spends);
    Ok(listed
        .map(|((record, limits), spend)| Listed { record, limits, spend: spend.spend })
        .collect())
}

fn no_keys(desk: &Desk) -> String {
    format!("no keys in {}; outcrop keys create makes one\n", desk.place)
}

fn table(listed: &[Listed], now: UtcTime) -> String {
    let mut table = Table::new(&[
        ("ALIAS", Align::Left),
        ("NAME", Align::Left),
        ("TOKEN", Align::Left),
        ("TEAM", Align::Left),
        ("SPEND", Align::Right),
        ("MAX BUDGET", Align::Right),
        ("WINDOW", Align::Left),
        ("EXPIRES", Align::Left),
        ("STATUS", Align::Left),
    ]);
    for Listed { record, limits, spend } in listed {
        table.add([
            maybe(record.key_alias.as_deref()),
            record.key_name.clone(),
            record.token.chars().take(SHOWN_TOKEN).collect(),
            maybe(record.team_id.as_deref()),
            dollars(spend.spend),
            maybe_dollars(limits.max_budget),
            maybe(limits.budget_duration.as_ref().map(access::WrittenSpan::as_str)),
            minute(record.expires),
            record.status(now).to_owned(),
        ]);
    }
    table.written()
}

impl Listed {
    fn value(&self, now: UtcTime) -> Value {
        let mut value = described(&self.record);
        value["status"] = self.record.status(now).into();
        value["spend"] = number(self.spend.spend);
        value["reserved"] = number(self.spend.reserved);
        value["total_spend"] = number(self.spend.total_spend);
        value["budget_reset_at"] = json!(self.spend.reset_at);
        value
    }
}

/// The limits of a key, with those of its budget row.
async fn in_force(
    desk: &Desk,
    record: &KeyRecord,
    rows: &mut HashMap<String, Limits>,
) -> Result<Limits, CommandError> {
    let own = record.limits_at(desk.accounts.now());
    let Some(id) = &record.budget_id else { return Ok(own) };
    if !rows.contains_key(id) {
        let row = desk.accounts.record::<BudgetRecord>(id).await?;
        rows.insert(id.clone(), row.limits);
    }
    Ok(rows.get(id).map_or_else(|| own.clone(), |row| own.or(row)))
}

/// All keys of a selection, newest first.
async fn all(desk: &Desk, mut query: RecordQuery) -> Result<Vec<KeyRecord>, CommandError> {
    query.limit = PAGE;
    let mut all = Vec::new();
    loop {
        let page = desk.accounts.keys(query.clone()).await?;
        query.offset += page.rows.len() as u64;
        let done = page.rows.is_empty() || query.offset >= page.total;
        all.extend(page.rows);
        if done {
            return Ok(all);
        }
    }
}

async fn set_blocked(desk: &Desk, args: &KeyArgs, blocked: Blocked) -> Result<(), CommandError> {
    let key = found(desk, &args.key).await?;
    let (value, done) = match blocked {
        Blocked::Yes => (true, "blocked"),
        Blocked::No => (false, "unblocked"),
    };
    let input: KeyInput = serde_json::from_value(json!({ "blocked": value }))
        .map_err(|error| CommandError::Argument(error.to_string()))?;
    let record = desk.accounts.update_key(&KeyRef::Id(key.id), input, ACTOR).await?;
    desk.answer(|| described(&record), || format!("{} is {done}\n", named(&record)));
    Ok(())
}

async fn revoke(desk: &Desk, args: &KeyArgs) -> Result<(), CommandError> {
    let key = found(desk, &args.key).await?;
    let deleted = desk.accounts.delete_keys(&[KeyRef::Id(key.id.clone())], ACTOR).await?;
    if deleted.is_empty() {
        return Err(CommandError::NotFound(format!("{} was revoked meanwhile", named(&key))));
    }
    desk.answer(
        || json!({ "deleted_keys": [key.token] }),
        || format!("{} is revoked: running gateways refuse it within a second\n", named(&key)),
    );
    Ok(())
}

/// The alias or the name, and the token's first digits.
fn named(record: &KeyRecord) -> String {
    let token: String = record.token.chars().take(SHOWN_TOKEN).collect();
    format!("{} (token {token})", record.shown())
}

/// Finds a key by what people have of it. The key itself is not repeated in messages.
async fn found(desk: &Desk, text: &str) -> Result<KeyRecord, CommandError> {
    let mut ways = vec![KeyRef::Alias(text.to_owned())];
    ways.extend(KeyRef::parse(text));
    for way in ways {
        match desk.accounts.key(&way).await {
            Ok(record) => return Ok(record),
            Err(AdminError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let is_prefix = text.len() >= SHORTEST_TOKEN
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_prefix {
        let query = RecordQuery::all(RecordKind::Key, desk.accounts.now());
        let mut keys = all(desk, query).await?;
        keys.retain(|key| key.token.starts_with(text));
        match keys.len() {
            0 => {}
            1 => return keys.pop().ok_or_else(|| missing(text)),
            n => {
                let message =
                    format!("{n} keys have tokens that begin with {text}: give more of it");
                return Err(CommandError::Argument(message));
            }
        }
    }
    Err(missing(text))
}

fn missing(text: &str) -> CommandError {
    let shown = if text.starts_with("sk-") {
        let last: Vec<_> = text.chars().rev().take(4).collect();
        format!("sk-...{}", last.into_iter().rev().collect::<String>())
    } else {
        text.to_owned()
    };
    CommandError::NotFound(format!(
        "no key has this value, token or alias: {shown:?}; outcrop keys list shows them"
    ))
}

fn parse_number(text: &str) -> Result<Number, String> {
    serde_json::from_str(text).map_err(|_| format!("{text:?} is no number, such as 10 or 0.5"))
}
