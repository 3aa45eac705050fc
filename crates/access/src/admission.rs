//! The permission to call Bedrock on behalf of a principal.

use std::sync::Arc;

use crate::ledger::ScopeKind;
use crate::policy::{CallRoute, ModelFacts, grants, passes_through};
use crate::principal::Level;
use crate::record::UnsupportedParams;
use crate::{Caller, Holder, Principal, UtcTime};

/// Proof that a request was admitted. It has no public constructor: code that needs one must be handed one
/// that came from [`admit`].
///
/// ```compile_fail
/// let forged = access::Admission { caller: access::Principal::Anonymous.into() };
/// ```
///
/// ```
/// let admission = access::admit(access::Principal::Anonymous).unwrap();
/// assert!(!admission.restricts_models());
/// ```
#[derive(Debug)]
pub struct Admission {
    caller: Caller,
}

/// The reason a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The principal may not call the model.
    #[error("the {} is not granted the model {model:?}", level.as_str())]
    Model {
        /// The model's name as it was asked for.
        model: String,
        /// The level that refuses.
        level: ScopeKind,
    },
    /// The principal may not call the route.
    #[error("the key is not granted the route {route:?}")]
    Route {
        /// The route's name.
        route: String,
    },
    /// The principal may not call the native operation.
    #[error("the {} is not granted the operation {operation:?}", level.as_str())]
    Operation {
        /// The operation.
        operation: String,
        /// The level that refuses.
        level: ScopeKind,
    },
    /// The data may not go to the geography.
    #[error("the {} may not call the geography {geography:?}", level.as_str())]
    Geography {
        /// The geography of the target.
        geography: String,
        /// The level that refuses.
        level: ScopeKind,
    },
    /// A guardrail that the key or its team demands cannot be applied.
    #[error("the guardrail {guardrail:?} that the key demands cannot be applied")]
    Guardrail {
        /// The guardrail as the record names it.
        guardrail: String,
    },
    /// A level is blocked.
    #[error("the {} is blocked", level.as_str())]
    Blocked {
        /// The level.
        level: ScopeKind,
    },
    /// The key has expired.
    #[error("the key expired at {at}")]
    Expired {
        /// The time it expired.
        at: UtcTime,
        /// The time of the refusal.
        now: UtcTime,
    },
}

/// Admits a request of a caller. Expiry was judged when the key was authenticated; models, routes, operations and
/// geographies are judged as they become known.
///
/// # Errors
/// A level of the caller is blocked.
pub fn admit(caller: impl Into<Caller>) -> Result<Admission, Denied> {
    let caller = caller.into();
    if let Some(level) = caller.levels().iter().find(|level| level.blocked) {
        return Err(Denied::Blocked { level: level.kind });
    }
    Ok(Admission { caller })
}

impl Admission {
    /// The principal that was admitted.
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// The holder of the key that was admitted; none for other principals.
    pub fn holder(&self) -> Option<&Arc<Holder>> {
        self.caller.principal.holder()
    }

    /// The caller that was admitted.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Prefixes below which the key's calls may name objects in S3; none restricts nothing.
    pub fn s3_prefixes(&self) -> Option<&[String]> {
        self.holder().and_then(|holder| holder.key.allowed_s3_prefixes.as_deref())
    }

    /// Whether media by URL may be fetched for the key.
    pub fn may_fetch_media(&self) -> bool {
        self.holder().is_none_or(|holder| holder.key.allow_media_fetch != Some(false))
    }

    /// The treatment of unsupported parameters that the key sets for its calls.
    pub fn unsupported_params(&self) -> Option<UnsupportedParams> {
        self.holder().and_then(|holder| holder.key.unsupported_params)
    }

    /// Whether the caller's levels restrict models or geographies at all.
    pub fn restricts_models(&self) -> bool {
        self.caller.levels().iter().any(Level::restricts_models)
    }

    /// Checks a resolved model: its names, and the geography its data goes to.
    ///
    /// # Errors
    /// The first level that does not grant it, the key first.
    pub fn check_model(&self, model: &ModelFacts<'_>) -> Result<(), Denied> {
        for level in self.caller.levels() {
            if !grants(&level, &self.caller, model.names) {
                let model = model.asked.to_owned();
                return Err(Denied::Model { model, level: level.kind });
            }
            let granted = |list: &Vec<&str>| model.geographies.iter().any(|one| list.contains(one));
            if !level.geographies.as_ref().is_none_or(granted) {
                let geography = model.geographies.first().copied().unwrap_or("unknown").to_owned();
                return Err(Denied::Geography { geography, level: level.kind });
            }
        }
        Ok(())
    }

    /// Checks a native operation, such as `Converse` or `StartAsyncInvoke`.
    ///
    /// # Errors
    /// The first level that does not grant it.
    pub fn check_operation(&self, operation: &str) -> Result<(), Denied> {
        for level in self.caller.levels() {
            if level.lists(operation) == Some(false) {
                let operation = operation.to_owned();
                return Err(Denied::Operation { operation, level: level.kind });
            }
        }
        Ok(())
    }

    /// Checks a route.
    ///
    /// # Errors
    /// The key's type or its list of routes does not grant it, or the caller only reads.
    pub fn check_route(&self, route: CallRoute<'_>) -> Result<(), Denied> {
        let is_granted = match &self.caller.principal {
            Principal::Key(holder) => route.granted_to(&holder.key),
            Principal::Viewer => route.reads(),
            Principal::Master | Principal::Anonymous => true,
        };
        if is_granted { Ok(()) } else { Err(Denied::Route { route: route.name.to_owned() }) }
    }

    /// Checks an operation that runs models which no other check sees: named in its body, or chosen by an agent, a flow or
    /// a job.
    ///
    /// # Errors
    /// The first level that restricts models or geographies and does not list the operation.
    pub fn check_unseen_models(&self, operation: &str) -> Result<(), Denied> {
        let refuses =
            |level: &&Level<'_>| !level.grants_all() && level.lists(operation) != Some(true);
        match self.caller.levels().iter().find(refuses) {
            Some(level) => {
                Err(Denied::Operation { operation: operation.to_owned(), level: level.kind })
            }
            None => Ok(()),
        }
    }

    /// Checks a path of Bedrock's own API.
    ///
    /// # Errors
    /// The key's lists of passthrough routes do not grant it.
    pub fn check_passthrough(&self, path: &str) -> Result<(), Denied> {
        match self.holder() {
            Some(holder) if !passes_through(&holder.key, path) => {
                Err(Denied::Route { route: path.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The guardrails that the key and its team demand of every call.
    pub fn guardrails(&self) -> impl Iterator<Item = &str> {
        let holder = self.holder();
        let of_key = holder.and_then(|holder| holder.key.guardrails.as_deref());
        let of_team = holder.and_then(|holder| holder.team.as_ref()?.guardrails.as_deref());
        of_key.into_iter().chain(of_team).flatten().map(String::as_str)
    }

    /// The name that the key, or its team, gives another one. It is resolved before the check of the model.
    pub fn alias(&self, model: &str) -> Option<&str> {
        let holder = self.holder()?;
        let of_team = || holder.team.as_ref().and_then(|team| team.model_aliases.get(model));
        holder.key.aliases.get(model).or_else(of_team).map(String::as_str)
    }
}
