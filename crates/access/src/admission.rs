//! The permission to call Bedrock on behalf of a principal.

use crate::Principal;

/// Proof that a request was admitted. It has no public constructor: code that needs one must be handed one
/// that came from [`admit`].
///
/// ```compile_fail
/// let forged = access::Admission { principal: access::Principal::Anonymous };
/// ```
///
/// ```
/// let admission = access::admit(access::Principal::Anonymous).unwrap();
/// assert!(admission.permits("nova-lite"));
/// ```
#[derive(Debug)]
pub struct Admission {
    principal: Principal,
}

/// The reason a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The principal may not call the model.
    #[error("the model {model:?} is not granted to this caller")]
    Model {
        /// The model's name as it was asked for.
        model: String,
    },
}

/// Admits a request of a principal.
///
/// # Errors
/// [`Denied`] once policies exist; today every request is admitted.
pub fn admit(principal: Principal) -> Result<Admission, Denied> {
    match principal {
        Principal::Anonymous => Ok(Admission { principal }),
    }
}

impl Admission {
    /// The principal that was admitted.
    pub fn principal(&self) -> Principal {
        self.principal
    }

    /// Whether the principal may call a model by this name. It is asked for the name in the request and for
    /// the name of every fallback.
    pub fn permits(&self, _model: &str) -> bool {
        match self.principal {
            Principal::Anonymous => true,
        }
    }
}
