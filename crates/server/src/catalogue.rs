//! Models: what a model's name means to one account, and what that model accepts. Names nobody has
//! listed are Bedrock's to judge. What is known is data, in `config/models.toml`.

use std::sync::Arc;

use schema::openai::models::Model;
use translate::Profile;
use translate::chat::Digest;
use translate::errors::{GrammarRefusal, Notes};
use translate::profile::{PromptCache, StructuredOutput};

use crate::bedrock::{Account, Transport};
use crate::nearest::near;

mod account;
mod behind;
mod book;
mod calendar;
mod directory;
mod geography;
mod id;
mod knobs;
mod learned;
mod prices;
mod regions;
mod rows;
mod spelling;

use account::Listing;
use behind::Behind;
pub(crate) use book::BadRow;
use book::{Book, Row};
use calendar::Day;
pub(crate) use id::is_region;
use id::{Id, Name};
pub(crate) use knobs::Knobs;
use learned::{Learned, Without};
pub(crate) use regions::is_known_region;
pub(crate) use rows::Rows;

/// Everything known about models as one account may call them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    region: String,
    naming: Naming,
    book: Arc<Book>,
    learned: Learned,
    /// Models that refused a grammar for answers.
    without_grammar: Without,
    behind: Behind,
    listing: Listing,
}

/// What the operator decides about names, and knows about models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Naming {
    pub(crate) cross_region: CrossRegion,
    pub(crate) eol_aliases: EolAliases,
    /// Over the catalogue's own.
    pub(crate) rows: Rows,
    /// For targets that say nothing themselves.
    pub(crate) prompt_cache: PromptCache,
}

/// What the operator knows better about one target.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Manner {
    /// The model whose behaviour to expect, where the id does not tell.
    pub(crate) base_model: Option<String>,
    /// Knobs in place of the catalogue's.
    pub(crate) accepts: Knobs,
}

/// When a name goes out as an inference profile, which may run it in other regions of the geography.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum CrossRegion {
    /// Wherever the model has one.
    Always,
    /// For short names, and for models that are not to be had otherwise.
    #[default]
    Auto,
    /// Only if the caller names the profile.
    Never,
}

/// What becomes of short names of models past the end of their life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum EolAliases {
    /// They are sent, and refused by AWS.
    #[default]
    Send,
    /// Their successor is called.
    Remap,
}

/// Where a call goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Id, inference profile or ARN, as Bedrock knows it.
    pub(crate) model_id: String,
    /// What the model accepts.
    pub(crate) profile: Profile,
    /// The foundation model behind the id, where the id tells.
    base: Option<String>,
    /// What the name asks for beside the model, and Bedrock does not know, as `model.free`.
    unheeded: Option<String>,
    /// Whether Bedrock may answer that the model is not served like this, but by a profile.
    on_demand: bool,
    /// The operator's knobs, of an id whose model the control plane may tell.
    unsettled: Option<Knobs>,
    catalogue: Catalogue,
}

/// A name and what it leads to.
#[derive(Debug)]
pub(crate) struct Named<'n> {
    pub(crate) name: &'n str,
    pub(crate) target: Target,
    pub(crate) standing: Standing,
}

impl Named<'_> {
    /// What is known of it, if anything is.
    pub(crate) async fn model(&self, transport: &Transport) -> Option<Model> {
        let account = self.target.catalogue.0.account(transport).await;
        directory::one(&account, self)
    }
}

/// Whose name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The operator's: it is known whatever the account lists.
    Configured,
    /// Anybody's.
    Guessed,
}

/// The region a name asks for, as in `bedrock/eu-west-1/...`, or else the region of its ARN.
pub(crate) fn region_of(name: &str) -> Option<&str> {
    let name = Name::parse(name);
    let of_arn = match name.id {
        Id::Arn(arn) => arn.region,
        Id::Profile { .. } | Id::Model(_) => None,
    };
    name.region.or(of_arn)
}

/// The model whose behaviour to expect of an imported or custom model, by LiteLLM's word for its family.
pub(crate) fn model_of_family(word: &str) -> Option<&'static str> {
    Book::open().imported(word)
}

/// Whether a plain name, id or ARN is one of Bedrock's and of nobody else, as far as can be told offline:
/// the names by which other providers sell the same models are not.
pub(crate) fn is_bedrocks(name: &str) -> bool {
    match Name::parse(name).id {
        Id::Arn(_) | Id::Profile { .. } => true,
        Id::Model(id) => Book::open().has_alias(id) || Book::open().find(id).is_some(),
    }
}

/// Whether a name leads to a model, as far as can be told offline.
pub(crate) fn is_understood(name: &str) -> bool {
    let short = match Name::parse(name).id {
        Id::Model(id) => Book::open().alias(id),
        Id::Arn(_) | Id::Profile { .. } => None,
    };
    short.is_some() || is_bedrocks(name)
}

impl Catalogue {
    pub(crate) fn new(naming: Naming, region: &str) -> Self {
        Self(Arc::new(Inner {
            region: region.to_owned(),
            book: naming.rows.book(),
            naming,
            learned: Learned::default(),
            without_grammar: Without::default(),
            behind: Behind::default(),
            listing: Listing::default(),
        }))
    }

    /// Every profile that a model of the catalogue has, each once.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn profiles(&self) -> Vec<Profile> {
        let mut profiles: Vec<Profile> = Vec::new();
        for (_, row) in self.0.book.models() {
            if !profiles.contains(&row.profile) {
                profiles.push(row.profile.clone());
            }
        }
        profiles
    }

    /// Resolves the name of a model. A region in it is the caller's business.
    pub(crate) fn resolve(&self, name: &str, manner: &Manner) -> Target {
        let inner = &self.0;
        let name = Name::parse(name);
        let book = &inner.book;
        let spelled = match name.id {
            Id::Model(text) => book.spelled(text),
            Id::Arn(_) | Id::Profile { .. } => None,
        };
        let short = spelled.map(|spelled| inner.alive(spelled.id));
        let variant = spelled.and_then(|spelled| spelled.variant);
        let listed = inner.listing.known();
        let behind = || listed.as_ref().and_then(|account| account.behind(name.id.text()));
        let can_be_asked = behind::can_be_asked(&name.id);
        let answered = can_be_asked.then(|| inner.behind.find(name.id.text())).flatten();
        let told = manner.base_model.as_deref().map(|base| Name::parse(base).id.model());
        let told = told.map(|base| book.alias(base).unwrap_or(base));
        let own = || Some(name.id.text()).filter(|text| book.listed(text).is_some());
        let base =
            told.or(short).or_else(own).or(name.id.base()).or_else(behind).or(answered.as_deref());
        let row = base.and_then(|base| book.find(base));
        let chosen = match (name.id, short) {
            (_, Some(base)) => inner.profile_of_short(base),
            (Id::Model(text), None) => inner.profile_of_bare(text),
            (Id::Arn(_) | Id::Profile { .. }, None) => None,
        };
        let sent = short.unwrap_or(name.id.text());
        let learned = || name.id.is_on_demand().then(|| inner.learned.find(sent)).flatten();
        let chosen = chosen.or_else(learned);
        let model_id = chosen.clone().unwrap_or_else(|| sent.to_owned());
        let geography = Name::parse(&model_id).id.geography();
        let mut profile = manner.accepts.over(row, geography, inner.naming.prompt_cache);
        if inner.without_grammar.holds(&model_id) {
            profile.structured_output = StructuredOutput::ForcedTool;
        }
        Target {
            // Of a model the operator describes, the profile's name cannot be guessed.
            on_demand: name.id.is_on_demand() && chosen.is_none() && told.is_none(),
            model_id,
            profile,
            base: base.map(ToOwned::to_owned),
            unheeded: variant.map(|variant| format!("model.{variant}")),
            unsettled: (can_be_asked && base.is_none()).then(|| manner.accepts.clone()),
            catalogue: self.clone(),
        }
    }

    /// Names that may have been meant by one that leads nowhere: an operator's `own`, and those of living
    /// models.
    pub(crate) fn near<'n>(
        &'n self,
        name: &'n str,
        own: impl Iterator<Item = &'n str>,
    ) -> Vec<String> {
        let (book, today) = (&self.0.book, Day::today());
        let lives = move |base: &str| book.listed(base).is_some_and(|row| !row.has_ended(today));
        let short = book.aliases().filter(|(_, base)| lives(base)).map(|(name, _)| name);
        match Name::parse(name).id {
            Id::Arn(_) => Vec::new(),
            // A maker's or a region's name in front is no part of short ones.
            Id::Profile { base: id, .. } | Id::Model(id) => {
                let all: Vec<&str> = own.chain(short).collect();
                let found = near(id, all.iter().copied());
                let rest = id.split_once(['.', '/']).map(|(_, rest)| rest);
                match rest {
                    Some(rest) if found.is_empty() => near(rest, all.into_iter()),
                    Some(_) | None => found,
                }
            }
        }
    }

    /// Short names of models that embed texts, to be suggested.
    pub(crate) fn embedders(&self) -> impl Iterator<Item = &str> {
        let (book, today) = (&self.0.book, Day::today());
        book.aliases().filter_map(move |(name, base)| {
            let row = book.find(base)?;
            (row.profile.embedding.is_some() && !row.has_ended(today)).then_some(name)
        })
    }

    /// Every model worth naming: the operator's names, the short ones, then what the account has.
    pub(crate) async fn models(&self, transport: &Transport, own: &[Named<'_>]) -> Vec<Model> {
        let account = self.0.account(transport).await;
        directory::all(self, &account, own)
    }
}

impl Inner {
    /// The model a short name leads to, or its successor where that is wanted.
    fn alive<'b>(&'b self, base: &'b str) -> &'b str {
        let row = self.book.listed(base);
        let ended = row.filter(|row| row.has_ended(Day::today()));
        match self.naming.eol_aliases {
            EolAliases::Send => base,
            EolAliases::Remap => ended.and_then(|row| row.successor.as_deref()).unwrap_or(base),
        }
    }

    fn profile_of_short(&self, base: &str) -> Option<String> {
        match self.naming.cross_region {
            CrossRegion::Never => None,
            CrossRegion::Always | CrossRegion::Auto => self.profile(base),
        }
    }

    fn profile_of_bare(&self, id: &str) -> Option<String> {
        let row = self.book.listed(id);
        match self.naming.cross_region {
            CrossRegion::Never => None,
            CrossRegion::Auto if !row.is_some_and(|row| row.profile_only) => None,
            CrossRegion::Always | CrossRegion::Auto => self.profile(id),
        }
    }

    /// The best inference profile of a known model from here.
    fn profile(&self, base: &str) -> Option<String> {
        let row = self.book.listed(base)?;
        let offered = |prefix: &&&str| row.prefixes.iter().any(|own| own == **prefix);
        let prefix = geography::prefixes(&self.region).iter().find(offered)?;
        Some(format!("{prefix}.{base}"))
    }
}

impl Target {
    fn book(&self) -> &Book {
        &self.catalogue.0.book
    }

    /// Whether there is nothing to find out about what it accepts.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled.is_none()
    }

    /// Finds out what model stands behind an id that does not tell, if the account may ask. To be done
    /// before the profile is used; costs nothing where it is known.
    pub(crate) async fn settle(&mut self, account: &Account) {
        let Some(accepts) = self.unsettled.take() else { return };
        let inner = &self.catalogue.0;
        if let Some(base) = inner.behind.ask(&self.model_id, account).await {
            self.profile = accepts.over(inner.book.find(&base), None, inner.naming.prompt_cache);
            self.base = Some(base);
        }
    }

    /// Another id for the same model, once Bedrock has said that it is not served on demand: an
    /// inference profile of the caller's geography. What the account lists counts most, then what the
    /// catalogue knows; of a model neither knows, the nearest geography is tried.
    pub(crate) fn detour(&self) -> Option<String> {
        let inner = &self.catalogue.0;
        let base = self.base.as_deref().filter(|_| self.on_demand)?;
        if inner.naming.cross_region == CrossRegion::Never {
            return None;
        }
        let prefixes = geography::prefixes(&inner.region);
        let ids = || prefixes.iter().map(|prefix| format!("{prefix}.{base}"));
        if let Some(account) = inner.listing.known()
            && let Some(listed) = ids().find(|id| account.has_profile(id))
        {
            return Some(listed);
        }
        match inner.book.listed(base).filter(|row| !row.prefixes.is_empty()) {
            Some(_) => inner.profile(base),
            None => ids().next(),
        }
    }

    /// What the name asks for beside the model, and Bedrock does not know.
    pub(crate) fn unheeded(&self) -> Option<&str> {
        self.unheeded.as_deref()
    }

    /// The foundation model behind the id, where that is known.
    pub(crate) fn base_model(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Whether both are the same model, perhaps in different places: what one makes, the other could
    /// have made.
    pub(crate) fn is_same_model(&self, other: &Self) -> bool {
        match (&self.base, &other.base) {
            (Some(one), Some(other)) => one == other,
            _ => self.model_id == other.model_id,
        }
    }

    /// The model as a hash: the same under every name and inference profile it is known by.
    pub(crate) fn identity(&self) -> u64 {
        Digest::of(self.base.as_deref().unwrap_or(&self.model_id).as_bytes())
    }

    /// From now on calls of this id go where the detour led.
    pub(crate) fn remember(&self, detour: &str) {
        self.catalogue.0.learned.remember(&self.model_id, detour);
    }

    /// The same without a grammar for answers, which was refused: of the model from now on, or of one schema.
    pub(crate) fn without_grammar(&self, refusal: GrammarRefusal) -> Self {
        if refusal == GrammarRefusal::Model {
            log::info!("{} takes no grammar for answers, and gets none now", self.model_id);
            self.catalogue.0.without_grammar.remember(&self.model_id);
        }
        let mut target = self.clone();
        target.profile.structured_output = StructuredOutput::ForcedTool;
        target
    }

    /// What a refusal of this model is to be explained with; an operator's `own` names are suggested where
    /// no such model is known.
    pub(crate) fn notes<'n>(&'n self, own: impl Iterator<Item = &'n str>) -> Notes {
        let inner = &self.catalogue.0;
        let row = self.base.as_deref().and_then(|base| inner.book.listed(base));
        let base = self.base.as_deref().unwrap_or(&self.model_id);
        let today = Day::today();
        let ended = row.filter(|row| row.has_ended(today));
        let successor = row.and_then(|row| row.successor.as_deref());
        Notes {
            model: self.model_id.clone(),
            region: inner.region.clone(),
            is_known: row.is_some(),
            has_ended: ended.is_some(),
            end_of_life: row.and_then(|row| row.eol).map(|day| day.to_string()),
            successor: successor
                .map(|id| inner.profile_of_short(id).unwrap_or_else(|| id.to_owned())),
            profiles: row.map(|row| profiles(row, base)).unwrap_or_default(),
            profile_here: inner.profile(base),
            profiles_allowed: inner.naming.cross_region != CrossRegion::Never,
            context: row.and_then(|row| row.context),
            near: if row.is_some() { Vec::new() } else { self.catalogue.near(&self.model_id, own) },
        }
    }
}

fn profiles(row: &Row, base: &str) -> Vec<String> {
    row.prefixes.iter().map(|prefix| format!("{prefix}.{base}")).collect()
}

#[cfg(test)]
mod tests;
