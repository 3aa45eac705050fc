//! An offline Bedrock: the runtime and control-plane API over real HTTP, with real event-stream frames, a
//! deterministic model, and on demand every failure that a client must survive.
//!
//! It is written from the API's documentation and tested with AWS's own clients; it shares no code with the
//! gateway, so a misreading cannot affect both sides.
//!
//! # Answers
//! The answer quotes the last user text, names the media and tool results it was given, respects
//! `maxTokens` and `stopSequences`, and is the same streamed or not. A tool is called if the text names it
//! or contains the words of its name, or if `toolChoice` forces it; arguments are valid for the tool's
//! schema and come from the text (`x=3`, `location Paris`, quoted strings, numbers in order); a text that
//! lists two things leads to two calls. Vectors of similar texts are close.
//!
//! Reasoning models also reason between their calls if a request asks for high effort. Claude's reasoning
//! blocks are bound to their positions in the turn, those of the newest models to the model, the account
//! and the whole preceding conversation: a misplaced block is refused, and a block of another model or
//! account is not read, which the journal records (`dropped_thoughts`). Reasoning blocks of scripted
//! answers are bound too, regardless of their signatures. GPT and Grok encrypt theirs.
//!
//! Guardrails of every id exist, unless it begins with `missing`; they find a few plain words (`kill`,
//! `idiot`), e-mail addresses, and marks: `[violence]`, `[hate:low]`, `[topic:Shares]`, `[word:basalt]`,
//! `[pii:NAME]`. An id that begins with `weak` or `medium` has filters of that strength.
//!
//! # Files and batch jobs
//! S3 answers requests that are signed for it, by path or by host; buckets of every name exist, unless it begins
//! with `missing`. Jobs of CreateModelInvocationJob read their records there, go through the service's statuses
//! (a step lasts [`Options::job_step`]), and write the answers in another order than they were asked, with a
//! manifest. Like at the service a job has at least 100 records. A role whose name ends in `fails` has no access to
//! the bucket, and with one that ends in `expires` half of the records are not answered in time.
//!
//! # Faults by model id
//! Clients can request failures without a script by the name of the model they call (a region prefix such
//! as `us.` is allowed; `N` counts stream events or milliseconds):
//!
//! | model id | what happens |
//! |---|---|
//! | `emulator.echo` | the answer is exactly the last user text |
//! | `emulator.plain` | a tolerant model that answers as always |
//! | `emulator.throttle` | 429 ThrottlingException with `Retry-After: 1` |
//! | `emulator.error-STATUS` | the modelled exception of that status (400, 403, 404, 408, 424, 429, 500, 503) |
//! | `emulator.not-ready` | 429 ModelNotReadyException |
//! | `emulator.proxy-502` | an HTML error page, as a proxy in between would write it |
//! | `emulator.exception-N` | an exception frame (`modelStreamErrorException`) after N events |
//! | `emulator.stream-throttle-N` | a `throttlingException` frame after N events |
//! | `emulator.error-frame-N` | a `:message-type error` frame after N events |
//! | `emulator.cut-N` | the stream ends cleanly, too early, after N events |
//! | `emulator.reset-N` | connection reset in the middle of the frame after N events |
//! | `emulator.stall-N` | silence for ever after N events (0: right after the headers) |
//! | `emulator.silent` | the request is read and never answered |
//! | `emulator.slow-N` | N milliseconds before the first byte |
//! | `emulator.corrupt-N` | event N carries a wrong checksum |
//! | `emulator.oversized-N` | event N announces a frame of nearly 4 GiB |
//!
//! # Over HTTP
//! `POST /_emulator/script` accepts one step or a list of steps (see [`Entry`]) for the next calls, `DELETE
//! /_emulator/script` removes them, `GET /_emulator/calls` lists the journal and `DELETE /_emulator/calls`
//! empties it.

pub mod frames;

mod auth;
mod delivery;
mod error;
mod faults;
mod jobs;
mod journal;
mod json;
mod model;
mod models;
mod objects;
mod options;
mod routes;
mod script;
mod server;
mod sigv4;
mod validate;

pub use journal::{Call, Delivery, Journal};
pub use options::{Credentials, Options};
pub use script::{Entry, Fault, Script, Step};
pub use server::{Running, start};
