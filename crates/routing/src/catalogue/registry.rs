//! Model registry: `config/models.toml` and `config/prices.toml`, compiled in, with an operator's rows laid
//! over them. They are parsed when the first model is resolved, or an operator's row is read; then rows are
//! looked up by hash, and patterns only for models without a row.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use toml::{Table, Value};
use translate::Profile;
use translate::profile::Medium;

use super::date::Day;
use super::geography::PREFIXES;
use super::overrides::read;
use super::prices::{PriceBook, Prices, Tier};
use super::spelling::{Irregular, Spelled, Spellings};
use super::surfaces::{self, SurfaceRows};

/// Limit of chained `like` keys, against loops.
const LIKE_DEPTH: usize = 8;

static TEXT: &str = include_str!("../../../../config/models.toml");
static PRICES: &str = include_str!("../../../../config/prices.toml");
static BOOK: OnceLock<Arc<Registry>> = OnceLock::new();

/// Rows as written, by id or pattern.
pub(super) type Written = BTreeMap<String, Table>;

/// Keys of a row that are no facts: the row it extends, and the evidence for its profile.
pub(super) const LIKE: &str = "like";
pub(super) const EVIDENCE: &str = "evidence";
/// The key of a row that holds the profile fields.
pub(super) const PROFILE: &str = "profile";
const INPUT: &str = "input";
const MEDIA: &str = "media";
const MAX_OUTPUT: &str = "max_output";
const MOST_MAX_TOKENS: &str = "most_max_tokens";
const TOOLS: &str = "tools";
const TOOL_CHOICE: &str = "tool_choice";
const EMBEDDING: &str = "embedding";
const TIERS: &str = "tiers";
/// Tiers that requests may name.
const CALLABLE_TIERS: [Tier; 2] = [Tier::Flex, Tier::Priority];

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Day of the compiled-in data.
    dated: Option<Day>,
    exact: HashMap<String, Row>,
    /// Patterns without their `*`, the longest first.
    families: Vec<(String, Row)>,
    /// Names that follow no rule.
    irregular: Irregular,
    spellings: Spellings,
    /// Models by LiteLLM's word for the family of an imported one.
    imported: BTreeMap<String, String>,
    written: Written,
    /// Profile fields that differ on other surfaces than Converse.
    surfaces: SurfaceRows,
    book: Arc<PriceBook>,
}

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its id or pattern.
    pub row: String,
    /// The error.
    pub error: String,
}

/// The facts about one model, or one family of models.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Row {
    pub(super) profile: Arc<Profile>,
    /// The profile as written: only the fields that are set.
    #[serde(skip)]
    pub(super) overrides: Table,
    /// Profile fields that differ through the inference profiles of a geography, by its prefix.
    pub(super) within: BTreeMap<String, Table>,
    /// Profile fields that differ in an API of another surface than Converse, by the API's name.
    pub(super) on: BTreeMap<String, Table>,
    /// Region prefixes of its inference profiles, without the dot.
    pub(super) prefixes: Vec<String>,
    /// The bare id is refused on demand.
    pub(super) profile_only: bool,
    /// Context window, in tokens.
    pub(super) context: Option<u64>,
    /// Longest output, in tokens.
    pub(super) max_output: Option<u64>,
    /// Input media besides text.
    pub(super) input: Vec<Medium>,
    pub(super) tools: bool,
    pub(super) eol: Option<Day>,
    /// Past its end of life on an unknown date.
    pub(super) retired: bool,
    /// The model to use instead, without region prefix.
    pub(super) successor: Option<String>,
    /// Prices of the operator's.
    pub(super) prices: Option<Prices>,
    /// The model whose compiled-in prices hold, if the operator states none.
    #[serde(skip)]
    pub(super) priced_like: Option<String>,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            profile: Arc::default(),
            overrides: Table::new(),
            within: BTreeMap::new(),
            on: BTreeMap::new(),
            prefixes: Vec::new(),
            profile_only: false,
            context: None,
            max_output: None,
            input: Vec::new(),
            tools: true,
            eol: None,
            retired: false,
            successor: None,
            prices: None,
            priced_like: None,
        }
    }
}

impl Row {
    /// Reads a complete row: `like` has been resolved.
    ///
    /// # Errors
    /// The key or value that is wrong.
    pub(super) fn read(mut whole: Table) -> Result<Self, String> {
        whole.remove(LIKE);
        whole.remove(EVIDENCE);
        known_to_translation(&mut whole, INPUT, MEDIA);
        known_to_translation(&mut whole, MAX_OUTPUT, MOST_MAX_TOKENS);
        read_tools(&mut whole);
        let overrides = whole.get(PROFILE).and_then(Value::as_table).cloned();
        let row: Self = Value::Table(whole)
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        let overrides = overrides.unwrap_or_default();
        for (geography, within) in &row.within {
            if !PREFIXES.contains(&geography.as_str()) {
                return Err(format!("within names {geography}, which is no prefix of profiles"));
            }
            read(within.clone()).map_err(|error| format!("within.{geography}: {error}"))?;
        }
        for (api, on) in &row.on {
            surfaces::check(api, on).map_err(|error| format!("on.{api}: {error}"))?;
        }
        Ok(Self { overrides, ..row })
    }

    /// Whether a front door calls the model: by Converse, or for vectors, ranks or images.
    fn is_called(&self) -> bool {
        let Profile { converse, embedding, rerank, image, .. } = &*self.profile;
        *converse || embedding.is_some() || rerank.is_some() || image.is_some()
    }

    /// Whether the model is past its end of life.
    pub(super) fn has_ended(&self, today: Day) -> bool {
        self.retired || self.eol.is_some_and(|eol| eol <= today)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dated: Day,
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    spellings: BTreeMap<String, String>,
    #[serde(default)]
    makers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    imported: BTreeMap<String, String>,
    #[serde(default)]
    surfaces: BTreeMap<String, Table>,
    rows: Written,
}

impl Registry {
    /// The compiled-in registry.
    pub(super) fn open() -> &'static Arc<Self> {
        BOOK.get_or_init(|| {
            let registry = Self::parse(TEXT, PRICES).unwrap_or_else(|error| {
                // A test prevents this; if it does happen, every model counts as unknown.
                log::error!("the compiled-in catalogue cannot be read: {error}");
                Self::default()
            });
            Arc::new(registry)
        })
    }

    /// The registry with an operator's rows laid over it. Without `like`, a row extends the one of the same
    /// name, or the family that its model would belong to.
    ///
    /// # Errors
    /// The first row that cannot be read.
    pub(super) fn with(&self, rows: &Written) -> Result<Self, BadRow> {
        let mut written = self.written.clone();
        for (name, row) in rows {
            let mut row = row.clone();
            if !row.contains_key(LIKE) {
                if let Some(before) = self.written.get(name) {
                    row = laid_over(before.clone(), &row);
                } else if let Some(family) = family(self.written.keys().chain(rows.keys()), name) {
                    row.insert(LIKE.to_owned(), family.into());
                }
            }
            written.insert(name.clone(), row);
        }
        let mut registry = Self::of(written, self.surfaces.clone(), &self.book)?;
        // Names of the compiled-in rows keep their meaning, also when an operator adds models.
        registry.spellings.clone_from(&self.spellings);
        registry.spellings.add(
            registry.exact.iter().filter(|(_, row)| row.is_called()).map(|(id, _)| id.as_str()),
        );
        registry.irregular = self.irregular.clone();
        registry.imported.clone_from(&self.imported);
        registry.dated = self.dated;
        Ok(registry)
    }

    /// The row of a model, by its id without region prefix: its own, or else its family's.
    pub(super) fn find(&self, id: &str) -> Option<&Row> {
        self.listed(id).or_else(|| {
            let family = self.families.iter().find(|(beginning, _)| id.starts_with(beginning));
            family.map(|(_, row)| row)
        })
    }

    /// The model's own row.
    pub(super) fn listed(&self, id: &str) -> Option<&Row> {
        self.exact.get(id).or_else(|| self.exact.get(without_variant(id)?))
    }

    /// The prices of a model: the operator's, or else those compiled in, which families do not have.
    pub(super) fn prices(&self, id: &str) -> Option<&Prices> {
        let own = self.find(id).and_then(|row| row.prices.as_ref());
        let like = || self.book.of(self.listed(id)?.priced_like.as_deref()?);
        own.or_else(like).or_else(|| self.book.of(id))
    }

    /// Every model with compiled-in prices.
    #[cfg(test)]
    pub(super) fn priced(&self) -> Vec<&str> {
        self.book.models()
    }

    /// The model that a name other than an id means.
    pub(super) fn spelled<'n>(&self, name: &'n str) -> Option<Spelled<'_, 'n>> {
        if self.exact.contains_key(name) { None } else { self.spellings.find(name) }
    }

    /// The id of the model that a name other than an id means.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        self.spelled(name).map(|spelled| spelled.id)
    }

    /// Whether a name is listed in the table, and not made by rule.
    pub(super) fn has_alias(&self, name: &str) -> bool {
        self.irregular.aliases.contains_key(name)
    }

    /// Short names and their models, by name.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spellings.short()
    }

    /// The model whose behaviour to assume for an imported model, by LiteLLM's word `family`.
    pub(super) fn imported(&self, family: &str) -> Option<&str> {
        self.imported.get(family).map(String::as_str)
    }

    /// Profile fields that differ on other surfaces than Converse.
    pub(super) fn surfaces(&self) -> &SurfaceRows {
        &self.surfaces
    }

    /// Day of the compiled-in data.
    pub(super) fn dated(&self) -> Option<Day> {
        self.dated
    }

    /// Every model with a row of its own, by id.
    pub(super) fn models(&self) -> Vec<(&str, &Row)> {
        let mut models: Vec<_> = self.exact.iter().map(|(id, row)| (id.as_str(), row)).collect();
        models.sort_unstable_by_key(|(id, _)| *id);
        models
    }

    fn parse(models: &str, prices: &str) -> Result<Self, String> {
        let models: File = toml::from_str(models).map_err(|error| error.to_string())?;
        let File { dated, aliases, spellings, makers, imported, surfaces, mut rows } = models;
        let surfaces = SurfaceRows::read(surfaces)?;
        let book = Arc::new(PriceBook::parse(prices)?);
        for (_, row) in rows.iter_mut().filter(|(name, _)| !name.ends_with('*')) {
            let family =
                row.get(LIKE).and_then(Value::as_str).is_none_or(|like| like.ends_with('*'));
            if family {
                // A model listed here is known to accept no other input.
                row.entry(INPUT).or_insert_with(|| Value::Array(Vec::new()));
            }
        }
        for (id, row) in &mut rows {
            if let Some(prices) = book.of(id) {
                known_tiers(row, prices);
            }
        }
        let mut registry = Self::of(rows, surfaces, &book)
            .map_err(|BadRow { row, error }| format!("row {row}: {error}"))?;
        registry.irregular = Irregular { aliases, spellings, makers };
        let called = registry.exact.iter().filter(|(_, row)| row.is_called());
        registry.spellings = Spellings::of(&registry.irregular, called.map(|(id, _)| id.as_str()));
        registry.imported = imported;
        registry.dated = Some(dated);
        Ok(registry)
    }

    fn of(written: Written, surfaces: SurfaceRows, book: &Arc<PriceBook>) -> Result<Self, BadRow> {
        let mut registry = Self { surfaces, book: Arc::clone(book), ..Self::default() };
        for name in written.keys() {
            let mut row = whole(&written, name, 0)
                .and_then(Row::read)
                .map_err(|error| BadRow { row: name.clone(), error })?;
            row.profile = Arc::new(registry.surfaces.profile_of(&row));
            row.priced_like = priced_like(&written, book, name).map(ToOwned::to_owned);
            match name.strip_suffix('*') {
                Some(beginning) => registry.families.push((beginning.to_owned(), row)),
                None => {
                    registry.exact.insert(name.clone(), row);
                }
            }
        }
        registry.families.sort_unstable_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        Ok(Self { written, ..registry })
    }
}

/// `maker.model-v1:0` for `maker.model-v1:0:200k`: variants by context window are sold as provisioned
/// throughput and for customisation.
fn without_variant(id: &str) -> Option<&str> {
    let (base, variant) = id.rsplit_once(':')?;
    let thousands = variant.strip_suffix('k')?;
    thousands.bytes().all(|byte| byte.is_ascii_digit()).then_some(base)
}

/// The narrowest matching pattern other than the name itself.
fn family<'n>(names: impl Iterator<Item = &'n String>, name: &str) -> Option<&'n str> {
    let fits = |pattern: &&String| {
        *pattern != name && pattern.strip_suffix('*').is_some_and(|start| name.starts_with(start))
    };
    names.filter(fits).max_by_key(|pattern| pattern.len()).map(String::as_str)
}

/// Copies a fact about a model's input or output into its profile, so that translation checks it. Without
/// the fact, as for families, requests are sent unchecked, since future models may accept more.
fn known_to_translation(row: &mut Table, fact: &str, knob: &str) {
    let Some(value) = row.get(fact).cloned() else { return };
    let profile = row.entry(PROFILE).or_insert_with(|| Value::Table(Table::new()));
    if let Some(profile) = profile.as_table_mut() {
        profile.entry(knob).or_insert(value);
    }
}

/// Derives a model's tiers from its prices. This holds for the compiled-in prices, which are complete; an
/// operator's prices may leave out unused tiers.
fn known_tiers(row: &mut Table, prices: &Prices) {
    let profile = row.entry(PROFILE).or_insert_with(|| Value::Table(Table::new()));
    if let Some(profile) = profile.as_table_mut().filter(|it| !it.contains_key(EMBEDDING)) {
        let tiers = prices.tiers().filter(|tier| CALLABLE_TIERS.contains(tier));
        let tiers = tiers.map(|tier| Value::String(tier.name().to_owned())).collect();
        profile.entry(TIERS).or_insert(Value::Array(tiers));
    }
}

/// The model with compiled-in prices that a row is, or is like.
fn priced_like<'w>(rows: &'w Written, book: &PriceBook, name: &'w str) -> Option<&'w str> {
    let mut name = name;
    for _ in 0..=LIKE_DEPTH {
        if book.of(name).is_some() {
            return Some(name);
        }
        name = rows.get(name)?.get(LIKE)?.as_str()?;
    }
    None
}

/// Removes tool choice from a model without tools, even if its family supports it.
fn read_tools(row: &mut Table) {
    if row.get(TOOLS).and_then(Value::as_bool) != Some(false) {
        return;
    }
    let profile = row.entry(PROFILE).or_insert_with(|| Value::Table(Table::new()));
    if let Some(profile) = profile.as_table_mut() {
        profile.insert(TOOL_CHOICE.to_owned(), Value::String("no_tools".to_owned()));
    }
}

/// A row with the row it extends by `like`, merged field by field.
fn whole(rows: &Written, name: &str, depth: usize) -> Result<Table, String> {
    let row = rows.get(name).ok_or_else(|| format!("there is no row {name}"))?;
    let Some(like) = row.get(LIKE) else { return Ok(row.clone()) };
    let like = like.as_str().ok_or("like must be a row's name")?;
    if depth == LIKE_DEPTH {
        return Err("like leads nowhere".to_owned());
    }
    Ok(laid_over(whole(rows, like, depth + 1)?, row))
}

/// Merges two rows by key, and profiles by field; `above` wins. Prices are replaced as a whole.
fn laid_over(mut below: Table, above: &Table) -> Table {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) if key == PROFILE => {
                below.extend(above.iter().map(|(knob, value)| (knob.clone(), value.clone())));
            }
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
    below
}

#[cfg(test)]
mod tests;
