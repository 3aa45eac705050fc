//! Transport to Bedrock: one signed transport for all frequent calls.
//!
//! `aws-config` finds credentials, region and endpoints, and the SDK tells which host and which kind of
//! authentication it would use. The gateway then makes the request itself: signed here, sent over one hyper
//! pool per worker, returned as bytes or as verified event-stream frames. Retries and fallbacks belong to
//! the router above: this module resends only calls that cannot have been answered.

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
mod web_identity;

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
pub use web_identity::WebToken;
