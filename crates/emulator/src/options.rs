//! Settings of an emulator before its start.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Listening, pacing and authentication of an emulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to bind; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Delay between the deltas of a stream.
    pub pace: Duration,
    /// Time that a batch job stays in each status before the last, and between its records' portions.
    pub job_step: Duration,
    /// If set, signatures must be made with these credentials and are verified in full;
    /// otherwise any well-formed signature is accepted.
    pub credentials: Option<Credentials>,
    /// If set, a bearer token must equal it; otherwise any non-empty one is accepted.
    pub bearer_key: Option<String>,
    /// Number of calls in the journal; the oldest are removed first.
    pub journal_size: usize,
}

/// One set of AWS credentials that the emulator accepts.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id as in the credential scope.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token that must come with temporary credentials.
    pub session_token: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            pace: Duration::from_millis(15),
            job_step: Duration::from_millis(200),
            credentials: None,
            bearer_key: None,
            journal_size: 1_000,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is kept out of logs and panic messages.
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
