//! The secret that a stolen store lacks.

use std::fmt;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

use super::{NoRandomness, fill, hex};
use crate::InvalidField;

/// Shortest pepper taken, in bytes.
const SHORTEST: usize = 16;

/// The key of every HMAC over a caller's key. All replicas on one store share it; with another one no key of the
/// store is recognised.
#[derive(Clone)]
pub struct Pepper(Key);

impl Pepper {
    /// A pepper that the operator gave.
    ///
    /// # Errors
    /// It is shorter than 16 bytes.
    pub fn given(text: &str) -> Result<Self, InvalidField> {
        if text.len() < SHORTEST {
            return Err(InvalidField::new("pepper", "a pepper must have at least 16 bytes"));
        }
        Ok(Self(Key::new(HMAC_SHA256, text.as_bytes())))
    }

    /// Makes the text of a pepper, to be kept in the store. A copy of such a store is all that is needed to guess
    /// at chosen keys and to compute AWS key pairs, hence the preference for a given one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<String, NoRandomness> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        Ok(hex(&bytes))
    }

    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}
