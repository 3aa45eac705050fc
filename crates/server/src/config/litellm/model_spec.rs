//! Parses the `model` of an entry: `bedrock/`, a region, LiteLLM's route, the family of an imported
//! model, and the id.

use routing::catalogue::{is_region, model_of_family};

const PROVIDERS: [&str; 2] = ["bedrock/", "bedrock_converse/"];

/// Routes whose calls Converse and InvokeModel answer alike.
const ROUTES: [&str; 3] = ["converse", "invoke", "converse_like"];

/// AWS services that are not served here; Converse does not accept their ids.
const OTHER_SURFACES: [&str; 6] =
    ["agent", "agentcore", "async_invoke", "chat_completions", "claude_platform", "mantle"];

/// The meaning of an entry's `model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spec {
    /// A model that can be called.
    Model {
        /// Id, ARN or pattern as the catalogue reads names, with `bedrock/` and the region in front.
        name: String,
        /// The model whose behaviour is expected, if a family is named.
        base_model: Option<String>,
    },
    /// An AWS service that is not served.
    Elsewhere(String),
}

impl Spec {
    /// Reads `written`. Under the name `*` a caller's name may itself begin with the route.
    pub(super) fn parse(written: &str, name: &str) -> Self {
        let routed = PROVIDERS.iter().find_map(|provider| written.strip_prefix(provider));
        if routed == Some("*") && name == "*" {
            return Self::Model { name: "*".to_owned(), base_model: None };
        }
        let (mut rest, mut region, mut family) = (routed.unwrap_or(written), None, None);
        while let Some((word, after)) = rest.split_once('/') {
            if after.is_empty() || word.starts_with("arn:") {
                break;
            }
            if OTHER_SURFACES.contains(&word) {
                return Self::Elsewhere(word.to_owned());
            }
            if region.is_none() && is_region(word) {
                region = Some(word);
            } else if let Some(found) = model_of_family(word) {
                family = Some(found);
            } else if !ROUTES.contains(&word) {
                break;
            }
            rest = after;
        }
        let region = region.map(|region| format!("{region}/")).unwrap_or_default();
        let base_model = family.map(ToOwned::to_owned);
        Self::Model { name: format!("bedrock/{region}{rest}"), base_model }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_regions_and_families_come_in_any_order() {
        const ARN: &str = "arn:aws:bedrock:us-east-1:1:imported-model/abc";
        for (written, name) in [
            ("bedrock/amazon.nova-lite-v1:0", "bedrock/amazon.nova-lite-v1:0"),
            ("amazon.nova-lite-v1:0", "bedrock/amazon.nova-lite-v1:0"),
            ("bedrock_converse/a.b", "bedrock/a.b"),
            ("bedrock/converse/us-east-1/a.b", "bedrock/us-east-1/a.b"),
            ("bedrock/us-east-1/invoke/a.b", "bedrock/us-east-1/a.b"),
            ("bedrock/converse_like/a.b", "bedrock/a.b"),
            ("bedrock/*", "bedrock/*"),
            (&format!("bedrock/{ARN}"), &format!("bedrock/{ARN}")),
            ("nova-lite", "bedrock/nova-lite"),
        ] {
            let spec = Spec::parse(written, "m");
            assert_eq!(spec, Spec::Model { name: name.to_owned(), base_model: None }, "{written}");
        }
        for family in ["llama", "deepseek_r1", "qwen2", "qwen3", "openai", "nova", "nova-2"] {
            for route in ["", "converse/", "eu-west-1/", "converse/eu-west-1/"] {
                let written = format!("bedrock/{route}{family}/{ARN}");
                let Spec::Model { name, base_model: Some(_) } = Spec::parse(&written, "m") else {
                    panic!("{written}");
                };
                assert!(name.ends_with(ARN), "{name}");
            }
        }
        assert_eq!(
            Spec::parse("bedrock/*", "*"),
            Spec::Model { name: "*".to_owned(), base_model: None }
        );
        assert_eq!(Spec::parse("bedrock/mantle/a.b", "m"), Spec::Elsewhere("mantle".to_owned()));
        assert_eq!(Spec::parse("bedrock/agent/A/B", "m"), Spec::Elsewhere("agent".to_owned()));
    }
}
