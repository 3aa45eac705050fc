//! The bodies of InvokeModel: each provider's own JSON, a file a provider. Only what embeds is here.
//! A vector is kept as the text it came in, so that its numbers reach the client digit for digit.

pub mod cohere;
pub mod marengo;
pub mod nova;
pub mod titan;
