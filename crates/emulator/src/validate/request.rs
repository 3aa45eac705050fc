//! The members of a Converse request. One long table: the API's service model, version 2023-09-30.

use super::shape::{
    Member,
    Shape::{self, Anything, Blob, Boolean, Integer, List, Map, Number, Structure, Text, Union},
    may, must,
};

/// Body of Converse; that of ConverseStream differs in one guardrail member.
pub(super) const CONVERSE: Shape = Structure(&[
    may("messages", &List(&MESSAGE)),
    may("system", &List(&SYSTEM)),
    may("inferenceConfig", &INFERENCE),
    may("toolConfig", &TOOLS),
    may("guardrailConfig", &GUARDRAIL),
    may("outputConfig", &OUTPUT),
    may("additionalModelRequestFields", &Anything),
    may("additionalModelResponseFieldPaths", &List(&Text)),
    may("promptVariables", &Map(&Union(&[may("text", &Text)]))),
    may("requestMetadata", &Map(&Text)),
    may("performanceConfig", &Structure(&[may("latency", &Text)])),
    may("serviceTier", &Structure(&[must("type", &Text)])),
]);

/// Body of CountTokens.
pub(super) const COUNT_TOKENS: Shape = Structure(&[must(
    "input",
    &Union(&[may("invokeModel", &Structure(&[must("body", &Blob)])), may("converse", &COUNTED)]),
)]);

const COUNTED: Shape = Structure(&[
    may("messages", &List(&MESSAGE)),
    may("system", &List(&SYSTEM)),
    may("toolConfig", &TOOLS),
    may("additionalModelRequestFields", &Anything),
]);

const MESSAGE: Shape = Structure(&[must("role", &Text), must("content", &List(&CONTENT))]);

const SYSTEM: Shape = Union(&[
    may("text", &Text),
    may("guardContent", &GUARD_CONTENT),
    may("cachePoint", &CACHE_POINT),
]);

const CONTENT: Shape = Union(&[
    may("text", &Text),
    may("image", &IMAGE),
    may("document", &DOCUMENT),
    may("video", &MEDIA),
    may("audio", &MEDIA),
    may("toolUse", &TOOL_USE),
    may("toolResult", &TOOL_RESULT),
    may("guardContent", &GUARD_CONTENT),
    may("cachePoint", &CACHE_POINT),
    may("reasoningContent", &REASONING),
    may("citationsContent", &CITATIONS),
    may("searchResult", &SEARCH_RESULT),
    may("toolAddition", &Structure(&[must("tool", &TOOL_REFERENCE)])),
    may("toolRemoval", &Structure(&[must("tool", &TOOL_REFERENCE)])),
]);

const TOOL_REFERENCE: Shape =
    Structure(&[may("type", &Text), may("name", &Text), may("serverName", &Text)]);

const S3: Member = may("s3Location", &Structure(&[must("uri", &Text), may("bucketOwner", &Text)]));
const SOURCE: Shape = Union(&[may("bytes", &Blob), S3]);

const IMAGE: Shape = MEDIA;
const MEDIA: Shape = Structure(&[
    must("format", &Text),
    must("source", &SOURCE),
    may("error", &Structure(&[may("message", &Text)])),
]);

const DOCUMENT: Shape = Structure(&[
    may("format", &Text),
    must("name", &Text),
    must(
        "source",
        &Union(&[
            may("bytes", &Blob),
            S3,
            may("text", &Text),
            may("content", &List(&Union(&[may("text", &Text)]))),
        ]),
    ),
    may("context", &Text),
    may("citations", &ENABLED),
]);

const ENABLED: Shape = Structure(&[must("enabled", &Boolean)]);

const TOOL_USE: Shape = Structure(&[
    must("toolUseId", &Text),
    must("name", &Text),
    must("input", &Anything),
    may("type", &Text),
]);

const TOOL_RESULT: Shape = Structure(&[
    must("toolUseId", &Text),
    must(
        "content",
        &List(&Union(&[
            may("text", &Text),
            may("json", &Anything),
            may("image", &IMAGE),
            may("document", &DOCUMENT),
            may("video", &MEDIA),
            may("searchResult", &SEARCH_RESULT),
        ])),
    ),
    may("status", &Text),
    may("type", &Text),
]);

const SEARCH_RESULT: Shape = Structure(&[
    must("source", &Text),
    must("title", &Text),
    must("content", &List(&Structure(&[must("text", &Text)]))),
    may("citations", &ENABLED),
]);

const GUARD_CONTENT: Shape = Union(&[
    may("text", &Structure(&[must("text", &Text), may("qualifiers", &List(&Text))])),
    may(
        "image",
        &Structure(&[must("format", &Text), must("source", &Union(&[may("bytes", &Blob)]))]),
    ),
]);

const CACHE_POINT: Shape = Structure(&[must("type", &Text), may("ttl", &Text)]);

const REASONING: Shape = Union(&[
    may("reasoningText", &Structure(&[must("text", &Text), may("signature", &Text)])),
    may("redactedContent", &Blob),
]);

const CITATIONS: Shape = Structure(&[
    may("content", &List(&Union(&[may("text", &Text)]))),
    may("citations", &List(&Anything)),
]);

const INFERENCE: Shape = Structure(&[
    may("maxTokens", &Integer),
    may("temperature", &Number),
    may("topP", &Number),
    may("stopSequences", &List(&Text)),
]);

const TOOLS: Shape = Structure(&[
    must("tools", &List(&TOOL)),
    may(
        "toolChoice",
        &Union(&[
            may("auto", &Structure(&[])),
            may("any", &Structure(&[])),
            may("tool", &Structure(&[must("name", &Text)])),
        ]),
    ),
]);

const TOOL: Shape = Union(&[
    may(
        "toolSpec",
        &Structure(&[
            must("name", &Text),
            may("description", &Text),
            must("inputSchema", &Union(&[may("json", &Anything)])),
            may("strict", &Boolean),
        ]),
    ),
    may("systemTool", &Structure(&[must("name", &Text)])),
    may("cachePoint", &CACHE_POINT),
]);

const GUARDRAIL: Shape = Structure(&[
    may("guardrailIdentifier", &Text),
    may("guardrailVersion", &Text),
    may("trace", &Text),
    may("streamProcessingMode", &Text),
]);

const OUTPUT: Shape = Structure(&[
    may(
        "textFormat",
        &Structure(&[
            must("type", &Text),
            must(
                "structure",
                &Union(&[may(
                    "jsonSchema",
                    &Structure(&[
                        must("schema", &Text),
                        may("name", &Text),
                        may("description", &Text),
                    ]),
                )]),
            ),
        ]),
    ),
    may("effort", &Text),
]);
