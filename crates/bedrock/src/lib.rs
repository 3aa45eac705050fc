//! Transport to Bedrock: one signed transport for all frequent calls.
//!
//! `aws-config` finds credentials, region and endpoints, and the SDK tells which host and which kind of
//! authentication it would use. The gateway then makes the request itself: signed here, sent over one hyper
//! pool per worker, returned as bytes or as verified event-stream frames. Retries and fallbacks belong to
//! the router above: this module resends only calls that cannot have been answered.

mod account;
mod account_spec;
mod clock;
mod connect;
mod credentials;
mod endpoint;
mod error;
pub mod files;
mod frames;
mod http_client;
mod proxy;
mod response;
mod role;
mod s3;
mod sdk;
mod sdk_endpoint;
mod send;
mod settings;
mod sign;
mod spawner;
mod sse;
mod transport_pool;
mod web_identity;

/// AWS's SDK for bedrock-runtime, for the shapes of calls through [`Sdk`].
pub use aws_sdk_bedrockruntime as runtime;
pub use aws_smithy_types::Blob;

pub use account::Account;
pub use account_spec::{AccountSpec, FirstByte, Login};
pub use credentials::CredentialsError;
pub use endpoint::{Endpoint, InvalidModelId, Service, encode_segment, model_path};
pub use error::{AWS_REQUEST_ID, MESSAGES};
pub use error::{Exception, Failure, Phase, ProtocolError, ServiceError};
pub use frames::{Frame, FrameDecoder, FrameError, FrameKind, MAX_FRAME, exception};
pub use proxy::BadProxy;
pub use response::{EventStream, SSE_EVENT, UpstreamResponse};
pub use role::Role;
pub use s3::{
    Bucket, ListedObject, ObjectPage, StoredObject, Upload, WriteCondition, refusal_of, status_of,
};
pub use sdk::{Sdk, sdk_failure};
pub use send::{Call, HOP, Kind, Transport, unsigned};
pub use settings::{AccountKeys, AccountSecret, CredentialSource, Settings, SetupError, Timeouts};
pub use transport_pool::TransportPool;
pub use web_identity::WebToken;
