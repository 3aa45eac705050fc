//! A model and the account that calls it: what one attempt is sent to.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;
use translate::Unsupported;
use translate::chat::Defaults;
use translate::errors::Notes;
use translate::reasoning::Origin;

use super::series::TargetSeries;
use super::settings::Guardrail;
use crate::catalogue::ResolvedModel;
use bedrock::Account;

/// A target together with the account that calls it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The model.
    pub model: ResolvedModel,
    /// The account that makes the call.
    pub account: Account,
    /// The guardrail of the name: mandatory, or a default that the caller may override.
    pub guardrail: Option<Arc<Guardrail>>,
    /// Handling of fields that cannot be honoured, unless the caller sets it.
    pub unsupported: Unsupported,
    /// Parameters for requests that do not give them.
    pub params: Option<Arc<Defaults>>,
    /// Whether tags of requests choose among the targets of the name.
    pub heeds_tags: bool,
    /// Hash that identifies the account.
    pub(super) owner: u64,
    /// Name of the target for clients and operators.
    pub label: Arc<str>,
    /// Its name in metrics.
    pub series: Option<Arc<TargetSeries>>,
    /// Deadline of the call, earlier attempts included; `None` before the first attempt.
    pub deadline: Option<Instant>,
    /// The operator's names, to be suggested for an unknown name.
    pub(super) own: Arc<[String]>,
}

impl Target {
    /// Origin of its answers: reasoning of other origins is not sent to models that verify it.
    pub fn origin(&self) -> Origin {
        Origin { model: self.model.identity(), account: self.owner }
    }

    /// Notes that help to explain a refusal of its model.
    pub(super) fn notes(&self) -> Notes {
        self.model.notes(self.own.iter().map(String::as_str))
    }

    /// The same target with its model resolved as far as AWS describes it.
    pub async fn looked_up(&self) -> Cow<'_, Self> {
        if self.model.is_looked_up() {
            return Cow::Borrowed(self);
        }
        let mut target = self.clone();
        // Boxed, because most models are known, and their requests should be no larger for the others.
        Box::pin(target.model.look_up(&target.account)).await;
        Cow::Owned(target)
    }
}
