//! `router_settings`, and the keys of `litellm_settings` with the same meaning: LiteLLM's balancing,
//! retries and fallbacks, mapped to `routing`. A note states each difference.

use std::collections::BTreeMap;
use std::time::Duration;

use translate::Unsupported;

use super::super::Config;
use super::super::balance::{Known, Routing};
use super::super::parsers::{self, Expected};
use super::super::provenance::{Show, ValueOrigin};
use super::super::reader::ConfigReader;
use super::super::section::Section;
use super::super::timeouts::TimeLimits;
use super::super::yaml_tree::{Node, Value};
use routing::{Balance, Cooldown, GroupSettings, Retries, Strategy, TagFilter};

mod chains;

use chains::Chains;

/// The order of a target without one, if other targets of its name have one: after all of them.
pub(super) const NO_ORDER: u32 = u32::MAX;

/// The values of one section; `None` for a key that is not set.
#[derive(Debug, Default)]
pub(super) struct Router {
    strategy: Option<Told<Strategy>>,
    retries: Option<Told<u32>>,
    retry_after: Option<Told<Option<Duration>>>,
    allowed_fails: Option<Told<u32>>,
    cooldown_time: Option<Told<Option<Duration>>>,
    cooldowns_off: Option<Told<bool>>,
    timeout: Option<Told<Option<Duration>>>,
    stream_timeout: Option<Told<Option<Duration>>>,
    max_fallbacks: Option<Told<usize>>,
    drop_params: Option<Told<bool>>,
    tags: Option<Told<TagFilter>>,
    general: Chains,
    context_window: Chains,
    content_policy: Chains,
}

/// A value with its key and line.
#[derive(Debug)]
struct Told<T> {
    value: T,
    key: String,
    origin: ValueOrigin,
}

/// Reads the keys of a section that concern routing; the others remain in it.
pub(super) fn read(section: &mut Section<'_>) -> Router {
    let strategy = strategy(section);
    Router {
        strategy,
        retries: told(section, "num_retries", parsers::order),
        retry_after: told(section, "retry_after", parsers::lenient_limit),
        allowed_fails: told(section, "allowed_fails", parsers::order),
        cooldown_time: told(section, "cooldown_time", parsers::lenient_limit),
        cooldowns_off: told(section, "disable_cooldowns", parsers::boolean),
        timeout: told(section, "timeout", parsers::lenient_limit),
        stream_timeout: told(section, "stream_timeout", parsers::lenient_limit),
        max_fallbacks: told(section, "max_fallbacks", parsers::count),
        drop_params: None,
        tags: tags(section),
        general: Chains::read(section, "fallbacks").and_for_all(section, "default_fallbacks"),
        context_window: Chains::read(section, "context_window_fallbacks"),
        content_policy: Chains::read(section, "content_policy_fallbacks"),
    }
}

/// Reads the routing keys that LiteLLM also accepts in `litellm_settings`.
pub(super) fn read_module(section: &mut Section<'_>) -> Router {
    Router {
        retries: told(section, "num_retries", parsers::order),
        allowed_fails: told(section, "allowed_fails", parsers::order),
        timeout: told(section, "request_timeout", parsers::lenient_limit),
        drop_params: told(section, "drop_params", parsers::boolean),
        general: Chains::read(section, "fallbacks").and_for_all(section, "default_fallbacks"),
        context_window: Chains::read(section, "context_window_fallbacks"),
        content_policy: Chains::read(section, "content_policy_fallbacks"),
        ..Router::default()
    }
}

impl Router {
    /// Fills in from `module` the values that are not set.
    pub(super) fn or(self, module: Self) -> Self {
        Self {
            strategy: self.strategy.or(module.strategy),
            retries: self.retries.or(module.retries),
            retry_after: self.retry_after.or(module.retry_after),
            allowed_fails: self.allowed_fails.or(module.allowed_fails),
            cooldown_time: self.cooldown_time.or(module.cooldown_time),
            cooldowns_off: self.cooldowns_off.or(module.cooldowns_off),
            timeout: self.timeout.or(module.timeout),
            stream_timeout: self.stream_timeout.or(module.stream_timeout),
            max_fallbacks: self.max_fallbacks.or(module.max_fallbacks),
            drop_params: self.drop_params.or(module.drop_params),
            tags: self.tags.or(module.tags),
            general: self.general.or(module.general),
            context_window: self.context_window.or(module.context_window),
            content_policy: self.content_policy.or(module.content_policy),
        }
    }

    /// Applies the settings to every name. `aliases` are further names and those they stand for.
    pub(super) fn apply(
        self,
        reading: &mut ConfigReader,
        config: &mut Config,
        aliases: &BTreeMap<String, String>,
        filters: &BTreeMap<String, bool>,
    ) {
        self.time(reading, &mut config.timeouts);
        self.balance(reading, &mut config.routing);
        if let Some(told) = self.drop_params.as_ref().filter(|told| told.value) {
            config.unsupported_params = Unsupported::Drop;
            told.counts(reading, "unsupported_params", &config.unsupported_params);
        }
        let names: Vec<String> = config.models.keys().cloned().collect();
        let known = Known { names: &names, unlisted: config.models_only };
        let most = self.max_fallbacks.map_or(usize::MAX, |told| told.value);
        let mut chains = [self.general, self.context_window, self.content_policy];
        for chain in &mut chains {
            chain.keep(reading, known, most);
        }
        let [general, context_window, content_policy] = &chains;
        config.routing.fallbacks.general = general.of_all();
        config.routing.fallbacks.context_window = context_window.of_all();
        config.routing.fallbacks.content_policy = content_policy.of_all();
        let balance = config.routing.balance();
        for (name, group) in &mut config.models {
            let base = aliases.get(name);
            spread(group, balance, filters.get(base.unwrap_or(name)).copied());
            group.unsupported = config.unsupported_params;
            group.fallbacks.general = general.of(name, base);
            group.fallbacks.context_window = context_window.of(name, base);
            group.fallbacks.content_policy = content_policy.of(name, base);
        }
    }

    fn time(&self, reading: &mut ConfigReader, timeouts: &mut TimeLimits) {
        let unary = self.timeout.as_ref();
        if let Some((told, limit)) = unary.and_then(|told| Some((told, told.value?))) {
            timeouts.first_byte = limit;
            told.counts(reading, "timeouts.first_byte", &limit);
        }
        let stream = self.stream_timeout.as_ref().or(unary);
        if let Some((told, limit)) = stream.and_then(|told| Some((told, told.value?))) {
            timeouts.first_byte_stream = limit;
            told.counts(reading, "timeouts.first_byte_stream", &limit);
        }
    }

    fn balance(&self, reading: &mut ConfigReader, balance: &mut Routing) {
        if let Some(told) = &self.strategy {
            balance.strategy = told.value;
            told.counts(reading, "routing.strategy", &told.value);
        }
        if let Some(told) = &self.retries {
            balance.retries.more = told.held(reading);
            told.counts(reading, "routing.retries.more", &balance.retries.more);
        }
        let retry_after = self.retry_after.as_ref();
        if let Some((told, pause)) = retry_after.and_then(|told| Some((told, told.value?))) {
            let retries = &mut balance.retries;
            retries.first_pause = pause;
            retries.longest_pause = retries.longest_pause.max(pause);
            told.counts(reading, "routing.retries.first_pause", &pause);
            told.counts(reading, "routing.retries.longest_pause", &retries.longest_pause);
        }
        if let Some(told) = &self.tags {
            balance.tag_filter = told.value;
            told.counts(reading, "routing.tag_filter", &told.value);
        }
        let mut cooldown = Cooldown::default();
        if let Some(told) = &self.allowed_fails {
            cooldown.in_a_row = told.value.saturating_add(1);
            told.counts(reading, "routing.cooldown.in_a_row", &cooldown.in_a_row);
        }
        let cooldown_time = self.cooldown_time.as_ref();
        if let Some((told, open)) = cooldown_time.and_then(|told| Some((told, told.value?))) {
            cooldown.open = open;
            cooldown.longest = cooldown.longest.max(open);
            told.counts(reading, "routing.cooldown.open", &cooldown.open);
            told.counts(reading, "routing.cooldown.longest", &cooldown.longest);
        }
        balance.cooldown = Some(cooldown);
        if let Some(told) = cooldown_time.filter(|told| told.value.is_none()) {
            balance.cooldown = None;
            told.counts(reading, "routing.cooldown", &"off".to_owned());
        }
        if let Some(told) = self.cooldowns_off.as_ref().filter(|told| told.value) {
            balance.cooldown = None;
            told.counts(reading, "routing.cooldown", &"off".to_owned());
        }
    }
}

impl<T> Told<T> {
    /// Notes the value in Outcrop's terms.
    fn counts(&self, reading: &mut ConfigReader, key: &str, value: &impl Show) {
        reading.provenance.tell(key, value.show(), self.origin.clone());
    }
}

impl Told<u32> {
    /// The number of retries, limited to the most that the gateway makes.
    fn held(&self, reading: &mut ConfigReader) -> u8 {
        let most = Retries::MOST;
        if let Some(retries) = u8::try_from(self.value).ok().filter(|retries| *retries <= most) {
            return retries;
        }
        let Self { value, key, .. } = self;
        let note = format!("{key} is {value}: held to {most}, because clients try again too");
        reading.notes.push(note);
        most
    }
}

/// Applies the settings of all names to a group; targets with an order are still tried in that order.
fn spread(group: &mut GroupSettings, all: Balance, tags: Option<bool>) {
    // What the entries of a name say of tags counts before what holds for all.
    let tag_filter = tags.map_or(all.tag_filter, |is_on| match (is_on, all.tag_filter) {
        (false, _) => TagFilter::Off,
        (true, TagFilter::Off) => TagFilter::Any,
        (true, filter) => filter,
    });
    group.balance = Balance { tag_filter, ..all };
    if group.targets.iter().any(|target| target.order != NO_ORDER) {
        group.balance.strategy = Strategy::Order;
    } else {
        for target in &mut group.targets {
            target.order = 0;
        }
    }
}

/// Whether tags of requests choose among the targets of a name, and how many of them a target must have.
fn tags(section: &mut Section<'_>) -> Option<Told<TagFilter>> {
    let match_any = told(section, "tag_filtering_match_any", parsers::boolean);
    let Told { value, key, origin } = told(section, "enable_tag_filtering", parsers::boolean)?;
    let value = match (value, match_any.is_none_or(|told| told.value)) {
        (false, _) => TagFilter::Off,
        (true, true) => TagFilter::Any,
        (true, false) => TagFilter::All,
    };
    Some(Told { value, key, origin })
}

fn strategy(section: &mut Section<'_>) -> Option<Told<Strategy>> {
    let name = told(section, "routing_strategy", parsers::text)?;
    let value = match name.value.as_str() {
        "simple-shuffle" => Strategy::Weighted,
        "least-busy" => Strategy::LeastBusy,
        "latency-based-routing" => Strategy::Latency,
        "usage-based-routing" | "usage-based-routing-v2" => Strategy::Usage,
        other => {
            let why = match other {
                "cost-based-routing" => "ignored, because all targets of a name cost the same here",
                "provider-budget-routing" => "ignored, because only Bedrock is called here",
                _ => "ignored, because nothing is known of it",
            };
            let note = format!("{}: {other} is {why}; calls are shared by weight", name.key);
            section.reading.notes.push(note);
            Strategy::Weighted
        }
    };
    Some(Told { value, key: name.key, origin: name.origin })
}

fn told<T: Show>(
    section: &mut Section<'_>,
    name: &'static str,
    read: impl Fn(&Value) -> Result<T, Expected>,
) -> Option<Told<T>> {
    let key = section.path(name);
    let node: Node = section.take(name)?.1;
    let (value, origin) = section.read_node(&key, node, read)?;
    section.reading.provenance.tell(&key, value.show(), origin.clone());
    Some(Told { value, key, origin })
}
