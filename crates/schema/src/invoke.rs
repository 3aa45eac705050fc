//! The bodies of InvokeModel: each provider's own JSON, with a file for each. Only embedding models,
//! rerankers and image models are covered. A vector is kept as its original text, so that its numbers reach the client digit
//! for digit.

pub mod cohere;
pub mod marengo;
pub mod media_embedding;
pub mod nova;
pub mod picture;
pub mod ranking;
pub mod titan;
