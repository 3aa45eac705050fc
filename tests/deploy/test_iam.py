"""The IAM policies: actions and resources that exist, and an action for what the gateway calls."""

from __future__ import annotations

import json
import re
from pathlib import Path

import botocore.session
import pytest
from policy_sentry.querying.actions import get_action_data

from manifests import DEPLOY, ROOT

POLICIES = {path.stem: json.loads(path.read_text()) for path in sorted((DEPLOY / "iam").glob("*.json"))}
PERMISSIONS = {name: policy for name, policy in POLICIES.items() if not name.startswith("trust-")}
# Operations whose permission has another name; AWS's service authorization reference lists them.
ACTIONS = {
    "Converse": "InvokeModel",
    "ConverseStream": "InvokeModelWithResponseStream",
    "StartAsyncInvoke": "InvokeModel",
    "RetrieveAndGenerateStream": "RetrieveAndGenerate",
}
# Newer than the package's copy of the reference; they are operations of the service.
NEWER = {"InvokeGuardrailChecks"}
# Never passed through.
REFUSED = {"InvokeModelWithBidirectionalStream"}


def statements(policies: dict[str, dict]) -> list[tuple[str, dict]]:
    return [(name, statement) for name, policy in policies.items() for statement in policy["Statement"]]


def granted() -> set[str]:
    return {action for _, statement in statements(PERMISSIONS) for action in statement["Action"]}


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_has_the_current_version_and_allows_named_things(name: str) -> None:
    assert POLICIES[name]["Version"] == "2012-10-17"
    for statement in POLICIES[name]["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], "an action is named, never a pattern"


def matches(resource: str, format_: str) -> bool:
    """Whether a resource of a policy is one of a type of the reference."""
    pattern = re.escape(re.sub(r"\$\{\w+\}", "@", format_)).replace("@", "[^:]*")
    return re.fullmatch(pattern.replace("arn:[^:]*:", "arn:aws:", 1), resource) is not None


@pytest.mark.parametrize(("name", "statement"), statements(PERMISSIONS), ids=lambda value: value if isinstance(value, str) else value["Sid"])
def test_actions_exist_and_take_these_resources(name: str, statement: dict) -> None:
    for action in statement["Action"]:
        service, _, operation = action.partition(":")
        if operation in NEWER:
            assert operation in operations("bedrock-runtime")
            continue
        found = get_action_data(service, operation)
        assert found, f"{name}: {action} is unknown"
        formats = [each["resource_arn_format"] for each in found[service]]
        typed = [format_ for format_ in formats if format_ != "*"]
        for resource in statement["Resource"]:
            if resource == "*":
                assert not typed, f"{name}: {action} can be bound to resources"
    for resource in statement["Resource"]:
        if resource == "*":
            continue
        formats = [
            each["resource_arn_format"]
            for action in statement["Action"]
            for service, _, operation in [action.partition(":")]
            for each in get_action_data(service, operation)[service]
        ]
        assert any(matches(resource, format_) for format_ in formats), f"{name}: no action takes {resource}"


def test_unknown_actions_and_foreign_resources_are_found() -> None:
    """Guards against a reference that knows everything."""
    assert not get_action_data("bedrock", "InvokeModels")
    assert not matches("arn:aws:bedrock:us-east-1:123456789012:guardrail/g", "arn:${Partition}:bedrock:${Region}:${Account}:flow/${FlowId}")


def operations(service: str) -> set[str]:
    return set(botocore.session.get_session().get_service_model(service).operation_names)


def test_what_the_gateway_calls_for_models_is_granted() -> None:
    table = (ROOT / "crates/server/src/native/table.rs").read_text()
    served = set(re.findall(r'row\("(\w+)", "\w+", "[^"]+", Runtime,', table))
    assert served == operations("bedrock-runtime")
    wanted = {f"bedrock:{ACTIONS.get(name, name)}" for name in served - REFUSED}
    assert wanted <= granted(), wanted - granted()


def test_permissions_of_the_documentation_are_granted() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    wanted = set(re.findall(r"`(bedrock(?:-\w+)?:\w+)`", page))
    assert len(wanted) >= 10 and wanted <= granted(), wanted - granted()


def test_every_policy_is_documented() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    for name in POLICIES:
        assert f"iam/{name}.json" in page, name


def test_trust_is_bound_to_the_service_account() -> None:
    (irsa,) = POLICIES["trust-irsa"]["Statement"]
    (subject,) = [value for key, value in irsa["Condition"]["StringEquals"].items() if key.endswith(":sub")]
    assert subject == "system:serviceaccount:outcrop:outcrop"
    (pod,) = POLICIES["trust-pod-identity"]["Statement"]
    assert pod["Principal"] == {"Service": "pods.eks.amazonaws.com"} and pod["Condition"]
