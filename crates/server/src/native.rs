//! Bedrock's own API, passed through: which operations there are, what of a request goes up and what
//! of an answer comes down. Bodies are nobody's business here, but for the objects in
//! S3 they name.

pub(crate) mod affinity;
pub(crate) mod guardrail;
pub(crate) mod headers;
pub(crate) mod mask;
pub(crate) mod path;
pub(crate) mod s3;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod table;
pub(crate) mod tap;
