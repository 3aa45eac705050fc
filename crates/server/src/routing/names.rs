//! From a caller's name to the target of one call: the operator's names first, those spelled out
//! before those with a `*`; then names that ask for a region; then Bedrock's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::RouteError;
use super::choice::Choice;
use super::pattern::{Pattern, filled};
use super::settings::{GroupSettings, Guardrail, ModelSettings, TargetSettings, Unlisted};
use super::sites::{Site, Sites};
use crate::bedrock::{Account, Place, Setup, SetupError};
use crate::catalogue::{Catalogue, Manner, Named, Standing, Target, region_of};

/// All names of one configuration.
#[derive(Debug)]
pub(crate) struct Names {
    exact: BTreeMap<String, Group>,
    /// Those that spell out most first.
    patterns: Vec<(Pattern, Group)>,
    unlisted: Unlisted,
    home: Site,
    sites: Sites,
}

/// The targets of a name.
#[derive(Debug)]
struct Group {
    members: Vec<Member>,
    choice: Choice,
    guardrail: Option<Arc<Guardrail>>,
}

#[derive(Debug)]
struct Member {
    model: String,
    manner: Manner,
    site: Site,
}

/// Where one call goes.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) target: Target,
    /// Who makes the call.
    pub(crate) account: Account,
    /// What the call must carry, or carries unless the caller says otherwise.
    pub(crate) guardrail: Option<Arc<Guardrail>>,
}

impl Route {
    /// The same, once it is known what its model accepts, as far as anybody tells.
    pub(crate) async fn settled(mut self) -> Self {
        self.target.settle(&self.account).await;
        self
    }
}

/// Why a configuration's targets cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The gateway's own account.
    #[error(transparent)]
    Home(#[from] SetupError),
    /// A target.
    #[error("model {name:?}: {error}")]
    Target {
        /// The operator's name.
        name: String,
        /// What is wrong.
        error: SetupError,
    },
}

impl Names {
    /// Opens the account of every target. Accounts that `before` has are kept.
    pub(crate) async fn open(
        settings: &ModelSettings,
        base: Setup,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let before = before.map(|names| &names.sites);
        let sites = Sites::new(base, settings.naming.clone(), before);
        let home = sites.open(&Place::default(), before).await?;
        let (mut exact, mut patterns) = (BTreeMap::new(), Vec::new());
        for (name, group) in &settings.groups {
            let opened = Group::open(group, &sites, before).await;
            let group = opened.map_err(|error| OpenError::Target { name: name.clone(), error })?;
            match Pattern::parse(name) {
                Some(pattern) => patterns.push((pattern, group)),
                None => {
                    exact.insert(name.clone(), group);
                }
            }
        }
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.spelled_out()));
        Ok(Self { exact, patterns, unlisted: settings.unlisted, home, sites })
    }

    /// The gateway's own account.
    pub(crate) fn home(&self) -> &Account {
        &self.home.account
    }

    /// What names mean to the gateway's own account.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.home.catalogue
    }

    /// Every account of this configuration so far.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.sites.accounts()
    }

    /// Whether this configuration calls for an account.
    pub(crate) fn holds(&self, account: &Account) -> bool {
        self.sites.holds(account)
    }

    /// The target of the next call of a name.
    ///
    /// # Errors
    /// The name is not listed and others are refused, or its region cannot be called.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Route, RouteError> {
        if let Some(route) = self.find(name).and_then(|(group, star)| group.next(name, star)) {
            return Ok(route);
        }
        if self.unlisted == Unlisted::Refused {
            return Err(RouteError::NotListed(name.to_owned()));
        }
        let site = match region_of(name) {
            Some(region) if region != self.home.account.region() => self.elsewhere(region).await?,
            Some(_) | None => self.home.clone(),
        };
        let target = site.catalogue.resolve(name, &Manner::default());
        Ok(Route { target, account: site.account, guardrail: None })
    }

    /// The operator's names that are spelled out, each with its first target.
    pub(crate) fn listed(&self) -> Vec<Named<'_>> {
        let named = |(name, group): (_, &Group)| {
            let target = group.members.first()?.target(name, None);
            Some(Named { name, target, standing: Standing::Configured })
        };
        self.exact.iter().map(|(name, group)| (name.as_str(), group)).filter_map(named).collect()
    }

    /// Whether a name may be called at all.
    pub(crate) fn admits(&self, name: &str) -> bool {
        self.unlisted == Unlisted::Served || self.find(name).is_some()
    }

    /// Whether the operator has listed a name.
    pub(crate) fn standing(&self, name: &str) -> Standing {
        if self.exact.contains_key(name) { Standing::Configured } else { Standing::Guessed }
    }

    fn find<'n>(&self, name: &'n str) -> Option<(&Group, Option<&'n str>)> {
        if let Some(group) = self.exact.get(name) {
            return Some((group, None));
        }
        self.patterns
            .iter()
            .find_map(|(pattern, group)| Some((group, Some(pattern.captures(name)?))))
    }

    async fn elsewhere(&self, region: &str) -> Result<Site, RouteError> {
        let refused = |why: String| RouteError::Elsewhere { asked: region.to_owned(), why };
        match self.sites.in_region(region).await {
            Some(Ok(site)) => Ok(site),
            Some(Err(error)) => Err(refused(error.to_string())),
            None => Err(refused("too many regions are in use".to_owned())),
        }
    }
}

impl Group {
    async fn open(
        settings: &GroupSettings,
        sites: &Sites,
        before: Option<&Sites>,
    ) -> Result<Self, SetupError> {
        let mut members = Vec::with_capacity(settings.targets.len());
        for TargetSettings { model, place, manner, .. } in &settings.targets {
            let site = sites.open(place, before).await?;
            members.push(Member { model: model.clone(), manner: manner.clone(), site });
        }
        Ok(Self {
            members,
            choice: Choice::new(settings.targets.iter().map(|target| target.weight)),
            guardrail: settings.guardrail.clone().map(Arc::new),
        })
    }

    /// The target of the next call of `name`, in which a `*` stood for `star`.
    fn next(&self, name: &str, star: Option<&str>) -> Option<Route> {
        let member = self.members.get(self.choice.next())?;
        Some(Route {
            target: member.target(name, star),
            account: member.site.account.clone(),
            guardrail: self.guardrail.clone(),
        })
    }
}

impl Member {
    fn target(&self, name: &str, star: Option<&str>) -> Target {
        let catalogue = &self.site.catalogue;
        match star {
            Some(star) => catalogue.resolve(&filled(&self.model, name, star), &self.manner),
            None => catalogue.resolve(&self.model, &self.manner),
        }
    }
}
