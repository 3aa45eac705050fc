// Texts of the console, in one place.

export const SCREENS = /** @type {[string, string, string][]} */ ([
  ["overview", "Overview", "o"], ["keys", "Keys", "k"], ["models", "Models", "m"], ["requests", "Requests", "r"],
  ["playground", "Playground", "p"],
]);

export const FILTER_NAMES = /** @type {Record<string, string>} */ ({
  key: "Key", team: "Team", user: "User", end_user: "End user", model: "Model", region: "Region", tag: "Tag",
  status: "Status", code: "Error", session: "Session", id: "Request",
});

export const GROUPS = /** @type {[string, string][]} */ ([
  ["model", "Model"], ["key", "Key"], ["team", "Team"], ["user", "User"], ["end_user", "End user"], ["tag", "Tag"],
  ["region", "Region"], ["status", "Outcome"],
]);

export const METRICS = /** @type {[string, string][]} */ ([["spend", "Spend"], ["requests", "Requests"], ["tokens", "Tokens"]]);

export const STATES = /** @type {Record<string, [string, string]>} */ ({
  running: ["◌ running", "quiet"], settled: ["✓ done", "fine"], voided: ["✕ failed", "bad"],
  estimated: ["≈ cut off", "warn"], refused: ["⊘ refused", "bad"],
});

export const HEALTH = /** @type {Record<string, [string, string, string]>} */ ({
  unused: ["○ not called", "quiet", "No call of this process since it started."],
  healthy: ["✓ healthy", "fine", "Calls succeed."],
  probing: ["◌ probing", "warn", "One call finds out whether it is healthy again."],
  throttled: ["▲ throttled", "warn", "Bedrock throttles it; other targets are called first."],
  open: ["✕ left out", "bad", "Its calls fail; the circuit breaker is open for a while."],
});

export const STAGES = /** @type {Record<string, [string, string]>} */ ({
  active: ["✓ active", "fine"], legacy: ["▲ legacy", "warn"], end_of_life: ["✕ ended", "bad"], unknown: ["– unknown", "quiet"],
});

export const EMPTY = {
  calls: "No calls in this time. Make one: curl BASE/v1/chat/completions -H 'authorization: Bearer KEY' …, or use the Playground.",
  keys: "No keys yet. Make one with “New key”, or: outcrop keys create --alias ana",
  requests: "No requests match. Widen the time or remove a filter.",
  budgets: "No budget is above 80 %.",
  refusals: "No call was refused.",
};

export const HELP = /** @type {[string, string][]} */ ([
  ["g o", "Overview"], ["g k", "Keys"], ["g m", "Models"], ["g r", "Requests"], ["g p", "Playground"],
  ["/", "To the filter or search field"], ["r", "Read again"], ["Escape", "Close details"], ["?", "This help"],
]);

export const CONTENT_NOT_KEPT =
  "Texts of requests and answers are not kept here. The request log can keep them elsewhere (telemetry.requests), by the same id.";
