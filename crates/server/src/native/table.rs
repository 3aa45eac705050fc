//! The exact list of operations that are passed through: method, path, service. It is checked against
//! botocore's service models, where those know the service; any other path gets a 404 without a call to AWS.

use bedrock::{Kind, Service};

mod agentcore;
mod agentcore_control;
mod data_automation;
mod mantle;
mod more;

/// One operation of a Bedrock API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OperationRow {
    /// Name in the service model.
    pub(crate) operation: &'static str,
    /// HTTP method.
    pub(crate) method: &'static str,
    /// Path; `{model}` is a model id that may be an alias, any other `{}` segment is opaque.
    pub(crate) template: &'static str,
    /// The service of the operation.
    pub(crate) service: Service,
    /// Form of its response, unary or stream.
    pub(crate) kind: Kind,
}

const fn row(
    operation: &'static str,
    method: &'static str,
    template: &'static str,
    service: Service,
    kind: Kind,
) -> OperationRow {
    OperationRow { operation, method, template, service, kind }
}

use Kind::{Stream, Unary};
use Service::{AgentRuntime, Control, Runtime};

/// All of bedrock-runtime and bedrock-agent-runtime, and the read operations of bedrock that clients use.
/// Source: botocore 1.44.8.
#[rustfmt::skip]
const TABLE: &[OperationRow] = &[
    // bedrock-runtime
    row("ApplyGuardrail", "POST", "/guardrail/{}/version/{}/apply", Runtime, Unary),
    row("Converse", "POST", "/model/{model}/converse", Runtime, Unary),
    row("ConverseStream", "POST", "/model/{model}/converse-stream", Runtime, Stream),
    row("CountTokens", "POST", "/model/{model}/count-tokens", Runtime, Unary),
    row("GetAsyncInvoke", "GET", "/async-invoke/{}", Runtime, Unary),
    row("InvokeGuardrailChecks", "POST", "/guardrail-checks/invoke", Runtime, Unary),
    row("InvokeModel", "POST", "/model/{model}/invoke", Runtime, Unary),
    row("InvokeModelWithBidirectionalStream", "POST", "/model/{model}/invoke-with-bidirectional-stream", Runtime, Stream),
    row("InvokeModelWithResponseStream", "POST", "/model/{model}/invoke-with-response-stream", Runtime, Stream),
    row("ListAsyncInvokes", "GET", "/async-invoke", Runtime, Unary),
    row("StartAsyncInvoke", "POST", "/async-invoke", Runtime, Unary),
    // bedrock-agent-runtime
    row("AgenticRetrieveStream", "POST", "/agenticRetrieveStream", AgentRuntime, Stream),
    row("CheckIngestedDocumentAcl", "POST", "/knowledgebases/{}/datasources/{}/check-ingested-document-acl", AgentRuntime, Unary),
    row("CreateInvocation", "PUT", "/sessions/{}/invocations/", AgentRuntime, Unary),
    row("CreateSession", "PUT", "/sessions/", AgentRuntime, Unary),
    row("DeleteAgentMemory", "DELETE", "/agents/{}/agentAliases/{}/memories", AgentRuntime, Unary),
    row("DeleteSession", "DELETE", "/sessions/{}/", AgentRuntime, Unary),
    row("EndSession", "PATCH", "/sessions/{}", AgentRuntime, Unary),
    row("GenerateQuery", "POST", "/generateQuery", AgentRuntime, Unary),
    row("GetAgentMemory", "GET", "/agents/{}/agentAliases/{}/memories", AgentRuntime, Unary),
    row("GetDocumentContent", "POST", "/knowledgebases/{}/datasources/{}/documents/{}/content", AgentRuntime, Unary),
    row("GetExecutionFlowSnapshot", "GET", "/flows/{}/aliases/{}/executions/{}/flowsnapshot", AgentRuntime, Unary),
    row("GetFlowExecution", "GET", "/flows/{}/aliases/{}/executions/{}", AgentRuntime, Unary),
    row("GetIngestedDocumentAcl", "POST", "/knowledgebases/{}/datasources/{}/get-ingested-document-acl", AgentRuntime, Unary),
    row("GetInvocationStep", "POST", "/sessions/{}/invocationSteps/{}", AgentRuntime, Unary),
    row("GetSession", "GET", "/sessions/{}/", AgentRuntime, Unary),
    row("InvokeAgent", "POST", "/agents/{}/agentAliases/{}/sessions/{}/text", AgentRuntime, Stream),
    row("InvokeFlow", "POST", "/flows/{}/aliases/{}", AgentRuntime, Stream),
    row("InvokeInlineAgent", "POST", "/agents/{}", AgentRuntime, Stream),
    row("ListFlowExecutionEvents", "GET", "/flows/{}/aliases/{}/executions/{}/events", AgentRuntime, Unary),
    row("ListFlowExecutions", "GET", "/flows/{}/executions", AgentRuntime, Unary),
    row("ListInvocationSteps", "POST", "/sessions/{}/invocationSteps/", AgentRuntime, Unary),
    row("ListInvocations", "POST", "/sessions/{}/invocations/", AgentRuntime, Unary),
    row("ListSessions", "POST", "/sessions/", AgentRuntime, Unary),
    row("ListTagsForResource", "GET", "/tags/{}", AgentRuntime, Unary),
    row("OptimizePrompt", "POST", "/optimize-prompt", AgentRuntime, Stream),
    row("PutInvocationStep", "PUT", "/sessions/{}/invocationSteps/", AgentRuntime, Unary),
    row("Rerank", "POST", "/rerank", AgentRuntime, Unary),
    row("Retrieve", "POST", "/knowledgebases/{}/retrieve", AgentRuntime, Unary),
    row("RetrieveAndGenerate", "POST", "/retrieveAndGenerate", AgentRuntime, Unary),
    row("RetrieveAndGenerateStream", "POST", "/retrieveAndGenerateStream", AgentRuntime, Stream),
    row("StartFlowExecution", "POST", "/flows/{}/aliases/{}/executions", AgentRuntime, Unary),
    row("StopFlowExecution", "POST", "/flows/{}/aliases/{}/executions/{}/stop", AgentRuntime, Unary),
    row("TagResource", "POST", "/tags/{}", AgentRuntime, Unary),
    row("UntagResource", "DELETE", "/tags/{}", AgentRuntime, Unary),
    row("UpdateSession", "PUT", "/sessions/{}/", AgentRuntime, Unary),
    // bedrock
    row("ListFoundationModels", "GET", "/foundation-models", Control, Unary),
    row("GetFoundationModel", "GET", "/foundation-models/{}", Control, Unary),
    row("GetFoundationModelAvailability", "GET", "/foundation-model-availability/{}", Control, Unary),
    row("ListInferenceProfiles", "GET", "/inference-profiles", Control, Unary),
    row("GetInferenceProfile", "GET", "/inference-profiles/{}", Control, Unary),
    row("ListCustomModels", "GET", "/custom-models", Control, Unary),
    row("GetCustomModel", "GET", "/custom-models/{}", Control, Unary),
    row("ListImportedModels", "GET", "/imported-models", Control, Unary),
    row("GetImportedModel", "GET", "/imported-models/{}", Control, Unary),
    row("ListProvisionedModelThroughputs", "GET", "/provisioned-model-throughputs", Control, Unary),
    row("GetProvisionedModelThroughput", "GET", "/provisioned-model-throughput/{}", Control, Unary),
    row("ListPromptRouters", "GET", "/prompt-routers", Control, Unary),
    row("GetPromptRouter", "GET", "/prompt-routers/{}", Control, Unary),
    row("ListProjects", "GET", "/projects", Control, Unary),
    row("GetProject", "GET", "/projects/{}", Control, Unary),
    row("ListGuardrails", "GET", "/guardrails", Control, Unary),
    row("GetGuardrail", "GET", "/guardrails/{}", Control, Unary),
];

/// Operations of services that an operator may add.
const ADDED: [&[OperationRow]; 5] =
    [more::MORE, agentcore::ROWS, agentcore_control::ROWS, data_automation::ROWS, mantle::ROWS];

/// The active operations: the table, and those of the services added.
pub(crate) fn rows(added: &[Service]) -> impl Iterator<Item = &'static OperationRow> {
    let more = ADDED.iter().copied().flatten();
    TABLE.iter().chain(more.filter(|row| added.contains(&row.service)))
}

/// Whether an operation documents a query parameter with this name.
pub(crate) fn is_documented(parameter: &str) -> bool {
    [
        QUERY,
        more::QUERY,
        agentcore::QUERY,
        agentcore_control::QUERY,
        data_automation::QUERY,
        mantle::QUERY,
    ]
    .iter()
    .any(|names| names.contains(&parameter))
}

/// Query parameters that any of these operations documents; others are dropped.
const QUERY: &[&str] = &[
    "baseModelArnEquals",
    "byCustomizationType",
    "byInferenceType",
    "byOutputModality",
    "byProvider",
    "creationTimeAfter",
    "creationTimeBefore",
    "eventType",
    "flowAliasIdentifier",
    "foundationModelArnEquals",
    "guardrailIdentifier",
    "guardrailVersion",
    "isOwned",
    "maxItems",
    "maxResults",
    "memoryId",
    "memoryType",
    "modelArnEquals",
    "modelStatus",
    "nameContains",
    "nextToken",
    "projectIdentifier",
    "sessionId",
    "sortBy",
    "sortOrder",
    "statusEquals",
    "statusFilter",
    "submitTimeAfter",
    "submitTimeBefore",
    "tagKeys",
    "type",
];
