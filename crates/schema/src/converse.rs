//! Bedrock's Converse API (bedrock-runtime 2023-09-30, as botocore 1.44.5 models it). Types of
//! requests are closed and borrowed; types of responses are open.

pub mod count;
pub mod event;
pub mod media;
pub mod message;
pub mod request;
pub mod response;
pub mod sent;
pub mod tool;
