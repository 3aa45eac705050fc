//! The accounts engine over each of its stores: memory, SQLite in a file, PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod calls;
mod import;
mod kept;
mod keys;
mod ledger;
mod newest;
mod postgres;
mod rates;
mod records;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod reports;
mod rollups;
mod slices;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use access::ledger::FailMode;
use access::store::{MemoryStore, SqlOptions, SqlStore, Store};

/// End users and tags of an hour that have sums of their own.
pub(crate) const NAMES_AN_HOUR: u64 = 100;

/// Opens a store. Called again it opens the same data, as a replica does; memory has one replica only.
pub(crate) type Opener =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send>> + Send + Sync>;

/// A test that any store must pass.
type Topic = (&'static str, fn(Opener) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! topics {
    ($($module:ident :: $name:ident),* $(,)?) => {
        const TOPICS: &[Topic] = &[$((stringify!($name), |open| Box::pin($module::$name(open)))),*];
    };
}

topics![
    records::a_record_is_made_changed_and_deleted,
    records::an_alias_names_one_living_key,
    records::pages_are_newest_first_and_filtered,
    records::a_secret_is_found_until_it_ends,
    records::a_change_that_fails_leaves_no_trace,
    records::the_first_value_is_kept,
    ledger::a_budget_has_room_for_ten_of_two_hundred,
    ledger::a_settlement_counts_once,
    ledger::an_opened_call_is_reserved_once,
    ledger::dead_calls_become_estimated_rows,
    ledger::rows_go_and_sums_stay,
    slices::a_slice_is_reserved_until_it_is_used_or_given_back,
    slices::replicas_with_slices_spend_a_budget_to_its_end,
    slices::a_stopped_process_gives_its_slices_back,
    reports::reports_are_sums_of_the_rows,
    reports::parties_see_their_own_calls,
    reports::sums_are_grouped_by_any_columns,
    reports::callers_cannot_fill_the_sums,
    reports::rows_have_one_order_everywhere,
    reports::names_outlive_their_records,
    rollups::rollups_change_no_sum,
    rollups::interrupted_rollups_are_made_again,
    newest::calls_are_read_by_a_cursor,
    newest::a_long_search_ends_and_goes_on,
    newest::refusals_are_kept_apart,
    keys::a_key_works_until_it_is_deleted_on_any_replica,
    keys::a_replaced_secret_has_its_grace,
    keys::a_chosen_key_is_taken_over_once,
    keys::keys_die_with_their_team,
    keys::a_budget_in_use_stays,
    keys::the_store_holds_no_secret,
    keys::another_pepper_is_refused,
    keys::an_imported_key_works_on,
    calls::work_is_booked_once_by_whichever_replica,
    calls::ten_of_two_hundred_calls_pass_on_two_replicas,
    calls::a_dropped_call_is_voided_or_estimated,
    calls::every_scope_refuses_by_its_name,
    calls::windows_end_without_a_job,
    calls::a_window_set_on_a_key_with_history_starts_at_zero,
    calls::a_call_without_a_price_needs_no_budget,
    calls::a_model_with_two_targets_is_counted_once,
    calls::unknown_customers_and_the_gateway_have_limits,
    calls::configured_limits_hold_where_records_have_none,
];

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_accounts() {
    for (name, topic) in TOPICS {
        println!("{name}");
        let store: Arc<dyn Store> = Arc::new(MemoryStore::with_names_an_hour(NAMES_AN_HOUR));
        topic(Box::new(move || {
            let store = Arc::clone(&store);
            Box::pin(async move { store })
        }))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_accounts() {
    let folder = Folder::new();
    for (name, topic) in TOPICS {
        println!("{name}");
        topic(opener(format!("sqlite:{}/{name}.db", folder.0.display()))).await;
    }
    kept::rows_are_kept(opener(format!("sqlite:{}/kept.db", folder.0.display()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_accounts() {
    let Some(server) = postgres::Server::start() else { return };
    for (name, topic) in TOPICS {
        println!("{name}");
        topic(opener(server.database(name))).await;
    }
    kept::rows_are_kept(opener(server.database("kept"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_pass_or_are_refused_while_postgresql_is_away() {
    let Some(server) = postgres::Server::start() else { return };
    for (name, mode) in [("away_open", FailMode::Open), ("away_closed", FailMode::Closed)] {
        calls::the_store_goes_away(opener(server.database(name)), mode, &server).await;
    }
}

fn opener(url: String) -> Opener {
    Box::new(move || {
        let url = url.clone();
        Box::pin(async move {
            let options = SqlOptions { names_an_hour: NAMES_AN_HOUR, ..SqlOptions::default() };
            let store = SqlStore::connect(&url, &options).await.unwrap();
            Arc::new(store) as Arc<dyn Store>
        })
    })
}

/// A folder that goes with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("access-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the system's own temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
