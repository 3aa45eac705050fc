//! Exact cost of calls: prices as decimals, usage as counts, and one pure function from both to the parts of
//! a cost and their total. Which price holds for a call is decided elsewhere; no clock, model or region is
//! known here.

mod amount;
mod cost;
mod part;
mod price;
mod usage;

pub use amount::{Amount, BadAmount};
pub use cost::{Charge, Cost, Unpriced, cost};
pub use part::Part;
pub use price::{LongPrompt, Price, Rate, Rates, Step};
pub use usage::Usage;

#[cfg(test)]
mod tests;
