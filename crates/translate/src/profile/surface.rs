//! Settings of the place where a model is called: Converse, or one of the endpoints on which AWS serves the APIs
//! of OpenAI and Anthropic.

use serde::{Deserialize, Serialize};

use super::Profile;

/// Where a model is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// By Converse or InvokeModel.
    #[default]
    Converse,
    /// In OpenAI's APIs on bedrock-runtime.
    Runtime,
    /// On bedrock-mantle.
    Mantle,
    /// By InvokeAgent: the model is an agent.
    Agent,
    /// By InvokeFlow: the model is a flow.
    Flow,
    /// By Converse: a stored prompt stands in place of the model.
    Prompt,
}

/// An API that a surface serves a model in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SurfaceApi {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// InvokeAgent.
    Agent,
    /// InvokeFlow.
    Flow,
}

impl SurfaceApi {
    /// Its name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Agent => "agent",
            Self::Flow => "flow",
        }
    }

    /// Whether answers are frames of an event stream, complete ones too.
    pub fn is_framed(self) -> bool {
        match self {
            Self::Agent | Self::Flow => true,
            Self::Chat | Self::Responses | Self::Messages => false,
        }
    }
}

/// Base path of OpenAI's APIs on bedrock-mantle, which differs by model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MantleBase {
    /// `/v1`.
    #[default]
    V1,
    /// `/openai/v1`.
    OpenaiV1,
}

/// The address of a model on a surface other than Converse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurfaceEndpoint {
    /// Runtime or mantle.
    pub host: SurfaceHost,
    /// The API.
    pub api: SurfaceApi,
    /// Base path on mantle.
    pub base: MantleBase,
}

/// The host of a surface other than Converse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurfaceHost {
    /// bedrock-runtime.
    Runtime,
    /// bedrock-mantle.
    Mantle,
    /// bedrock-agent-runtime.
    AgentRuntime,
}

impl Profile {
    /// The address for requests of every front door but Anthropic's own: the first API of the surface that
    /// Converse's requests can be translated to. `None` on Converse, and where there is no such API.
    pub fn surface_endpoint(&self) -> Option<SurfaceEndpoint> {
        let translated = |api: &&SurfaceApi| **api != SurfaceApi::Messages;
        let (host, apis) = self.surface_apis()?;
        let api = *apis.iter().find(translated)?;
        Some(SurfaceEndpoint { host, api, base: self.mantle_base })
    }

    /// Whether a call may do something besides answering, as an agent or a flow may: it is made once for each request.
    pub fn has_effects(&self) -> bool {
        let api = self.surface_endpoint().map(|endpoint| endpoint.api);
        matches!(api, Some(SurfaceApi::Agent | SurfaceApi::Flow))
    }

    /// The address for requests of Anthropic's API in their own body, where the surface has it.
    pub fn messages_endpoint(&self) -> Option<SurfaceEndpoint> {
        let (host, apis) = self.surface_apis()?;
        let api = SurfaceApi::Messages;
        apis.contains(&api).then_some(SurfaceEndpoint { host, api, base: self.mantle_base })
    }

    /// The model's name on a surface: as its row says, or the id without version.
    pub fn surface_name<'n>(&'n self, id: &'n str, base: &'n str) -> &'n str {
        match self.surface {
            Surface::Converse
            | Surface::Runtime
            | Surface::Agent
            | Surface::Flow
            | Surface::Prompt => id,
            Surface::Mantle if !self.mantle_id.is_empty() => &self.mantle_id,
            Surface::Mantle => without_version(base),
        }
    }

    fn surface_apis(&self) -> Option<(SurfaceHost, &[SurfaceApi])> {
        match self.surface {
            Surface::Converse | Surface::Prompt => None,
            Surface::Runtime => Some((SurfaceHost::Runtime, &self.runtime_apis)),
            Surface::Mantle => Some((SurfaceHost::Mantle, &self.mantle_apis)),
            Surface::Agent => Some((SurfaceHost::AgentRuntime, &[SurfaceApi::Agent])),
            Surface::Flow => Some((SurfaceHost::AgentRuntime, &[SurfaceApi::Flow])),
        }
    }
}

/// `maker.model` for `maker.model-1:0` and for `maker.model-v1:0`.
fn without_version(id: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((rest, minor)) = id.rsplit_once(':') else { return id };
    let Some((name, major)) = rest.rsplit_once('-') else { return id };
    let major = major.strip_prefix('v').unwrap_or(major);
    if is_number(minor) && is_number(major) { name } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(surface: Surface) -> Profile {
        Profile { surface, mantle_base: MantleBase::OpenaiV1, ..Profile::default() }
    }

    #[test]
    fn the_first_api_that_can_be_translated_is_called() {
        assert_eq!(Profile::default().surface_endpoint(), None);
        let runtime = profile(Surface::Runtime).surface_endpoint().unwrap();
        assert_eq!((runtime.host, runtime.api), (SurfaceHost::Runtime, SurfaceApi::Chat));
        let mut mantle = profile(Surface::Mantle);
        mantle.mantle_apis = vec![SurfaceApi::Messages, SurfaceApi::Responses];
        let endpoint = mantle.surface_endpoint().unwrap();
        assert_eq!((endpoint.api, endpoint.base), (SurfaceApi::Responses, MantleBase::OpenaiV1));
        assert_eq!(mantle.messages_endpoint().unwrap().api, SurfaceApi::Messages);
        mantle.mantle_apis = vec![SurfaceApi::Messages];
        assert_eq!(mantle.surface_endpoint(), None);
    }

    #[test]
    fn mantle_names_models_without_version() {
        let mut mantle = profile(Surface::Mantle);
        for (base, name) in [
            ("openai.gpt-oss-120b-1:0", "openai.gpt-oss-120b"),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001"),
            ("openai.gpt-6-sol", "openai.gpt-6-sol"),
            ("a.b:c", "a.b:c"),
        ] {
            assert_eq!(mantle.surface_name("us.x", base), name);
        }
        mantle.mantle_id = "anthropic.claude-haiku-4-5".to_owned();
        assert_eq!(mantle.surface_name("x", "x"), "anthropic.claude-haiku-4-5");
        assert_eq!(profile(Surface::Runtime).surface_name("us.x", "x"), "us.x");
    }
}
