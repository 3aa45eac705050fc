//! Commands beside a gateway, on the store of its accounts: the gateway may run, and sees a change within a second.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use access::Accounts;
use access::accounts::AdminError;
use access::import::ImportError;
use access::store::StoreError;
use clap::Args;
use serde_json::Value;

use super::{BAD_CONFIG, RUNTIME_FAILURE, complain};
use crate::accounts::{self, AccountsError};
use crate::config::{Config, Problems, Sources};
use crate::log;

/// Arguments of all commands on accounts.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// YAML configuration of the gateway; else the one that a gateway would read here.
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Writes JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// The accounts of a command, and the form of its answer.
pub(super) struct Desk {
    pub(super) accounts: Arc<Accounts>,
    /// The place of the store, for messages.
    pub(super) place: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Failures of a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("the configuration cannot be used:\n{0}")]
    Config(Problems),
    #[error(transparent)]
    Open(#[from] AccountsError),
    /// An argument that cannot be used.
    #[error("{0}")]
    Argument(String),
    /// An object that does not exist, with the next step.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Refused(AdminError),
    #[error("{0}; try again, and see whether the database can be reached")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl From<AdminError> for CommandError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Invalid(field) => Self::Argument(field.to_string()),
            AdminError::Store(error) => Self::Store(error),
            error @ (AdminError::Taken { .. }
            | AdminError::NotFound { .. }
            | AdminError::InUse { .. }
            | AdminError::Randomness(_)) => Self::Refused(error),
        }
    }
}

impl CommandError {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Open(_) | Self::Argument(_) => BAD_CONFIG,
            Self::NotFound(_) | Self::Refused(_) | Self::Store(_) | Self::Import(_) => {
                RUNTIME_FAILURE
            }
        }
    }
}

/// Opens the store that the configuration names, and runs a command on it.
pub(super) fn at_desk(
    args: &StoreArgs,
    command: impl AsyncFnOnce(&Desk) -> Result<(), CommandError>,
) -> ExitCode {
    log::init("error");
    let done = actix_rt::System::new().block_on(async {
        let sources = Sources::of_file(args.config.as_deref());
        let config = Config::load(&sources).map_err(CommandError::Config)?;
        let (accounts, place) = accounts::open_beside(&config).await?;
        let format = if args.json { Format::Json } else { Format::Text };
        let desk = Desk { accounts, place, format };
        let done = command(&desk).await;
        desk.accounts.close().await;
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("outcrop: {error}"));
            ExitCode::from(error.code())
        }
    }
}

impl Desk {
    /// Writes the answer: the value for programs, or the text for people.
    pub(super) fn answer(&self, value: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        let written = match self.format {
            Format::Json => format!("{:#}\n", value()),
            Format::Text => text(),
        };
        // It is no error if the reader of a pipe has closed it.
        let _ = io::stdout().write_all(written.as_bytes());
    }

    /// A remark on stderr, for people.
    pub(super) fn remark(&self, text: &str) {
        if self.format == Format::Text {
            complain(text);
        }
    }
}
