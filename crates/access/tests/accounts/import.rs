//! LiteLLM's accounts, taken over from a database with its schema: each key answers here as it did there.

use std::sync::Arc;

use access::accounts::{CallAsk, KeyRef, Refused};
use access::import::{
    ImportMode, ImportOutcome, ImportReport, LitellmDatabase, NoteEffect, SourceError,
    import_litellm,
};
use access::ledger::ScopeKind;
use access::policy::ModelFacts;
use access::store::{MemoryStore, RecordQuery, Store};
use access::{
    Accounts, Caller, CustomerRecord, KeyInput, KeyRecord, KeyType, Limits, MemberRecord,
    Nanodollars, Principal, RecordKind, SecretKey, TagRecord, TeamRecord, UserRecord, UserRole,
    UtcTime, admit,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::keys::{input, noon, replica};
use crate::postgres::Server;
use crate::{Folder, Opener, opener};

const SCHEMA: &str = include_str!("fixtures/litellm-schema.sql");
const ACCOUNTS: &str = include_str!("fixtures/litellm-accounts.sql");
const CENT: i64 = 10_000_000;
const DOLLAR: i64 = 100 * CENT;

#[tokio::test(flavor = "multi_thread")]
async fn litellms_accounts_are_taken_over() {
    let Some(server) = Server::start() else { return };
    let folder = Folder::new();
    let stores: [(&str, Opener); 3] = [
        ("memory", memory()),
        ("sqlite", opener(format!("sqlite:{}/taken.db", folder.0.display()))),
        ("postgresql", opener(server.database("taken"))),
    ];
    for (name, open) in stores {
        println!("{name}");
        let litellm = litellm(&server, &format!("litellm_{name}")).await;
        let (accounts, _) = replica(&open).await;
        a_dry_run_tells_and_writes_not(&accounts, &litellm).await;
        let report = import(&accounts, &litellm).await;
        the_report_names_what_is_not_kept(&report);
        keys_answer_as_they_did(&accounts).await;
        spend_goes_on(&accounts).await;
        records_are_complete(&accounts).await;
        again_changes_no_row(&accounts, &litellm, &report).await;
        later_changes_are_told(&accounts, &litellm).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_and_foreign_databases_are_told_apart() {
    let Some(server) = Server::start() else { return };
    let (accounts, _) = replica(&memory()).await;
    let empty = server.database("empty");
    let none = LitellmDatabase::connect(&empty).await.err();
    assert_eq!(none, Some(SourceError::NoKeys("LiteLLM_VerificationToken")));
    // Tables of an early version, in a schema of their own, by a URL as Prisma takes it.
    let old = server.database("old");
    let tables = r#"
        CREATE SCHEMA "my llm"; SET search_path TO "my llm";
        CREATE TABLE "LiteLLM_VerificationToken" (token TEXT PRIMARY KEY, key_name TEXT, spend DOUBLE PRECISION,
            models TEXT[], metadata JSONB);
        INSERT INTO "LiteLLM_VerificationToken" VALUES
            (encode(sha256('sk-early-0000000000000001'), 'hex'), 'sk-...0001', 0.5, '{sonnet}', '{}');"#;
    run(&old, tables).await;
    let report = import(&accounts, &format!("{old}&schema=my%20llm&connection_limit=1")).await;
    assert_eq!(report.counts.len(), 1);
    let key = found(&accounts, "sk-early-0000000000000001").await;
    assert_eq!(key.models, ["sonnet"]);
    assert_eq!(
        spent(&accounts, ScopeKind::Key, &key.id, &key.limits).await,
        (DOLLAR / 2, DOLLAR / 2)
    );
}

fn memory() -> Opener {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    Box::new(move || {
        let store = Arc::clone(&store);
        Box::pin(async move { store })
    })
}

/// A database with LiteLLM's tables and the accounts of the fixture.
async fn litellm(server: &Server, name: &str) -> String {
    let url = server.database(name);
    run(&url, SCHEMA).await;
    run(&url, ACCOUNTS).await;
    url
}

async fn run(url: &str, sql: &str) {
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

async fn import(accounts: &Accounts, url: &str) -> ImportReport {
    imported(accounts, url, ImportMode::Apply).await
}

async fn imported(accounts: &Accounts, url: &str, mode: ImportMode) -> ImportReport {
    let source = LitellmDatabase::connect(url).await.unwrap();
    let mut last = None;
    let report = import_litellm(accounts, source, mode, &mut |now| last = Some(now)).await.unwrap();
    let last = last.unwrap();
    assert_eq!(last.done, last.total);
    report
}

fn counts(report: &ImportReport) -> Vec<(&'static str, [u64; 3])> {
    let numbers = report.counts.iter();
    numbers.map(|(kind, n)| (kind.as_str(), [n.new, n.present, n.skipped])).collect()
}

async fn a_dry_run_tells_and_writes_not(accounts: &Accounts, litellm: &str) {
    let before = accounts.store().version().await.unwrap();
    let report = imported(accounts, litellm, ImportMode::DryRun).await;
    assert_eq!(counts(&report), TAKEN);
    assert_eq!(accounts.store().version().await.unwrap(), before);
    let keys = accounts.keys(RecordQuery::all(RecordKind::Key, noon())).await.unwrap();
    assert_eq!(keys.total, 0);
    assert_eq!(spent(accounts, ScopeKind::Tag, "batch", &Limits::default()).await.1, 0);
}

const TAKEN: &[(&str, [u64; 3])] = &[
    ("budget", [4, 0, 0]),
    ("team", [2, 0, 0]),
    ("user", [5, 0, 1]),
    ("member", [2, 0, 0]),
    ("tag", [1, 0, 0]),
    ("customer", [2, 0, 0]),
    ("key", [23, 0, 3]),
];

fn the_report_names_what_is_not_kept(report: &ImportReport) {
    assert_eq!(counts(report), TAKEN);
    assert_eq!(report.gone, []);
    let skipped = |alias: &str| {
        let is = |record: &&access::import::ImportedRecord| {
            record.id == alias || record.id == token(alias)
        };
        match &report.records.iter().find(is).unwrap().outcome {
            ImportOutcome::Skipped(reason) => reason.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(skipped("sk-lost-00000000000000017"), "its team \"t-lost\" is not here");
    assert!(skipped("sk-console-00000000000025").contains("console"));
    assert!(skipped("canary").contains("no SHA-256"));
    assert!(skipped("litellm-proxy-budget").contains("whole gateway"));
    assert!(!format!("{report:?}").contains("sk-canary"));
    let mut notes: Vec<_> = report
        .records
        .iter()
        .flat_map(|record| record.notes.iter().map(move |note| (record, note)))
        .map(|(record, note)| {
            let name = record.alias.as_deref().unwrap_or(&record.id);
            let sign = match note.effect {
                NoteEffect::NotEnforced => '!',
                NoteEffect::Changed => ' ',
            };
            format!("{} {name} {sign}{}", record.kind.as_str(), note.field)
        })
        .collect();
    notes.sort();
    let expected = [
        "customer tenant mars !allowed_model_region",
        "key auth  access_group_ids",
        "key bound  allowed_routes",
        "key bound !agent_id",
        "key bound !auto_rotate",
        "key bound !enforced_params",
        "key bound !organization_id",
        "key bound !policies",
        "key bound !tag_rpm_limit",
        "key odd  max_budget",
        "key plain  key_alias",
        "key project  blocked",
        "key shut !organization_id",
        "key team  user_id",
        "tag batch  models",
        "team blocked !organization_id",
        "user auth0|77  user_role",
        "user default_user_id  user_role",
    ];
    assert_eq!(notes, expected);
}

/// The answer to a call of a model that costs a cent.
async fn answer(accounts: &Accounts, key: &str, model: &str) -> String {
    let secret = SecretKey::presented(key).unwrap();
    let caller: Caller = match accounts.authenticate(&secret).await {
        Ok(principal) => principal.into(),
        Err(error) => return error.to_string(),
    };
    let admission = match admit(caller) {
        Ok(admission) => admission,
        Err(denied) => return denied.to_string(),
    };
    let facts = ModelFacts { asked: model, names: &[model], geographies: &[] };
    if admission.check_model(&facts).is_err() {
        return format!("no {model}");
    }
    let ask = CallAsk {
        id: format!("{key} {model} {}", uuid()),
        model_asked: model.into(),
        model_names: vec![model.into()],
        tokens: 10,
        cost: Some(Nanodollars::new(CENT)),
        ..CallAsk::default()
    };
    match accounts.reserve(&admission, ask).await {
        Ok(reserved) => {
            drop(reserved);
            accounts.flush().await;
            "ok".to_owned()
        }
        Err(Refused::Budget(budget)) => format!("budget of the {}", budget.kind.as_str()),
        Err(Refused::Rate(rate)) => format!("rate of the {}", rate.kind.as_str()),
        Err(other) => other.to_string(),
    }
}

/// Tells calls apart.
fn uuid() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

async fn keys_answer_as_they_did(accounts: &Accounts) {
    for (key, model, expected) in [
        ("sk-plain-0000000000000001", "sonnet", "ok"),
        ("sk-my-own-password", "sonnet", "ok"),
        ("sk-twin-0000000000000003", "sonnet", "ok"),
        ("sk-blocked-00000000000004", "sonnet", "the key is blocked"),
        ("sk-expired-00000000000005", "sonnet", "the key expired at 2026-11-01T00:00:00Z"),
        ("sk-expires-00000000000006", "sonnet", "ok"),
        ("sk-haiku-0000000000000007", "sonnet", "no sonnet"),
        ("sk-haiku-0000000000000007", "haiku-4", "ok"),
        ("sk-spent-0000000000000008", "sonnet", "budget of the key"),
        ("sk-window-000000000000009", "sonnet", "budget of the key"),
        ("sk-overdue-00000000000010", "sonnet", "ok"),
        ("sk-row-000000000000000011", "sonnet", "budget of the key"),
        ("sk-odd-000000000000000012", "sonnet", "budget of the key"),
        ("sk-team-00000000000000013", "sonnet", "ok"),
        ("sk-team-00000000000000013", "opus", "no opus"),
        ("sk-shut-00000000000000014", "sonnet", "the team is blocked"),
        ("sk-auth-00000000000000015", "sonnet", "ok"),
        ("sk-gone-00000000000000016", "sonnet", "the user is blocked"),
        ("sk-lost-00000000000000017", "sonnet", "the key is unknown"),
        ("sk-rates-0000000000000018", "sonnet", "ok"),
        ("sk-rates-0000000000000018", "sonnet", "ok"),
        ("sk-raise-0000000000000020", "sonnet", "ok"),
        ("sk-daily-0000000000000021", "sonnet", "budget of the key"),
        ("sk-model-0000000000000022", "sonnet", "budget of the key"),
        ("sk-model-0000000000000022", "opus", "ok"),
        ("sk-bound-0000000000000023", "sonnet", "ok"),
        ("sk-project-00000000000024", "sonnet", "the key is blocked"),
        ("sk-console-00000000000025", "sonnet", "the key is unknown"),
        ("sk-canary-in-the-column-26", "sonnet", "the key is unknown"),
        ("sk-before-000000000000027", "sonnet", "ok"),
        ("sk-before-000000000000028", "sonnet", "the key is unknown"),
    ] {
        assert_eq!(answer(accounts, key, model).await, expected, "{key} {model}");
    }
    let slow = SecretKey::presented("sk-slow-00000000000000019").unwrap();
    let admission = admit(accounts.authenticate(&slow).await.unwrap()).unwrap();
    assert_eq!(admission.alias("fast"), Some("sonnet"));
}

async fn found(accounts: &Accounts, key: &str) -> KeyRecord {
    let principal = accounts.authenticate(&SecretKey::presented(key).unwrap()).await.unwrap();
    let Principal::Key(holder) = principal else { panic!() };
    holder.key.clone()
}

async fn spent(accounts: &Accounts, kind: ScopeKind, id: &str, limits: &Limits) -> (i64, i64) {
    let spend = accounts.spend_of(kind, id, limits).await.unwrap();
    (spend.spend.nano(), spend.total_spend.nano())
}

async fn spend_goes_on(accounts: &Accounts) {
    for (key, window, total) in [
        ("sk-plain-0000000000000001", 125 * CENT, 125 * CENT),
        ("sk-spent-0000000000000008", 2 * DOLLAR, 2 * DOLLAR),
        ("sk-window-000000000000009", 9_995_000_000, 50 * DOLLAR),
        ("sk-overdue-00000000000010", 0, 7 * DOLLAR),
        ("sk-odd-000000000000000012", DOLLAR / 10, DOLLAR / 10),
        ("sk-team-00000000000000013", 75 * CENT, 75 * CENT),
    ] {
        let key_record = found(accounts, key).await;
        let spend = spent(accounts, ScopeKind::Key, &key_record.id, &key_record.limits).await;
        assert_eq!(spend, (window, total), "{key}");
    }
    let small = accounts.record::<access::BudgetRecord>("small").await.unwrap().limits;
    for (kind, id, dollars) in
        [(ScopeKind::Customer, "tenant-42", 5 * DOLLAR), (ScopeKind::Tag, "batch", 450 * CENT)]
    {
        assert_eq!(spent(accounts, kind, id, &small).await, (dollars, dollars));
    }
    let team = accounts.record::<TeamRecord>("t-finance").await.unwrap();
    let spend = spent(accounts, ScopeKind::Team, "t-finance", &team.limits).await;
    assert_eq!(spend, (1250 * CENT, 1250 * CENT));
    let user = accounts.record::<UserRecord>("u-1").await.unwrap();
    assert_eq!(spent(accounts, ScopeKind::User, "u-1", &user.limits).await.0, 350 * CENT);
    let mars = spent(accounts, ScopeKind::Customer, "tenant mars", &Limits::default()).await;
    assert_eq!(mars, (1, 1));
    let all = spent(accounts, ScopeKind::Gateway, "", &Limits::default()).await;
    assert_eq!(all.1, 9950 * CENT);
    // Of a member: with limits of its own, and with those of the team's members.
    let own = accounts.record::<MemberRecord>("t-finance/u-1").await.unwrap().limits;
    let spend =
        spent(accounts, ScopeKind::Member, "t-finance/u-1", &own.or(&team.member_limits)).await;
    assert_eq!(spend, (225 * CENT, 225 * CENT));
    let member =
        spent(accounts, ScopeKind::Member, "t-finance/auth0|77", &team.member_limits).await;
    assert_eq!(member, (150 * CENT, 8 * DOLLAR));
}

async fn records_are_complete(accounts: &Accounts) {
    let key = found(accounts, "sk-plain-0000000000000001").await;
    assert_eq!(key.token, token("sk-plain-0000000000000001"));
    assert_eq!((key.key_name.as_str(), key.stamp.created_by.as_str()), ("sk-...0001", "ana"));
    assert_eq!(key.stamp.created_at, UtcTime::parse("2026-03-01T09:30:00Z").unwrap());
    // Of two keys with one alias the first by token keeps it.
    let twin = found(accounts, "sk-twin-0000000000000003").await;
    let mut aliases = [key.key_alias.unwrap(), twin.key_alias.unwrap()];
    aliases.sort();
    assert_eq!(aliases[0], "plain");
    assert!(aliases[1].starts_with("plain-") && aliases[1].len() == "plain-".len() + 8);
    let odd = found(accounts, "sk-odd-000000000000000012").await.limits;
    assert_eq!(odd.max_budget, Some(Nanodollars::ZERO));
    assert_eq!(odd.reset_at(accounts.zone(), noon()).unwrap().to_string(), "2026-12-05T00:00:00Z");
    let rates = found(accounts, "sk-rates-0000000000000018").await;
    assert_eq!(rates.tags, Some(vec!["batch".to_owned()]));
    assert_eq!(rates.limits.model_rpm_limit.unwrap()["sonnet"], 1);
    assert_eq!(rates.limits.model_tpm_limit.unwrap()["opus"], 5000);
    assert_eq!(serde_json::to_value(&rates.metadata).unwrap(), json!({"owner": "ana"}));
    let bound = found(accounts, "sk-bound-0000000000000023").await;
    assert_eq!(bound.key_type, Some(KeyType::LlmApi));
    assert_eq!(bound.metadata["enforced_params"], json!(["user"]));
    let team = accounts.record::<TeamRecord>("t-finance").await.unwrap();
    assert_eq!(team.model_aliases["house"], "sonnet");
    assert_eq!(team.tags, Some(vec!["money".to_owned()]));
    assert_eq!(team.role_of("u-1"), Some(access::TeamRole::Admin));
    assert_eq!(team.member_limits.rpm_limit, Some(50));
    assert_eq!(serde_json::to_value(&team.metadata).unwrap(), json!({"room": 4}));
    let member = accounts.record::<MemberRecord>("t-finance/u-1").await.unwrap();
    assert_eq!(member.allowed_models, Some(vec!["sonnet".to_owned()]));
    assert_eq!(member.limits.max_budget, Nanodollars::parse("3"));
    let tenant = accounts.record::<CustomerRecord>("tenant-42").await.unwrap();
    assert_eq!(
        (tenant.alias.as_deref(), tenant.budget_id.as_deref()),
        (Some("Tenant 42"), Some("small"))
    );
    assert_eq!(tenant.allowed_model_region.unwrap().prefix(), "eu");
    assert_eq!(accounts.record::<TagRecord>("batch").await.unwrap().models, Vec::<String>::new());
    for (id, role) in [
        ("u-1", Some(UserRole::InternalUser)),
        ("u-admin", Some(UserRole::ProxyAdmin)),
        ("default_user_id", None),
    ] {
        assert_eq!(accounts.record::<UserRecord>(id).await.unwrap().user_role, role, "{id}");
    }
}

async fn again_changes_no_row(accounts: &Accounts, litellm: &str, first: &ImportReport) {
    let before = accounts.store().version().await.unwrap();
    let again = import(accounts, litellm).await;
    assert_eq!(accounts.store().version().await.unwrap(), before);
    let expected: Vec<_> = counts(first)
        .into_iter()
        .map(|(kind, [new, _, skipped])| (kind, [0, new, skipped]))
        .collect();
    assert_eq!(counts(&again), expected);
    assert!(again.records.iter().all(|record| record.notes.is_empty()), "{again:?}");
    assert_eq!(again.gone, []);
    spend_goes_on(accounts).await;
}

/// After a first import both sides change: what was refused here is not brought back, and what was refused there
/// is told.
async fn later_changes_are_told(accounts: &Accounts, litellm: &str) {
    let of = |key: &str| KeyRef::Secret(SecretKey::presented(key).unwrap());
    let deleted = accounts.delete_keys(&[of("sk-my-own-password")], "ana").await.unwrap();
    assert_eq!(deleted.len(), 1);
    let replaced = of("sk-haiku-0000000000000007");
    accounts.regenerate_key(&replaced, (KeyInput::default(), None), None, "ana").await.unwrap();
    accounts
        .update_key(&of("sk-slow-00000000000000019"), input(json!({"rpm_limit": 9})), "ana")
        .await
        .unwrap();
    accounts.delete::<CustomerRecord>("tenant-42", "ana").await.unwrap();
    run(
        litellm,
        r#"UPDATE "LiteLLM_VerificationToken" SET blocked = true WHERE token = token('sk-raise-0000000000000020');
           DELETE FROM "LiteLLM_VerificationToken" WHERE token = token('sk-expires-00000000000006');
           INSERT INTO "LiteLLM_VerificationToken" (token, models) VALUES (token('sk-newer-0000000000000030'), '{}');"#,
    )
    .await;
    let report = import(accounts, litellm).await;
    let (_, customers) = counts(&report)[5];
    let (_, keys) = counts(&report)[6];
    assert_eq!((customers, keys), ([0, 1, 1], [1, 21, 4]));
    for (key, expected) in [
        ("sk-my-own-password", "the key is unknown"),
        ("sk-haiku-0000000000000007", "the key is unknown"),
        ("sk-newer-0000000000000030", "ok"),
        ("sk-raise-0000000000000020", "ok"),
    ] {
        assert_eq!(answer(accounts, key, "sonnet").await, expected, "{key}");
    }
    let notes: Vec<_> = report
        .records
        .iter()
        .filter(|record| !record.notes.is_empty())
        .map(|record| (record.alias.as_deref().unwrap(), record.notes[0].field.as_str()))
        .collect();
    let mut sorted = notes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [("raise", "blocked"), ("slow", "rpm_limit")]);
    let gone: Vec<_> = report.gone.iter().map(|key| key.shown.as_str()).collect();
    assert_eq!(gone, ["expires"]);
}

fn token(key: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
