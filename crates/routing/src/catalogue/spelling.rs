//! Names of models other than Bedrock's ids: short names, and the spellings of model makers and other
//! gateways. They are derived from the ids by rule: the suffixes of an id (revision, version, date, tuning)
//! are removed step by step, and each step is a name if only one model has it. Names are compared word by
//! word: `claude-sonnet-4.5` and `claude-sonnet-4-5` are the same.

use std::collections::{BTreeMap, HashMap};

use super::geography::PREFIXES;

/// Suffixes after a colon by which other gateways select providers, prices and variants of a model.
const VARIANTS: [&str; 8] =
    ["beta", "exacto", "extended", "floor", "free", "nitro", "online", "thinking"];
/// Suffixes for the tuning of a model: all models on offer are tuned.
const TUNINGS: [&str; 3] = ["-instruct", "-chat", "-it"];
/// Suffix for the newest release of a name.
const LATEST: &str = "-latest";
/// Least letters of a name's first word for a name without its maker.
const TELLING: usize = 3;
/// Longest name, in bytes.
const LONGEST: usize = 128;
const DATE: usize = 8;
const RELEASE: usize = 4;

/// Tables of names that follow no rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Irregular {
    /// Names that would fit several models or none, and the model of each.
    pub(super) aliases: BTreeMap<String, String>,
    /// Further names of models, accepted and not listed.
    pub(super) spellings: BTreeMap<String, String>,
    /// Makers as spelled elsewhere, each with its prefixes of ids.
    pub(super) makers: BTreeMap<String, Vec<String>>,
}

/// All names of all models.
#[derive(Debug, Clone, Default)]
pub(super) struct Spellings {
    /// Names as listed, and their models.
    short: BTreeMap<String, String>,
    /// Models by the words of their names.
    ids: HashMap<String, String>,
    /// First words of ids by the words of makers' names.
    makers: HashMap<String, Vec<String>>,
}

/// The meaning of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelled<'b, 'n> {
    /// The model's id.
    pub(super) id: &'b str,
    /// A variant in the name that Bedrock does not have.
    pub(super) variant: Option<&'n str>,
}

impl Spellings {
    /// The names of models, given by their ids.
    pub(super) fn of<'i>(irregular: &Irregular, ids: impl IntoIterator<Item = &'i str>) -> Self {
        let Irregular { aliases, spellings, makers } = irregular;
        let mut all = Self::default();
        for (name, id) in aliases.iter().chain(spellings) {
            all.ids.insert(words(name), id.clone());
        }
        for (name, beginnings) in makers {
            all.makers.insert(words(name), beginnings.clone());
        }
        all.short.extend(aliases.iter().map(|(name, id)| (name.clone(), id.clone())));
        all.add(ids);
        all
    }

    /// Adds models. Names that exist already keep their meaning.
    pub(super) fn add<'i>(&mut self, ids: impl IntoIterator<Item = &'i str>) {
        let named: Vec<(&str, Vec<String>)> =
            ids.into_iter().filter_map(|id| Some((id, candidates(id)?))).collect();
        let mut claims: HashMap<String, Vec<&str>> = HashMap::new();
        for (id, names) in &named {
            let maker = id.split_once('.').map_or(*id, |(maker, _)| maker);
            let spelled = self.makers.entry(words(maker)).or_default();
            if !spelled.iter().any(|known| known == maker) {
                spelled.push(maker.to_owned());
            }
            for name in names {
                let claim = claims.entry(words(name)).or_default();
                if !claim.contains(id) {
                    claim.push(id);
                }
            }
        }
        for (key, claim) in claims {
            if let [id] = claim.as_slice() {
                self.ids.entry(key).or_insert_with(|| (*id).to_owned());
            }
        }
        for (id, names) in &named {
            // The shortest name comes last.
            let own = names
                .iter()
                .rev()
                .find(|name| self.ids.get(&words(name)).is_some_and(|own| own == id));
            if let Some(own) = own {
                self.short.entry(own.clone()).or_insert_with(|| (*id).to_owned());
            }
        }
    }

    /// One name for each model, and those of the table.
    pub(super) fn short(&self) -> impl Iterator<Item = (&str, &str)> {
        self.short.iter().map(|(name, id)| (name.as_str(), id.as_str()))
    }

    /// The model of a name.
    pub(super) fn find<'n>(&self, name: &'n str) -> Option<Spelled<'_, 'n>> {
        if let Some(id) = self.short.get(name) {
            return Some(Spelled { id, variant: None });
        }
        if name.len() > LONGEST || self.is_bedrocks(name) {
            return None;
        }
        let (maker, name) = match name.split_once('/') {
            Some((maker, name)) => (Some(self.makers.get(&words(maker))?), name),
            None => (None, name),
        };
        let (name, variant) = match name.rsplit_once(':') {
            Some((name, word)) if VARIANTS.contains(&word) => (name, Some(word)),
            _ => (name, None),
        };
        let id = self.id(name)?;
        let fits = maker.is_none_or(|maker| {
            id.split_once('.').is_some_and(|(own, _)| maker.iter().any(|known| known == own))
        });
        fits.then_some(Spelled { id, variant })
    }

    fn id(&self, name: &str) -> Option<&str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '@');
        if !name.chars().all(plain) {
            return None;
        }
        let find = |name: &str| self.ids.get(&words(name));
        let tuned = || TUNINGS.iter().find_map(|tuning| find(name.strip_suffix(tuning)?));
        let id = find(name).or_else(|| find(name.strip_suffix(LATEST)?)).or_else(tuned);
        id.map(String::as_str)
    }

    /// Whether a name has the form of Bedrock's own ids, which Bedrock itself accepts or rejects.
    fn is_bedrocks(&self, name: &str) -> bool {
        let first = name.split_once('.').map(|(first, _)| first);
        first.is_some_and(|first| {
            PREFIXES.contains(&first)
                || self
                    .makers
                    .get(&words(first))
                    .is_some_and(|own| own.iter().any(|own| own == first))
        })
    }
}

/// Names of a model, each shorter than the one before.
fn candidates(id: &str) -> Option<Vec<String>> {
    let (maker, model) = id.split_once('.')?;
    if id.contains(['/', '*']) {
        return None;
    }
    let first = model.split('-').next().unwrap_or(model);
    let letters = first.bytes().take_while(u8::is_ascii_alphabetic).count();
    let telling = letters >= TELLING;
    let mut name = if telling { model.to_owned() } else { format!("{maker}-{model}") };
    let mut names = vec![name.clone()];
    while let Some(shorter) = shorter(&name) {
        name = shorter.to_owned();
        names.push(name.clone());
    }
    Some(names)
}

/// A name without the last of its suffixes.
fn shorter(name: &str) -> Option<&str> {
    if let Some((rest, revision)) = name.rsplit_once(':') {
        return is_number(revision).then(|| {
            // `-1:0` is a version, like `-v1:0`.
            match rest.rsplit_once('-') {
                Some((rest, version)) if is_number(version) && is_name(rest) => rest,
                _ => rest,
            }
        });
    }
    let (rest, last) = name.rsplit_once('-')?;
    let is_version = last.strip_prefix('v').is_some_and(is_number);
    let is_date = is_number(last) && last.len() == DATE;
    let is_tuning = TUNINGS.iter().any(|tuning| tuning.strip_prefix('-') == Some(last));
    ((is_version || is_date || is_release(last) || is_tuning) && is_name(rest)).then_some(rest)
}

/// Whether a text has at least two words: a single one is a family or a maker.
fn is_name(text: &str) -> bool {
    text.contains('-')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a year and month, as in `2407`.
fn is_release(text: &str) -> bool {
    let month = text.get(2..).and_then(|month| month.parse().ok());
    is_number(text)
        && text.len() == RELEASE
        && month.is_some_and(|month: u8| (1..=12).contains(&month))
}

/// The words of a name: runs of letters and runs of digits, in lower case. All other characters only
/// separate them.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    let mut before = None;
    for byte in name.bytes().filter(u8::is_ascii) {
        let kind = match byte {
            b'0'..=b'9' => Some(0),
            b'a'..=b'z' | b'A'..=b'Z' => Some(1),
            _ => None,
        };
        if kind.is_some() {
            if kind != before && !words.is_empty() {
                words.push('-');
            }
            words.push(char::from(byte.to_ascii_lowercase()));
        }
        before = kind;
    }
    words
}

#[cfg(test)]
mod tests;
