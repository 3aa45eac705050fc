//! Bedrock behind: one signed transport that carries everything hot.
//!
//! `aws-config` finds credentials, region and endpoints; the SDK itself is asked which host and which
//! kind of authentication it would use; from there on the request is ours: signed here, sent over one
//! hyper pool per worker, answered as bytes or as checked event-stream frames. Retries and fallbacks
//! belong to the router above: this module resends only what cannot have been answered.

mod account;
mod answer;
mod clock;
mod connect;
mod credentials;
mod endpoint;
mod error;
mod frames;
mod http_client;
mod place;
mod probe;
mod proxy;
mod role;
mod send;
mod setup;
mod sign;
mod transports;
mod typed;

pub use account::Account;
pub use answer::{Answer, EventStream};
pub use credentials::CredentialsError;
pub use endpoint::{Endpoint, InvalidModelId, Service, encode_segment, model_path};
pub(crate) use error::MESSAGES;
pub use error::{Exception, Failure, Phase, ProtocolError, ServiceError};
pub use frames::{Frame, FrameDecoder, FrameError, FrameKind, MAX_FRAME, exception};
pub use place::{FirstByte, Login, Place};
pub use proxy::BadProxy;
pub use role::Role;
pub use send::{Call, HOP, Kind, Transport, unsigned};
pub use setup::{AccountKeys, AccountSecret, CredentialSource, Setup, SetupError, Timeouts};
pub use transports::Transports;
pub use typed::{GuardrailName, Scope, Typed};
