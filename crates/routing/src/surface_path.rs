//! Paths of the APIs on other surfaces than Converse.

use bedrock::encode_segment;
use translate::profile::{MantleBase, SurfaceApi, SurfaceEndpoint, SurfaceHost};

/// The path of a call to a model of this id, in a session if the API has sessions.
pub(super) fn of(endpoint: SurfaceEndpoint, model_id: &str, session: &str) -> String {
    let SurfaceEndpoint { host, api, base } = endpoint;
    let is_openais = host == SurfaceHost::Runtime || base == MantleBase::OpenaiV1;
    let path = match (api, is_openais) {
        (SurfaceApi::Messages, _) => "/anthropic/v1/messages",
        (SurfaceApi::Chat, true) => "/openai/v1/chat/completions",
        (SurfaceApi::Responses, true) => "/openai/v1/responses",
        (SurfaceApi::Chat, false) => "/v1/chat/completions",
        (SurfaceApi::Responses, false) => "/v1/responses",
        (SurfaceApi::Agent, _) => {
            return of_alias(
                model_id,
                "/agents/",
                &["agentAliases"],
                &["sessions", session, "text"],
            );
        }
        (SurfaceApi::Flow, _) => return of_alias(model_id, "/flows/", &["aliases"], &[]),
    };
    path.to_owned()
}

/// The path of an alias, whose name is `kind/ID/ALIAS`.
fn of_alias(name: &str, root: &str, between: &[&str], after: &[&str]) -> String {
    let mut parts = name.splitn(3, '/').skip(1);
    let (id, alias) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut path = root.to_owned();
    encode_segment(id, &mut path);
    for segment in between.iter().copied().chain([alias]).chain(after.iter().copied()) {
        path.push('/');
        encode_segment(segment, &mut path);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(host: SurfaceHost, api: SurfaceApi, base: MantleBase) -> String {
        of(SurfaceEndpoint { host, api, base }, "x/ABCDEFGHIJ/LIVE", "s:1")
    }

    #[test]
    fn the_base_path_is_the_models_on_mantle_alone() {
        let (runtime, mantle) = (SurfaceHost::Runtime, SurfaceHost::Mantle);
        assert_eq!(path(runtime, SurfaceApi::Chat, MantleBase::V1), "/openai/v1/chat/completions");
        assert_eq!(path(mantle, SurfaceApi::Chat, MantleBase::V1), "/v1/chat/completions");
        assert_eq!(
            path(mantle, SurfaceApi::Responses, MantleBase::OpenaiV1),
            "/openai/v1/responses"
        );
        assert_eq!(path(mantle, SurfaceApi::Responses, MantleBase::V1), "/v1/responses");
        assert_eq!(path(mantle, SurfaceApi::Messages, MantleBase::V1), "/anthropic/v1/messages");
    }

    #[test]
    fn agents_and_flows_are_named_by_their_paths() {
        let host = SurfaceHost::AgentRuntime;
        assert_eq!(
            path(host, SurfaceApi::Agent, MantleBase::V1),
            "/agents/ABCDEFGHIJ/agentAliases/LIVE/sessions/s%3A1/text"
        );
        assert_eq!(path(host, SurfaceApi::Flow, MantleBase::V1), "/flows/ABCDEFGHIJ/aliases/LIVE");
    }
}
