//! Accounts of `--demo`, in memory: a master key for the console, a key for calls, and two weeks of invented calls, so that
//! the console shows something at once.

use std::sync::Arc;
use std::time::Duration;

use access::accounts::{AccountSettings, AdminError, NewKey, OpenError};
use access::ledger::{Attribution, CallOutcome, CallState, Closing, Opening, Refusal, ScopeKind};
use access::store::{MemoryStore, RecordQuery, StoreError};
use access::{
    Accounts, CustomerRecord, KeyInput, KeyRecord, Limits, Nanodollars, NoRandomness, Pepper,
    RecordKind, TagRecord, TeamInput, TeamRecord, UserRecord, UtcTime,
};
use bedrock::AccountSecret;
use serde_json::json;

/// Who the records say made them.
const ACTOR: &str = "demo";
/// Days of invented calls.
const DAYS: i64 = 14;
const HOUR: i64 = 3_600_000;

/// A key by alias, team, user, monthly budget and share of the calls in percent.
type InventedKey = (&'static str, Option<&'static str>, Option<&'static str>, Option<f64>, u64);

const KEYS: [InventedKey; 6] = [
    ("support-bot", Some("support"), Some("ana"), Some(60.0), 38),
    ("search-prod", Some("search"), None, Some(250.0), 24),
    ("nightly-batch", Some("search"), Some("batch"), Some(20.0), 18),
    ("notebook-ben", Some("research"), Some("ben"), Some(15.0), 12),
    ("mobile-app", Some("support"), None, None, 6),
    ("old-prototype", None, Some("ben"), Some(0.5), 2),
];
/// Models with their regions, dollars for a million tokens of input and output, and share of the calls in percent.
const MODELS: [(&str, &str, u64, u64, u64); 5] = [
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-east-1", 3, 15, 34),
    ("us.amazon.nova-lite-v1:0", "us-east-1", 1, 2, 36),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "us-west-2", 1, 5, 20),
    ("us.amazon.nova-pro-v1:0", "us-west-2", 1, 3, 8),
    ("us.meta.llama4-scout-17b-instruct-v1:0", "us-east-1", 1, 1, 2),
];
const CUSTOMERS: [&str; 5] = ["acme", "globex", "initech", "umbrella", "hooli"];

/// The accounts of a demo.
#[derive(Debug)]
pub(crate) struct DemoAccounts {
    pub(crate) accounts: Arc<Accounts>,
    /// The key for the console.
    pub(crate) master: AccountSecret,
    /// A key for calls.
    pub(crate) key: AccountSecret,
}

/// Failures to set them up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Record(#[from] AdminError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error("a record of the demo: {0}")]
    Field(#[from] access::InvalidField),
    #[error("a record of the demo: {0}")]
    Json(#[from] serde_json::Error),
}

impl DemoAccounts {
    /// Opens the accounts and invents their past.
    pub(crate) async fn open() -> Result<Self, DemoError> {
        // One of its own: the store ends with the demo, and a warning about its pepper would help nobody.
        let pepper = Some(Pepper::given(&Pepper::generate()?)?);
        let settings = AccountSettings { pepper, ..AccountSettings::default() };
        let accounts = Accounts::open(Arc::new(MemoryStore::new()), settings).await?;
        let keys = records(&accounts).await?;
        let calls = calls(&keys, accounts.now());
        charge(&accounts, &keys, &calls).await?;
        for some in calls.chunks(256) {
            accounts.store().close(some.iter().cloned().collect()).await?;
        }
        accounts.store().refuse(refusals(&keys, accounts.now())).await?;
        let made: KeyInput = serde_json::from_value(json!({"key_alias": "demo", "max_budget": 5}))?;
        let own = accounts.create_key(made, None, ACTOR).await?;
        let master = AccountSecret::new(format!("sk-demo-{}", uuid::Uuid::now_v7().simple()));
        Ok(Self { accounts, master, key: AccountSecret::new(own.secret.reveal()) })
    }
}

async fn records(accounts: &Accounts) -> Result<Vec<KeyRecord>, DemoError> {
    for (id, budget) in [("support", 100.0), ("search", 300.0), ("research", 50.0)] {
        let mut team = TeamRecord::new(id)?;
        let input = json!({"team_alias": id, "max_budget": budget, "budget_duration": "30d"});
        let input: TeamInput = serde_json::from_value(input)?;
        team.apply(input, accounts.now())?;
        accounts.create(team, ACTOR).await?;
    }
    for id in ["ana", "ben", "batch"] {
        accounts.create(UserRecord::new(id)?, ACTOR).await?;
    }
    for id in CUSTOMERS {
        accounts.create(CustomerRecord::new(id)?, ACTOR).await?;
    }
    accounts.create(TagRecord::new("batch")?, ACTOR).await?;
    let mut keys = Vec::new();
    for (alias, team, user, budget, _) in KEYS {
        let fields = json!({
            "key_alias": alias, "team_id": team, "user_id": user, "max_budget": budget,
            "budget_duration": budget.map(|_| "30d"), "rpm_limit": budget.map(|_| 600),
        });
        let input: KeyInput = serde_json::from_value(fields)?;
        let NewKey { record, .. } = accounts.create_key(input, None, ACTOR).await?;
        keys.push(record);
    }
    Ok(keys)
}

/// A sequence that looks random and is the same each time (xorshift).
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most.max(1)
    }

    /// The position of an element, by shares in percent.
    fn choose(&mut self, shares: &[u64]) -> usize {
        let mut left = self.below(shares.iter().sum());
        for (at, share) in shares.iter().enumerate() {
            if left < *share {
                return at;
            }
            left -= share;
        }
        0
    }
}

/// Invented calls, more of them by day than by night.
fn calls(keys: &[KeyRecord], now: UtcTime) -> Vec<Closing> {
    let mut sequence = Sequence(0x9e37_79b9_7f4a_7c15);
    let mut calls = Vec::new();
    for hour in (0..DAYS * 24).rev() {
        let start = UtcTime::from_millis(now.millis() - hour * HOUR).hour();
        let of_day = start.millis().div_euclid(HOUR).rem_euclid(24);
        let weekday = start.millis().div_euclid(24 * HOUR).rem_euclid(7);
        let busy = if (7..19).contains(&of_day) { 9 } else { 2 };
        // The first of January 1970 was a Thursday.
        let busy = if matches!(weekday, 2 | 3) { busy / 2 } else { busy };
        for _ in 0..busy + sequence.below(4) {
            let offset = i64::try_from(sequence.below(3_600_000)).unwrap_or(0);
            let at = UtcTime::from_millis(start.millis() + offset);
            if at < now {
                calls.push(call(keys, at, &mut sequence));
            }
        }
    }
    calls
}

fn call(keys: &[KeyRecord], at: UtcTime, sequence: &mut Sequence) -> Closing {
    let number = sequence.choose(&KEYS.map(|(.., share)| share));
    let (model, region, input_price, output_price, _) =
        MODELS[sequence.choose(&MODELS.map(|(.., share)| share))];
    let (input, output) = (800 + sequence.below(9000), 60 + sequence.below(1400));
    let cached = if sequence.below(3) == 0 { input * 2 } else { 0 };
    let total = 700 + output * (3 + sequence.below(5));
    let failure = sequence.below(100);
    let customer = CUSTOMERS[usize::try_from(sequence.below(5)).unwrap_or(0)];
    let is_batch = KEYS[number].0 == "nightly-batch";
    // Thousandths of a dollar for a million tokens are nanodollars for one.
    let cost =
        input * input_price * 1000 + output * output_price * 1000 + cached * input_price * 100;
    let mut who = keys.get(number).map(attribution).unwrap_or_default();
    who.customer = (!is_batch).then(|| customer.to_owned());
    who.tags = if is_batch { vec!["batch".to_owned()] } else { Vec::new() };
    let call = Opening {
        id: format!("req_{:012x}{:020x}", at.millis(), sequence.below(u64::MAX)),
        at,
        who,
        call_type: "acompletion".to_owned(),
        model_asked: model.trim_start_matches("us.").to_owned(),
        estimate: Some(nano(cost * 2)),
        ..Opening::default()
    };
    let mut outcome = CallOutcome {
        model: model.to_owned(),
        region: Some(region.to_owned()),
        reach: Some("us".to_owned()),
        tier: Some("standard".to_owned()),
        input,
        output,
        cache_read: cached,
        cost: Some(nano(cost)),
        price_source: Some("invented".to_owned()),
        status: 200,
        ttft_ms: Some(180 + sequence.below(600)),
        total_ms: total,
        attempts: 1 + u32::from(failure > 94),
        ..CallOutcome::default()
    };
    let mut state = CallState::Settled;
    if failure < 3 {
        state = CallState::Voided;
        let (code, status) =
            if failure == 0 { ("internal_error", 502) } else { ("throttled", 429) };
        outcome = CallOutcome {
            error_code: Some(code.to_owned()),
            status,
            input: 0,
            output: 0,
            cache_read: 0,
            cost: None,
            ..outcome
        };
    } else if failure == 3 {
        state = CallState::Estimated;
        outcome.error_code = Some("client_closed".to_owned());
    }
    Closing { call: Arc::new(call), at: at.plus(Duration::from_millis(total)), state, outcome }
}

fn attribution(key: &KeyRecord) -> Attribution {
    Attribution {
        key_id: key.id.clone(),
        token: key.token.clone(),
        team: key.team_id.clone(),
        user: key.user_id.clone(),
        ..Attribution::default()
    }
}

fn nano(amount: u64) -> Nanodollars {
    Nanodollars::new(i64::try_from(amount).unwrap_or(i64::MAX))
}

/// Charges the counters of keys and teams for the calls of their present windows.
async fn charge(
    accounts: &Accounts,
    keys: &[KeyRecord],
    calls: &[Closing],
) -> Result<(), DemoError> {
    let now = accounts.now().to_string();
    let month = UtcTime::parse(&format!("{}-01T00:00:00Z", now.get(..7).unwrap_or_default()));
    let month = month.unwrap_or_default();
    let sum = |is_of: &dyn Fn(&Attribution) -> bool, from: UtcTime| {
        let of = calls.iter().filter(|one| one.call.at >= from && is_of(&one.call.who));
        of.filter_map(Closing::cost).fold(Nanodollars::ZERO, Nanodollars::plus)
    };
    for key in keys {
        let is_of = |who: &Attribution| who.key_id == key.id;
        let (present, total) = (sum(&is_of, month), sum(&is_of, UtcTime::default()));
        accounts.set_spend(ScopeKind::Key, &key.id, &key.limits, present).await?;
        accounts.set_spend(ScopeKind::Key, &key.id, &Limits::default(), total).await?;
    }
    for team in
        accounts.list::<TeamRecord>(RecordQuery::all(RecordKind::Team, accounts.now())).await?.rows
    {
        let is_of = |who: &Attribution| who.team.as_deref() == Some(&team.team_id);
        let (present, total) = (sum(&is_of, month), sum(&is_of, UtcTime::default()));
        accounts.set_spend(ScopeKind::Team, &team.team_id, &team.limits, present).await?;
        accounts.set_spend(ScopeKind::Team, &team.team_id, &Limits::default(), total).await?;
    }
    Ok(())
}

/// Invented refusals of the last days.
fn refusals(keys: &[KeyRecord], now: UtcTime) -> Vec<Refusal> {
    let of = |(number, hours, count): (usize, i64, u64),
              (code, status, reason): (&str, u16, &str)| {
        let key = keys.get(number)?;
        Some(Refusal {
            id: format!("req_{:012x}{hours:020x}", now.millis() - hours * HOUR),
            at: UtcTime::from_millis(now.millis() - hours * HOUR),
            key_id: key.id.clone(),
            token: key.token.clone(),
            team: key.team_id.clone(),
            user: key.user_id.clone(),
            model: "anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned(),
            code: code.to_owned(),
            status,
            scope: "key".to_owned(),
            scope_id: key.id.clone(),
            reason: reason.to_owned(),
            count,
        })
    };
    let budget = (
        "insufficient_quota",
        429,
        "the budget of the key old-prototype is spent: 0.5 spent and 0.0 reserved of 0.5 US dollars",
    );
    let rate =
        ("rate_limit_exceeded", 429, "the key nightly-batch has no room: 600 requests a minute");
    [of((5, 3, 4), budget), of((5, 27, 11), budget), of((2, 9, 37), rate)]
        .into_iter()
        .flatten()
        .collect()
}
