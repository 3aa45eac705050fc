//! Tests of `routing:` and its overrides for one name; every mistake has its line.

use std::num::{NonZeroU32, NonZeroU64};

use super::super::*;
use super::Directory;
use routing::{
    Affinity, Balance, Cooldown, Fallbacks, Hedge, HedgeDelay, Retries, Strategy, TagFilter,
    Thousandths,
};

#[test]
fn a_name_overrides_routing() {
    let directory = Directory::new("routing");
    let yaml = r#"
routing:
  strategy: least_busy
  affinity: off
  retries: { more: 1, first_pause: 0.1, budget: 0.5 }
  cooldown: { failing: 0.25, open: 1 }
  fallbacks: { general: [plain], context_window: nova-pro }
models:
  plain: a.b
  own:
    strategy: order
    affinity: on
    retries: { more: 0 }
    cooldown: { in_a_row: 2 }
    fallbacks: { general: [plain, claude-x], content_policy: [own] }
    targets: [{ model: c.d, order: 1, rpm: 60, tpm: 100000 }, { model: e.f, order: 2 }]
  alone: { model: g.h, cooldown: off, hedge: { after: 0.8 }, continue_streams: on, fallbacks: { general: [] } }
  claude-*: { model: anthropic.claude-*, hedge: { after: p90, max_extra: 0.1 } }
"#;
    let config = Config::load(&directory.sources(yaml)).unwrap();
    let provenance = &config.provenance;
    let retries = Retries {
        more: 1,
        first_pause: Duration::from_millis(100),
        budget: Thousandths(500),
        ..Retries::default()
    };
    let cooldown =
        Cooldown { failing: Thousandths(250), open: Duration::from_secs(1), ..Cooldown::default() };
    let general = Balance {
        strategy: Strategy::LeastBusy,
        retries,
        cooldown: Some(cooldown),
        affinity: Affinity::Off,
        tag_filter: TagFilter::Off,
        hedge: None,
        continue_streams: false,
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let fallbacks = Fallbacks {
        general: names(&["plain"]),
        context_window: names(&["nova-pro"]),
        content_policy: Vec::new(),
    };
    assert_eq!((config.routing.balance(), &config.routing.fallbacks), (general, &fallbacks));
    let group = |name: &str| &config.models[name];
    assert_eq!((group("plain").balance, &group("plain").fallbacks), (general, &fallbacks));
    let own = Balance {
        strategy: Strategy::Order,
        affinity: Affinity::On,
        retries: Retries { more: 0, ..retries },
        cooldown: Some(Cooldown { in_a_row: 2, ..cooldown }),
        tag_filter: TagFilter::Off,
        hedge: None,
        continue_streams: false,
    };
    assert_eq!(group("own").balance, own);
    assert_eq!(group("own").fallbacks.general, names(&["plain", "claude-x"]));
    assert_eq!(group("own").fallbacks.context_window, fallbacks.context_window);
    let [first, second] = group("own").targets.as_slice() else { panic!("two targets") };
    assert_eq!(
        (first.order, first.rpm, first.tpm),
        (1, NonZeroU32::new(60), NonZeroU64::new(100_000))
    );
    assert_eq!((second.order, second.rpm, second.tpm), (2, None, None));
    let hedge = |after, max_extra| Some(Hedge { after, max_extra: Thousandths(max_extra) });
    let late = HedgeDelay::Fixed(Duration::from_millis(800));
    let alone =
        Balance { cooldown: None, hedge: hedge(late, 50), continue_streams: true, ..general };
    assert_eq!(group("alone").balance, alone);
    assert_eq!(group("claude-*").balance.hedge, hedge(HedgeDelay::Percentile(90), 100));
    assert!(group("alone").fallbacks.general.is_empty());
    let told: Vec<String> = provenance
        .iter()
        .filter(|told| told.key.starts_with("models.own.") || told.key.starts_with("routing.ret"))
        .map(|told| format!("{}={}", told.key, told.value))
        .collect();
    for expected in [
        "routing.retries.more=1",
        "routing.retries.budget_floor=10",
        "models.own.cooldown.in_a_row=2",
        "models.own.fallbacks.general=[plain, claude-x]",
        "models.own.targets[0].rpm=60",
    ] {
        assert!(told.iter().any(|told| told == expected), "{expected} in {told:?}");
    }
    assert!(!told.iter().any(|told| told.starts_with("models.own.cooldown.calls")), "{told:?}");
}

#[test]
fn every_problem_of_routing_has_its_line() {
    let directory = Directory::new("routing-mistakes");
    let yaml = "routing:
  strategy: fastest
  affinity: maybe
  retries: { more: 3, budget: 20 }
  cooldown: { calls: 0, failing: 0, open: 70 }
  fallbacks:
    general: [palin]
    context_window: [nothing-like-it, plain]
    content_policy: 3
models:
  plain: a.b
  b: { model: c.d, rpm: 0 }
  c: { model: c.d, order: -1 }
  d: { model: c.d, tpm: many }
  e: { model: c.d, cooldown: never }
  f: { model: c.d, retries: { first_pause: 9 } }
  g: { model: c.d, fallback: [plain] }
  h: { model: c.d, hedge: { after: p9, max_extra: 0 } }
  i: { model: c.d, hedge: 0.8 }
";
    let problems = Config::load(&directory.sources(yaml)).unwrap_err();
    let text = problems.to_string();
    for expected in [
        ":2: routing.strategy: \"fastest\" is not weighted, least_busy",
        ":3: routing.affinity: \"maybe\" is not on or off",
        ":4: routing.retries.more: 3 is not 0, 1 or 2",
        ":4: routing.retries.budget: 20 is not a part",
        ":5: routing.cooldown.calls: 0 is not",
        ":5: routing.cooldown.failing: 0 is not a part above 0",
        ":5: routing.cooldown.open is above longest",
        ":7: routing.fallbacks.general names palin, which is nothing known; did you mean plain?",
        ":8: routing.fallbacks.context_window names nothing-like-it, which is nothing known; name",
        ":9: routing.fallbacks.content_policy: 3 is not a list of names",
        ":12: models.b.rpm: 0 is not a whole number from 1",
        ":13: models.c.order: -1 is not a whole number from 0",
        ":14: models.d.tpm: \"many\" is not a whole number from 1",
        ":15: models.e.cooldown: \"never\" is not off, or keys below it",
        ":16: models.f.retries.first_pause is above longest_pause",
        ":17: models.g.fallback is not a key; did you mean models.g.fallbacks?",
        ":18: models.h.hedge.after: \"p9\" is not a number of seconds such as 0.8, or p50 to p99",
        ":18: models.h.hedge.max_extra: 0 is not a part above 0",
        ":19: models.i.hedge: 0.8 is not off, or keys below it",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    assert_eq!(problems.iter().count(), 19, "{text}");
}

#[test]
fn with_models_only_a_fallback_must_be_listed() {
    let directory = Directory::new("routing-listed");
    let with = |only| {
        format!(
            "models_only: {only}\nmodels: {{ a: {{ model: x.y, fallbacks: {{ general: [nova-lite] }} }} }}\n"
        )
    };
    assert!(Config::load(&directory.sources(&with(false))).is_ok());
    let text = Config::load(&directory.sources(&with(true))).unwrap_err().to_string();
    assert!(text.contains("names nova-lite, which is nothing known"), "{text}");
}
