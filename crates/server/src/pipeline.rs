//! A request in eight steps, in this order for every route:
//!
//! 1. **identify** ([`Incoming::identify`]): the principal and all option headers, before a byte of the body;
//! 2. **read** ([`Incoming::read`]): the body's bytes, under limits; the route makes them a typed request;
//! 3. **admit and resolve** ([`Incoming::admit`], [`Admitted::resolve`]): permission, then the targets behind
//!    the name;
//! 4. **media** ([`Admitted::fetch_media`]): content that the request refers to by URL;
//! 5. **translate**: the request in Bedrock's terms, for the target at hand; a dry run ends here;
//! 6. **dispatch** ([`Admitted::transport`]): sign, send, retry and fall back until an answer begins;
//! 7. **respond**: the answer as one body or as server-sent events;
//! 8. **settle** (`Drop for RequestContext`): usage, the calls made, the access line.
//!
//! [`Admitted`] is the only way to a transport or to the SDK, and [`Incoming::admit`] is the only source of
//! one: a route without the steps before it does not compile.

mod admit;
mod identify;

pub(crate) use admit::Admitted;
pub(crate) use identify::Incoming;
