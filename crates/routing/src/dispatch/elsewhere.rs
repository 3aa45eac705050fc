//! A call that continues a stream which broke off: at another target than the one that began it.

use translate::reasoning::Origin;

use super::super::balance::TriedTargets;
use super::super::resolver::{Resolver, Route};
use super::{CallPurpose, CallSpec, Dispatch};
use std::sync::Arc;

impl<'n> Dispatch<'n> {
    /// Whether streams that break off are continued at another target.
    pub fn continues_streams(&self) -> bool {
        self.group.balance.continue_streams
            && self.group.len() > 1
            && self.terms.purpose == CallPurpose::Model
    }

    /// The targets of the name.
    pub fn route(&self) -> Route {
        Route { group: Arc::clone(&self.group), tags: self.tags.clone() }
    }

    /// Origin of the conversation's last reasoning.
    pub fn home(&self) -> Option<Origin> {
        self.terms.home
    }

    /// Selects a first target other than the one of this label. `None` if there is none.
    pub fn begin_elsewhere(
        names: &'n Resolver,
        route: Route,
        terms: CallSpec<'n>,
        label: &str,
    ) -> Option<Self> {
        let mut tried = TriedTargets::default();
        for at in 0..route.group.len() {
            if route.group.target(at).is_some_and(|target| &*target.label == label) {
                tried.add(at);
            }
        }
        let dispatch = Self::begin_after(names, route, terms, tried).ok()?;
        (!tried.holds(dispatch.at)).then_some(dispatch)
    }
}
