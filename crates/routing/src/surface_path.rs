//! Paths of the APIs on other surfaces than Converse.

use translate::profile::{MantleBase, SurfaceApi, SurfaceEndpoint, SurfaceHost};

/// The path of a call.
pub(super) fn of(SurfaceEndpoint { host, api, base }: SurfaceEndpoint) -> &'static str {
    let is_openais = host == SurfaceHost::Runtime || base == MantleBase::OpenaiV1;
    match (api, is_openais) {
        (SurfaceApi::Messages, _) => "/anthropic/v1/messages",
        (SurfaceApi::Chat, true) => "/openai/v1/chat/completions",
        (SurfaceApi::Responses, true) => "/openai/v1/responses",
        (SurfaceApi::Chat, false) => "/v1/chat/completions",
        (SurfaceApi::Responses, false) => "/v1/responses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_the_models_on_mantle_alone() {
        let path = |host, api, base| of(SurfaceEndpoint { host, api, base });
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
}
