//! The model of a name: the id that is sent, and the foundation model behind it.

use super::id::{Id, Name};
use super::{Catalogue, ModelOverrides, arn_lookup};

/// The model of a name, before its profile.
pub(super) struct Identified<'n> {
    pub(super) id: Id<'n>,
    /// The id that is sent.
    pub(super) model_id: String,
    pub(super) base: Option<String>,
    pub(super) variant: Option<&'n str>,
    /// Whether the id that is sent is a profile's that was chosen here.
    pub(super) is_chosen: bool,
}

impl Catalogue {
    /// Identifies the model of a name, with what the account, the control plane and past refusals tell.
    pub(super) fn identified<'n>(
        &'n self,
        name: &'n str,
        overrides: &'n ModelOverrides,
    ) -> Identified<'n> {
        let inner = &self.0;
        let name = Name::parse(name);
        let registry = &inner.registry;
        let spelled = match name.id {
            Id::Model(text) => registry.spelled(text),
            Id::Arn(_) | Id::Profile { .. } => None,
        };
        let short = spelled.map(|spelled| inner.alive(spelled.id));
        let listed = inner.listing.known();
        let arn_lookup = || listed.as_ref().and_then(|account| account.arn_lookup(name.id.text()));
        let can_be_asked = arn_lookup::can_be_asked(&name.id);
        let answered = can_be_asked.then(|| inner.arn_lookup.find(name.id.text())).flatten();
        let told = overrides.base_model.as_deref().map(|base| Name::parse(base).id.model());
        let told = told.map(|base| registry.alias(base).unwrap_or(base));
        let own = || Some(name.id.text()).filter(|text| registry.listed(text).is_some());
        let base = told
            .or(short)
            .or_else(own)
            .or(name.id.base().filter(|_| !can_be_asked))
            .or_else(arn_lookup)
            .or(answered.as_deref());
        let chosen = match (name.id, short) {
            (_, Some(base)) => inner.profile_of_short(base),
            (Id::Model(text), None) => inner.profile_of_bare(text),
            (Id::Arn(_) | Id::Profile { .. }, None) => None,
        };
        let sent = short.unwrap_or(name.id.text());
        let learned = || name.id.is_on_demand().then(|| inner.learned.find(sent)).flatten();
        let chosen = chosen.or_else(learned);
        Identified {
            base: base.map(ToOwned::to_owned),
            is_chosen: chosen.is_some(),
            model_id: chosen.unwrap_or_else(|| sent.to_owned()),
            variant: spelled.and_then(|spelled| spelled.variant),
            id: name.id,
        }
    }
}
