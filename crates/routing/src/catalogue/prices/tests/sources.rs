//! Comparison with litellm's price map and with genai-prices, from the extracts in `tests/prices`: every
//! difference stands in `differences.toml` with its reason, and so does every price that neither list has.
//! After a change, `OUTCROP_WRITE=1 cargo nextest run -p routing sources` collects new differences under an
//! empty reason, which is then to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;

const LISTS: [&str; 2] = ["litellm", "genai-prices"];

/// Prices that a list states for calls by one id.
struct Fact<'f> {
    list: &'f str,
    key: &'f str,
    id: &'f str,
    region: &'f str,
    on: &'f str,
    tier: Tier,
    above: u64,
    rates: Vec<(Part, &'f str)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    difference: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    reason: String,
    prices: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prices")
}

fn fact<'f>(list: &'f str, line: &'f str) -> Fact<'f> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [key, id, region, on, tier, above, rates] = fields.as_slice() else { panic!("{line}") };
    let rates = rates.split(' ').map(|rate| {
        let (part, rate) = rate.split_once('=').unwrap();
        (Part::named(part).unwrap(), rate)
    });
    Fact {
        list,
        key,
        id,
        region,
        on: if on.is_empty() { TODAY } else { on },
        tier: Tier::named(tier).unwrap(),
        above: above.parse().unwrap(),
        rates: rates.collect(),
    }
}

/// Prices of ours that a list has been compared with: row, whether for long prompts, part.
type Seen = BTreeSet<(String, bool, Part)>;

impl Fact<'_> {
    /// The difference from ours, in one line.
    fn difference(&self, seen: &mut Seen) -> Option<String> {
        let ours = self.ours();
        let mut text = String::new();
        for (part, theirs) in &self.rates {
            let rate = ours.as_ref().and_then(|(_, rates)| rates.of(*part));
            let rate = rate.and_then(|rate| rate.listed(*part)).map(|rate| rate.to_string());
            if let Some((row, _)) = ours.as_ref().filter(|_| rate.is_some()) {
                seen.insert((row.clone(), self.above > 0, *part));
            }
            if rate.as_deref() != Some(*theirs) {
                let rate = rate.as_deref().unwrap_or("none");
                write!(text, ", {} {theirs} ({rate})", part.key()).unwrap();
            }
        }
        let place = match self.above {
            0 => String::new(),
            above => format!(" above {above}"),
        };
        let on = if self.on == TODAY { String::new() } else { format!(" on {}", self.on) };
        let Fact { list, key, tier, .. } = self;
        let told = text.strip_prefix(", ")?;
        Some(format!("{list}: {key} {tier}{place}{on}: {told}"))
    }

    /// Our rates for long prompts, where the list has none for this call.
    fn without_long(&self, facts: &[Self]) -> Option<String> {
        let ours = self.quote().filter(|_| self.above == 0)?;
        let above = ours.shown()?.price.long?.above;
        let same =
            |other: &&Self| (other.key, other.on, other.tier) == (self.key, self.on, self.tier);
        if facts.iter().filter(same).any(|other| other.above == above) {
            return None;
        }
        let Fact { list, key, tier, .. } = self;
        Some(format!("{list}: {key} {tier}: no prices above {above} (other rates)"))
    }

    fn quote(&self) -> Option<Quote> {
        let id = Name::parse(self.id).id;
        let registry = Registry::open();
        let call = PricedCall {
            model: id.model(),
            region: self.region,
            tier: self.tier,
            on: day(self.on),
        };
        let reach = CallReach::of(&id, self.region);
        call.quote(registry.prices(id.model()), &reach).ok()
    }

    /// Our row for such a call, and its rates.
    fn ours(&self) -> Option<(String, access::spend::Rates)> {
        let quote = self.quote()?;
        let row = quote.shown()?;
        let rates = match &row.price.long {
            Some(long) if long.above == self.above => long.rates,
            Some(_) | None if self.above == 0 => row.price.rates,
            Some(_) | None => return None,
        };
        Some((row.name.clone(), rates))
    }
}

/// Every difference, and every price of ours that no list has.
fn differences() -> BTreeSet<String> {
    let mut seen = Seen::new();
    let mut found = BTreeSet::new();
    for list in LISTS {
        let text = std::fs::read_to_string(folder().join(format!("{list}.tsv"))).unwrap();
        let facts = text.lines().filter(|line| !line.starts_with('#'));
        let facts: Vec<Fact<'_>> = facts.map(|line| fact(list, line)).collect();
        found.extend(facts.iter().filter_map(|fact| fact.difference(&mut seen)));
        found.extend(facts.iter().filter_map(|fact| fact.without_long(&facts)));
    }
    found.extend(only_here(&seen));
    found
}

/// Prices that no list has been compared with.
fn only_here(seen: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    let registry = Registry::open();
    for model in registry.priced() {
        for row in &registry.prices(model).unwrap().rows {
            let from = row.from.map(|day| format!("@{day}")).unwrap_or_default();
            let name = format!("{model}/{}/{}{from}", row.reach, row.tier);
            let long = row.price.long.iter().map(|long| (true, &long.rates));
            for (is_long, rates) in [(false, &row.price.rates)].into_iter().chain(long) {
                let alone: Vec<&str> = rates
                    .iter()
                    .filter(|(part, _)| !seen.contains(&(name.clone(), is_long, *part)))
                    .map(|(part, _)| part.key())
                    .collect();
                if !alone.is_empty() {
                    let step = if is_long { " for long prompts" } else { "" };
                    found.push(format!("only here: {name}{step}: {}", alone.join(", ")));
                }
            }
        }
    }
    found
}

#[test]
fn every_difference_from_the_sources_has_a_reason() {
    let path = folder().join("differences.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let known: File = toml::from_str(&text).unwrap();
    let mut reasons = BTreeMap::new();
    for Difference { reason, prices } in &known.difference {
        for price in prices {
            let twice = reasons.insert(price.clone(), reason.clone());
            assert!(twice.is_none(), "listed twice: {price}");
        }
    }
    let found = differences();
    if std::env::var_os("OUTCROP_WRITE").is_some() {
        let head: String = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .map(|it| format!("{it}\n"))
            .collect();
        std::fs::write(&path, head + &written(&found, &reasons, &known)).unwrap();
        return;
    }
    let new: Vec<_> = found.iter().filter(|one| !reasons.contains_key(*one)).collect();
    assert!(new.is_empty(), "new differences, theirs (ours): {new:#?}");
    let gone: Vec<_> = reasons.keys().filter(|one| !found.contains(*one)).collect();
    assert!(gone.is_empty(), "no differences any more: {gone:#?}");
    for (price, reason) in &reasons {
        assert!(reason.len() > 20, "no reason for {price}");
    }
}

/// The file anew: reasons in their order, then what has none.
fn written(found: &BTreeSet<String>, reasons: &BTreeMap<String, String>, known: &File) -> String {
    let mut text = String::new();
    let mut order: Vec<&str> = known.difference.iter().map(|it| it.reason.as_str()).collect();
    order.retain(|reason| !reason.is_empty());
    order.push("");
    for reason in order {
        let prices: Vec<_> = found
            .iter()
            .filter(|one| reasons.get(*one).map_or("", String::as_str) == reason)
            .collect();
        if !prices.is_empty() {
            write!(text, "\n[[difference]]\nreason = {reason:?}\nprices = [\n").unwrap();
            for price in prices {
                writeln!(text, "    {price:?},").unwrap();
            }
            text.push_str("]\n");
        }
    }
    text
}
