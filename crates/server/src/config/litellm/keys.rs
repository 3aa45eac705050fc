//! LiteLLM's keys that are recognised and have no effect here (yet), and Outcrop's root keys, which do
//! not belong in LiteLLM's file. Source: litellm 1.106.2.

/// The reason of keys that would limit something.
const UNENFORCED: &str = "this version does not enforce it: the limit is open";

/// Keys at the root.
pub(super) const ROOT: &[&str] = &[
    "assistant_settings",
    "cache_params",
    "callback_settings",
    "files_settings",
    "finetune_settings",
    "mcp_servers",
    "prompts",
    "search_tools",
    "vector_store_registry",
];

/// Keys beside `model_name`.
pub(super) const ENTRY: &[&str] = &["model_info", "access_groups"];

/// Keys in `litellm_params`.
pub(super) const PARAMS: &[&str] = &[
    "additional_drop_params",
    "allowed_openai_params",
    "cache_control_injection_points",
    "configurable_clientside_auth_params",
    "input_cost_per_second",
    "merge_reasoning_content_in_choices",
    "mock_response",
    "modify_params",
    "n",
    "output_cost_per_second",
    "region_name",
    "response_format",
    "stream",
    "tag_regex",
    "tool_choice",
    "tools",
    "use_in_pass_through",
];

/// Keys in `model_info`.
pub(super) const INFORMATION: &[&str] = &[
    "access_groups",
    "created_at",
    "db_model",
    "description",
    "id",
    "key",
    "litellm_provider",
    "max_input_tokens",
    "max_output_tokens",
    "max_tokens",
    "mode",
    "supports_function_calling",
    "supports_vision",
    "tier",
    "version",
];

/// Keys in `router_settings`, by the reason why they have no effect.
pub(super) const ROUTER: &[(&str, &[&str])] = &[
    ("connections are kept for as long as they are used", &["client_ttl"]),
    ("answers are not kept here", &["cache_kwargs", "cache_responses", "caching_groups"]),
    ("rpm and tpm count anyway, and Bedrock judges what is too long", &["enable_pre_call_checks"]),
    (
        "calls that begin alike keep to their target anyway",
        &[
            "deployment_affinity_ttl_seconds",
            "model_group_affinity_config",
            "optional_pre_call_checks",
        ],
    ),
    ("another target is tried first anyway", &["enable_weighted_failover"]),
    (
        "the kind of a failure decides what is tried again and what counts against a target",
        &["allowed_fails_policy", "model_group_retry_policy", "retry_policy"],
    ),
    ("num_retries is what counts", &["max_retries"]),
    ("tags are read as they are", &["tag_routing_prefix"]),
    (
        "the calls themselves show how a target does",
        &[
            "background_health_check_model_groups",
            "enable_health_check_routing",
            "health_check_ignore_transient_errors",
            "health_check_staleness_threshold",
        ],
    ),
    (
        "there is no queue of requests here",
        &["default_max_parallel_requests", "default_priority", "polling_interval"],
    ),
    ("RUST_LOG sets the log's level", &["debug_level", "set_verbose"]),
    (
        "it is about a part of LiteLLM that has no counterpart here",
        &[
            "alerting_config",
            "assistants_config",
            "auto_router_capability_limit",
            "default_litellm_params",
            "fallback_access_check",
            "fallback_budget_check",
            "guardrail_list",
            "ignore_invalid_deployments",
            "model_list",
            "plugins",
            "provider_budget_config",
            "router_general_settings",
            "routing_groups",
            "routing_strategy_args",
            "search_tools",
        ],
    ),
];

/// Keys in `litellm_params` that concern routing, by the reason why they have no effect.
pub(super) const SPREADING: &[(&str, &[&str])] = &[
    (
        "retries and cooldowns are the same for all names, from router_settings or by default",
        &["cooldown_time", "max_retries", "num_retries"],
    ),
    ("rpm and tpm are what counts", &["itpm", "max_parallel_requests", "otpm"]),
    (UNENFORCED, &["budget_duration", "max_budget"]),
];

/// Keys in `litellm_settings`.
pub(super) const LITELLM: &[&str] = &[
    "callbacks",
    "failure_callback",
    "force_ipv4",
    "forward_traceparent_to_llm_provider",
    "json_logs",
    "langfuse_default_tags",
    "modify_params",
    "num_retries_per_request",
    "service_callback",
    "set_verbose",
    "ssl_verify",
    "success_callback",
    "telemetry",
    "turn_off_message_logging",
];

/// Keys in `general_settings`, by the reason why they have no effect.
pub(super) const GENERAL_WITH_REASON: &[(&str, &[&str])] = &[
    (
        "there is no such job here: budgets begin anew by the clock, and each call writes its row and counters",
        &[
            "proxy_batch_write_at",
            "proxy_budget_rescheduler_max_time",
            "proxy_budget_rescheduler_min_time",
            "scheduled_job_stagger",
            "use_redis_transaction_buffer",
            "use_spend_logs_ledger",
        ],
    ),
    ("rows of calls are what budgets are counted from", &["disable_spend_logs"]),
    (
        "while Redis is away, each process counts rate limits for itself",
        &["fail_closed_rate_limit_enforcement"],
    ),
    (
        UNENFORCED,
        &["allowed_routes", "enforced_params", "max_request_size_mb", "max_response_size_mb"],
    ),
];

/// Keys in `litellm_settings`, by the reason why they have no effect.
pub(super) const LITELLM_WITH_REASON: &[(&str, &[&str])] = &[(
    "no callbacks are told of calls, and the log names keys by their ids",
    &["redact_user_api_key_info"],
)];

/// Keys in `general_settings`.
pub(super) const GENERAL: &[&str] = &[
    "alerting",
    "alerting_threshold",
    "background_health_checks",
    "completion_model",
    "disable_master_key_return",
    "disable_retry_on_max_parallel_request_limit_error",
    "drain_endpoint_token",
    "enable_drain_endpoint",
    "enable_jwt_auth",
    "health_check_details",
    "health_check_interval",
    "infer_model_from_keys",
    "key_management_settings",
    "key_management_system",
    "pass_through_endpoints",
    "public_routes",
    "store_model_in_db",
    "store_prompts_in_spend_logs",
    "ui_access_mode",
    "use_client_credentials_pass_through_routes",
    "use_google_kms",
    "use_azure_key_vault",
    "use_x_forwarded_for",
];

/// Root keys of Outcrop's format.
pub(super) const OURS: &[&str] = &[
    "allowed_hosts",
    "cors",
    "access",
    "admin",
    "allow_anonymous",
    "body",
    "catalogue",
    "chat",
    "cross_region",
    "data_dir",
    "database_url",
    "database_url_file",
    "prompt_cache",
    "response_cache",
    "defaults",
    "embeddings",
    "media",
    "moderation",
    "files",
    "batches",
    "native",
    "eol_aliases",
    "keys",
    "listen",
    "master_key",
    "master_key_file",
    "models",
    "models_only",
    "profile",
    "region",
    "responses",
    "routing",
    "shutdown",
    "overload",
    "socket",
    "structured_output",
    "telemetry",
    "log",
    "thinking_memory",
    "timeouts",
    "tls",
    "unsupported_params",
    "workers",
];
