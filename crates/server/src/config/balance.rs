//! `routing:` and the same keys inside one name of `models:`, which take precedence there.

use super::parsers::{self, Expected};
use super::provenance::{Show, ValueOrigin};
use super::section::Section;
use super::yaml_tree::{Node, Value};
use routing::catalogue::is_understood;
use routing::suggestions::nearest;
use routing::{
    Affinity, Balance, Cooldown, Fallbacks, Hedge, HedgeDelay, Retries, Strategy, TagFilter,
    Unlisted,
};

/// Balancing, retries and fallbacks, with the names of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routing {
    pub(crate) strategy: Strategy,
    pub(crate) affinity: Affinity,
    pub(crate) tag_filter: TagFilter,
    pub(crate) retries: Retries,
    pub(crate) cooldown: Option<Cooldown>,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) continue_streams: bool,
    pub(crate) fallbacks: Fallbacks,
}

impl Default for Routing {
    fn default() -> Self {
        Self::of(Balance::default(), Fallbacks::default())
    }
}

impl Routing {
    pub(super) fn of(balance: Balance, fallbacks: Fallbacks) -> Self {
        let Balance { strategy, affinity, tag_filter, retries, cooldown, .. } = balance;
        let Balance { hedge, continue_streams, .. } = balance;
        Self {
            strategy,
            affinity,
            tag_filter,
            retries,
            cooldown,
            hedge,
            continue_streams,
            fallbacks,
        }
    }

    /// The part that concerns the targets of one name.
    pub(super) fn balance(&self) -> Balance {
        Balance {
            strategy: self.strategy,
            affinity: self.affinity,
            tag_filter: self.tag_filter,
            retries: self.retries,
            cooldown: self.cooldown,
            hedge: self.hedge,
            continue_streams: self.continue_streams,
        }
    }

    /// The router's two parts.
    pub(super) fn split(self) -> (Balance, Fallbacks) {
        (self.balance(), self.fallbacks)
    }
}

/// The names that a setting applies to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope {
    /// All names: a key that is left out has its default.
    AllNames,
    /// One name: a key that is left out has the value it has for all names.
    OneName,
}

/// The names that a fallback may lead to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'n> {
    pub(super) names: &'n [String],
    pub(super) unlisted: Unlisted,
}

/// Reads the keys of a section over the values that apply so far.
pub(super) fn read(
    section: &mut Section<'_>,
    scope: Scope,
    known: Known<'_>,
    routing: &mut Routing,
) {
    scope.put(section, "strategy", &mut routing.strategy, strategy);
    scope.put(section, "affinity", &mut routing.affinity, |value| {
        parsers::switch(value).map(|on| if on { Affinity::On } else { Affinity::Off })
    });
    scope.put(section, "tag_filter", &mut routing.tag_filter, tag_filter);
    let continues = &mut routing.continue_streams;
    scope.put(section, "continue_streams", continues, parsers::switch);
    let line = section.line("retries").unwrap_or(1);
    scope
        .section(section, "retries", |section| retries(section, scope, line, &mut routing.retries));
    cooldown(section, scope, &mut routing.cooldown);
    hedge(section, scope, &mut routing.hedge);
    let fallbacks = &mut routing.fallbacks;
    scope.section(section, "fallbacks", |section| {
        for (class, names) in [
            ("general", &mut fallbacks.general),
            ("context_window", &mut fallbacks.context_window),
            ("content_policy", &mut fallbacks.content_policy),
        ] {
            let (line, path) = (section.line(class), section.path(class));
            scope.put(section, class, names, parsers::names);
            // Values for all names were checked where they were set.
            let Some(line) = line else { continue };
            for name in names.iter() {
                known.judge(section, &path, line, name);
            }
        }
    });
}

fn strategy(value: &Value) -> Result<Strategy, Expected> {
    match value {
        Value::Text(text) => match text.as_str() {
            "weighted" => Some(Strategy::Weighted),
            "least_busy" => Some(Strategy::LeastBusy),
            "latency" => Some(Strategy::Latency),
            "usage" => Some(Strategy::Usage),
            "order" => Some(Strategy::Order),
            _ => None,
        },
        _ => None,
    }
    .ok_or("weighted, least_busy, latency, usage or order")
}

fn tag_filter(value: &Value) -> Result<TagFilter, Expected> {
    match value {
        Value::Text(text) if text == "off" => Some(TagFilter::Off),
        // YAML of old reads `off` as false.
        Value::Bool(false) => Some(TagFilter::Off),
        Value::Text(text) if text == "any" => Some(TagFilter::Any),
        Value::Text(text) if text == "all" => Some(TagFilter::All),
        _ => None,
    }
    .ok_or("off, any or all")
}

fn retries(section: &mut Section<'_>, scope: Scope, line: u64, retries: &mut Retries) {
    scope.put(section, "more", &mut retries.more, |value| {
        parsers::whole(value, 0..=Retries::MOST.into(), "0, 1 or 2")
    });
    scope.put(section, "first_pause", &mut retries.first_pause, parsers::span);
    scope.put(section, "longest_pause", &mut retries.longest_pause, parsers::span);
    scope.put(section, "retry_after_limit", &mut retries.retry_after_limit, parsers::seconds);
    scope.put(section, "budget", &mut retries.budget, parsers::part);
    scope.put(section, "budget_window", &mut retries.budget_window, parsers::span);
    scope.put(section, "budget_floor", &mut retries.budget_floor, parsers::order);
    if retries.first_pause > retries.longest_pause {
        let message = format!("{} is above longest_pause", section.path("first_pause"));
        section.reading.complain(line, message, "give the longest pause at least as long");
    }
}

/// Reads `off`, or a section.
fn cooldown(section: &mut Section<'_>, scope: Scope, place: &mut Option<Cooldown>) {
    let path = section.path("cooldown");
    let taken = section.take("cooldown").map(|(_, node)| node);
    let line = taken.as_ref().map_or(1, |node| node.line);
    let entries = match (taken, scope) {
        (Some(Node { value: Value::Map(entries), .. }), _) => entries,
        (None | Some(Node { value: Value::Null, .. }), Scope::AllNames) => Vec::new(),
        (None | Some(Node { value: Value::Null, .. }), Scope::OneName) => return,
        (Some(node), _) => return switched(section, &path, node, place),
    };
    let mut told = place.unwrap_or_default();
    section.child(format!("{path}."), entries, |section| {
        let calls = |value: &Value| parsers::calls(value).map(Into::into);
        scope.put(section, "calls", &mut told.calls, calls);
        scope.put(section, "window", &mut told.window, parsers::span);
        scope.put(section, "failing", &mut told.failing, |value| {
            let part = parsers::part(value).ok().filter(|part| part.0 > 0);
            part.ok_or("a part above 0 and up to 1, such as 0.5")
        });
        scope.put(section, "in_a_row", &mut told.in_a_row, calls);
        scope.put(section, "open", &mut told.open, parsers::span);
        scope.put(section, "longest", &mut told.longest, parsers::span);
        if told.open > told.longest {
            let message = format!("{} is above longest", section.path("open"));
            section.reading.complain(line, message, "give the longest at least as long");
        }
    });
    *place = Some(told);
}

/// Reads `off`, or a section.
fn hedge(section: &mut Section<'_>, scope: Scope, place: &mut Option<Hedge>) {
    let path = section.path("hedge");
    let entries = match section.take("hedge").map(|(_, node)| node) {
        Some(Node { value: Value::Map(entries), .. }) => entries,
        None | Some(Node { value: Value::Null, .. }) => {
            if matches!(scope, Scope::AllNames) {
                section.reading.provenance.tell(&path, Affinity::Off.show(), ValueOrigin::Default);
            }
            return;
        }
        Some(node) => return switched(section, &path, node, place),
    };
    let mut told = place.unwrap_or_default();
    section.child(format!("{path}."), entries, |section| {
        scope.put(section, "after", &mut told.after, hedge_delay);
        scope.put(section, "max_extra", &mut told.max_extra, |value| {
            let part = parsers::part(value).ok().filter(|part| part.0 > 0);
            part.ok_or("a part above 0 and up to 1, such as 0.05")
        });
    });
    *place = Some(told);
}

/// Reads seconds, or a percentile such as `p95`.
fn hedge_delay(value: &Value) -> Result<HedgeDelay, Expected> {
    const EXPECTED: Expected = "a number of seconds such as 0.8, or p50 to p99";
    if let Value::Text(text) = value {
        let percentage = text.strip_prefix('p').and_then(|rest| rest.parse().ok());
        let percentage = percentage.filter(|percentage| (50..=99).contains(percentage));
        return percentage.map(HedgeDelay::Percentile).ok_or(EXPECTED);
    }
    parsers::span(value).map(HedgeDelay::Fixed).map_err(|_| EXPECTED)
}

/// Turns on or off what could have keys below it.
fn switched<T: Copy + Default>(
    section: &mut Section<'_>,
    path: &str,
    node: Node,
    place: &mut Option<T>,
) {
    let Some((on, origin)) = section.read_node(path, node, switch_or_keys) else { return };
    *place = on.then(|| place.unwrap_or_default());
    let shown = if on { Affinity::On } else { Affinity::Off }.show();
    section.reading.provenance.tell(path, shown, origin);
}

fn switch_or_keys(value: &Value) -> Result<bool, Expected> {
    parsers::switch(value).map_err(|_| "off, or keys below it")
}

impl Scope {
    fn put<T: Show>(
        self,
        section: &mut Section<'_>,
        name: &'static str,
        place: &mut T,
        read: impl Fn(&Value) -> Result<T, Expected>,
    ) {
        match self {
            Self::AllNames => section.set(name, place, read),
            Self::OneName => {
                if let Some(value) = section.optional(name, read) {
                    *place = value;
                }
            }
        }
    }

    fn section(
        self,
        section: &mut Section<'_>,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        match self {
            Self::AllNames => section.section(name, read),
            Self::OneName => section.open(name, read),
        }
    }
}

impl Known<'_> {
    /// Reports a fallback to an unknown name now, because it would otherwise fail only when it is
    /// needed.
    fn judge(self, section: &mut Section<'_>, path: &str, line: u64, name: &str) {
        if self.holds(name) {
            return;
        }
        let message = format!("{path} names {name}, which is nothing known");
        let remedy = match nearest(name, self.names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => "name one of models".to_owned(),
        };
        section.reading.complain(line, message, remedy);
    }

    /// Whether a name is listed or the catalogue understands it, as far as that is known offline.
    pub(super) fn holds(self, name: &str) -> bool {
        let listed = self.names.iter().any(|listed| match listed.split_once('*') {
            Some((before, after)) => {
                name.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
            }
            None => listed == name,
        });
        listed || self.unlisted == Unlisted::Served && is_understood(name)
    }
}
