//! Names by rule, with fictitious models and with those of the catalogue.

use std::collections::BTreeMap;

use super::super::date::Day;
use super::super::registry::Registry;
use super::*;

fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect()
}

fn spellings(irregular: &Irregular) -> Spellings {
    Spellings::of(
        irregular,
        [
            "acme.rock-solid-20260102-v1:0",
            "acme.rock-2.5-lite-instruct-v1:0",
            "acme.rock-large-2501-v1:0",
            "acme.rock-large-2502-v1:0",
            "acme.r1-v1:0",
            "acme.sand-v2:1",
            "acme.grit-120b-1:0",
            "other.lava-v2:0",
        ],
    )
}

#[test]
fn suffixes_are_removed_while_the_name_fits_one_model() {
    let all = spellings(&Irregular::default());
    let short: BTreeMap<_, _> = all.short().map(|(name, id)| (id, name)).collect();
    for (id, name) in [
        ("acme.rock-solid-20260102-v1:0", "rock-solid"),
        ("acme.rock-2.5-lite-instruct-v1:0", "rock-2.5-lite"),
        ("acme.rock-large-2501-v1:0", "rock-large-2501"),
        ("acme.rock-large-2502-v1:0", "rock-large-2502"),
        ("acme.r1-v1:0", "acme-r1"),
        ("acme.sand-v2:1", "sand-v2"),
        ("acme.grit-120b-1:0", "grit-120b"),
        ("other.lava-v2:0", "lava-v2"),
    ] {
        assert_eq!(short.get(id), Some(&name), "{id}");
    }
    assert_eq!(short.len(), 8);
}

#[test]
fn spellings_of_others_are_accepted_and_ids_stay_unchanged() {
    let irregular = Irregular {
        aliases: table(&[("rock-large", "acme.rock-large-2501-v1:0")]),
        spellings: table(&[("boulder", "acme.rock-large-2502-v1:0")]),
        makers: [("acme-ai".to_owned(), vec!["acme".to_owned()])].into(),
    };
    let all = spellings(&irregular);
    for (name, id, variant) in [
        ("rock-solid", "acme.rock-solid-20260102-v1:0", None),
        ("rock-solid-20260102", "acme.rock-solid-20260102-v1:0", None),
        ("rock-solid@20260102", "acme.rock-solid-20260102-v1:0", None),
        ("rock-solid-latest", "acme.rock-solid-20260102-v1:0", None),
        ("rock_solid", "acme.rock-solid-20260102-v1:0", None),
        ("acme/rock-solid", "acme.rock-solid-20260102-v1:0", None),
        ("Acme-AI/Rock-Solid:free", "acme.rock-solid-20260102-v1:0", Some("free")),
        ("rock-solid:thinking", "acme.rock-solid-20260102-v1:0", Some("thinking")),
        ("rock-2-5-lite", "acme.rock-2.5-lite-instruct-v1:0", None),
        ("rock2.5-lite-instruct", "acme.rock-2.5-lite-instruct-v1:0", None),
        ("acme/acme-r1", "acme.r1-v1:0", None),
        ("grit-120b-instruct", "acme.grit-120b-1:0", None),
        ("rock-large", "acme.rock-large-2501-v1:0", None),
        ("acme/rock-large-2502", "acme.rock-large-2502-v1:0", None),
        ("boulder", "acme.rock-large-2502-v1:0", None),
    ] {
        assert_eq!(all.find(name), Some(Spelled { id, variant }), "{name}");
    }
    let long = "rock".repeat(LONGEST);
    for name in [
        "other/rock-solid",
        "nobody/rock-solid",
        "acme/x/rock-solid",
        "rock-solid:new",
        "rock-solid:200k",
        "acme.rock-solid",
        "us.acme.rock-solid",
        "us.rock-solid",
        "rocksolid",
        "rock",
        "rock solid",
        "",
        "/",
        ":free",
        &long,
    ] {
        assert_eq!(all.find(name), None, "{name}");
    }
    assert!(all.short().all(|(name, _)| name != "boulder"), "understood, not listed");
}

#[test]
fn an_operators_models_do_not_take_over_existing_names() {
    let mut all = spellings(&Irregular::default());
    all.add(["mine.rock-solid-v1:0", "mine.sandstone-9-v1:0"]);
    assert_eq!(all.find("rock-solid").unwrap().id, "acme.rock-solid-20260102-v1:0");
    assert_eq!(all.find("sandstone-9").unwrap().id, "mine.sandstone-9-v1:0");
}

#[test]
fn every_callable_model_has_its_own_short_name() {
    let registry = Registry::open();
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, id) in registry.aliases() {
        names.entry(id).or_default().push(name);
        assert_eq!(registry.alias(name), Some(id), "{name}");
        assert!(registry.listed(name).is_none(), "{name} is an id too");
    }
    let today = Day::parse("2026-11-28").unwrap();
    for (id, row) in registry.models() {
        if (row.profile.converse || row.profile.embedding.is_some()) && !row.has_ended(today) {
            let own = names.get(id).unwrap_or_else(|| panic!("{id} has no short name"));
            assert_eq!(own.len(), 1, "{id}: {own:?}");
            let dated = own[0].split('-').any(|word| word.len() == DATE && is_number(word));
            assert!(!dated && !own[0].contains(':'), "{id}: {own:?}");
        }
    }
    // No two names consist of the same words.
    let keys: std::collections::BTreeSet<_> =
        registry.aliases().map(|(name, _)| words(name)).collect();
    assert_eq!(keys.len(), registry.aliases().count());
}

#[test]
fn names_that_people_use_lead_to_their_models() {
    let registry = Registry::open();
    for (name, id) in [
        ("claude-sonnet-4-5", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-opus-5-5", "anthropic.claude-opus-5-5"),
        ("claude-opus-4-6", "anthropic.claude-opus-4-6-v1"),
        ("claude-haiku-4.5", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("gpt-6-sol", "openai.gpt-6-sol"),
        ("nova-2-lite", "amazon.nova-2-lite-v1:0"),
        ("deepseek-r1", "deepseek.r1-v1:0"),
        ("deepseek-v3.2", "deepseek.v3.2"),
        ("qwen3-32b", "qwen.qwen3-32b-v1:0"),
        ("kimi-k2.5", "moonshotai.kimi-k2.5"),
        ("glm-5", "zai.glm-5"),
        ("embed-v4", "cohere.embed-v4:0"),
        ("llama-3.3-70b-instruct", "meta.llama3-3-70b-instruct-v1:0"),
        // OpenRouter's names.
        ("anthropic/claude-sonnet-4.5", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-3.7-sonnet:thinking", "anthropic.claude-3-7-sonnet-20250219-v1:0"),
        ("anthropic/claude-3.5-haiku-20241022", "anthropic.claude-3-5-haiku-20241022-v1:0"),
        ("openai/gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("openai/gpt-oss-20b:free", "openai.gpt-oss-20b-1:0"),
        ("openai/gpt-5.6-sol", "openai.gpt-5.6-sol"),
        ("meta-llama/llama-3.3-70b-instruct", "meta.llama3-3-70b-instruct-v1:0"),
        ("meta-llama/llama-4-maverick", "meta.llama4-maverick-17b-instruct-v1:0"),
        ("amazon/nova-pro-v1", "amazon.nova-pro-v1:0"),
        ("amazon/nova-2-lite-v1", "amazon.nova-2-lite-v1:0"),
        ("deepseek/deepseek-r1", "deepseek.r1-v1:0"),
        ("deepseek/deepseek-chat-v3.1", "deepseek.v3-v1:0"),
        ("qwen/qwen3-32b", "qwen.qwen3-32b-v1:0"),
        ("qwen/qwen3-235b-a22b-2507", "qwen.qwen3-235b-a22b-2507-v1:0"),
        ("qwen/qwen3-coder-30b-a3b-instruct", "qwen.qwen3-coder-30b-a3b-v1:0"),
        ("qwen/qwen3-coder", "qwen.qwen3-coder-480b-a35b-v1:0"),
        ("mistralai/mistral-large-2407", "mistral.mistral-large-2407-v1:0"),
        ("mistralai/mixtral-8x7b-instruct", "mistral.mixtral-8x7b-instruct-v0:1"),
        ("mistralai/mistral-7b-instruct-v0.2", "mistral.mistral-7b-instruct-v0:2"),
        ("google/gemma-3-27b-it", "google.gemma-3-27b-it"),
        ("minimax/minimax-m2.1", "minimax.minimax-m2.1"),
        ("moonshotai/kimi-k2-thinking", "moonshot.kimi-k2-thinking"),
        ("moonshotai/kimi-k3", "moonshotai.kimi-k3"),
        ("nvidia/nemotron-nano-9b-v2", "nvidia.nemotron-nano-9b-v2"),
        ("x-ai/grok-4.6", "xai.grok-4.6"),
        ("z-ai/glm-4.7-flash", "zai.glm-4.7-flash"),
        // Hugging Face's names.
        ("Qwen/Qwen3-32B", "qwen.qwen3-32b-v1:0"),
        ("deepseek-ai/DeepSeek-R1", "deepseek.r1-v1:0"),
        ("zai-org/GLM-4.7", "zai.glm-4.7"),
        // Anthropic's and Vertex's names.
        ("claude-sonnet-4-5-20250929", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-5@20250929", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-3-5-sonnet-latest", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("claude-3-5-sonnet-20240620", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("claude-opus-4-0", "anthropic.claude-opus-4-20250514-v1:0"),
    ] {
        assert_eq!(registry.alias(name), Some(id), "{name}");
    }
    for name in [
        "gpt-4o",
        "claude",
        "openai/claude-sonnet-4.5",
        "anthropic/gpt-oss-120b",
        "claude-sonnet-9",
    ] {
        assert_eq!(registry.alias(name), None, "{name}");
    }
}
