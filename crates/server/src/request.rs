//! What the gateway knows of one request, whatever its dialect: its identity and end (`context`), and what the
//! caller's option headers ask for (`options`).

pub(crate) mod context;
pub(crate) mod options;
