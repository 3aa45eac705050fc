//! OpenAI's APIs as AWS serves them to the gateway: the bodies that are sent, and the answers and events that are
//! read. The members of the front doors' own types differ, and so do the quirks.

pub mod agent;
pub mod chat;
pub mod responses;
