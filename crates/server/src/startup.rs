//! The checks of a start, which `outcrop check` and a reload make too.

use std::io;
use std::net::SocketAddr;

use crate::accounts::AccountsError;
use crate::config::Config;
use crate::own_address;
use crate::socket::SocketError;
use crate::state::Snapshot;
use crate::tls::{Certificate, TlsError};
use bedrock::Settings;
use routing::OpenError;

/// The reason why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The AWS side cannot be set up.
    #[error(transparent)]
    Account(#[from] OpenError),
    /// The port cannot be bound.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Bind(SocketAddr, io::Error),
    /// The Unix socket cannot be bound.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The endpoint is the gateway itself: every call would come back for ever.
    #[error(
        "the Bedrock endpoint {0} is this gateway's own address, and every call would come back; unset AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_BEDROCK_RUNTIME for the gateway: they are for its clients"
    )]
    Loop(String),
    /// Certificate or key cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The accounts cannot be opened.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The server failed.
    #[error("the server failed: {0}")]
    Server(#[from] io::Error),
}

impl ServeError {
    /// Whether the operator must change the configuration.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Account(_) | Self::Loop(_) | Self::Tls(_) | Self::Accounts(_) => true,
            Self::Bind(..) | Self::Socket(_) | Self::Server(_) => false,
        }
    }
}

/// Does what a start does before it binds a port. Returns also what only calls would fail for.
///
/// # Errors
/// The error that the start would end with.
pub(crate) async fn rehearse(
    config: Config,
    setup: &Settings,
) -> Result<(Snapshot, Vec<String>), ServeError> {
    if let Some(files) = config.tls.clone() {
        Certificate::load(files)?.server()?;
    }
    let listen = config.listen;
    let snapshot = Snapshot::open(config, setup, None).await?;
    refuse_loops(&snapshot, listen).await?;
    let flaws = snapshot.flaws().await;
    Ok((snapshot, flaws))
}

/// Refuses a configuration by which the gateway would call itself.
pub(crate) async fn refuse_loops(
    snapshot: &Snapshot,
    address: SocketAddr,
) -> Result<(), ServeError> {
    let found = own_address::find(&snapshot.names.accounts(), address).await;
    found.map_or(Ok(()), |endpoint| Err(ServeError::Loop(endpoint)))
}
