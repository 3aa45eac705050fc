//! Bedrock's own API, passed through: the operations offered, and the parts of requests and responses that
//! are forwarded. Bodies are not interpreted here, except for the S3 objects that they name.

pub(crate) mod affinity;
pub(crate) mod end_user;
pub(crate) mod guardrail;
pub(crate) mod headers;
pub(crate) mod image_count;
pub(crate) mod mask;
pub(crate) mod path;
pub(crate) mod s3;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod table;
pub(crate) mod tap;
