"""The table of Bedrock's operations against the service models of the pinned botocore.

Each difference is named: a missing operation, path, query parameter or header, and one that no longer
exists.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import botocore.session
import pytest
from botocore.model import ServiceModel

SOURCES = Path(__file__).parents[2] / "crates/server/src/native"
SERVICES = {
    "bedrock-runtime": "Runtime",
    "bedrock-agent-runtime": "AgentRuntime",
    "bedrock": "Control",
    "bedrock-agent": "Agent",
    "bedrock-agentcore": "AgentCore",
    "bedrock-agentcore-control": "AgentCoreControl",
    "bedrock-data-automation": "DataAutomation",
    "bedrock-data-automation-runtime": "DataAutomationRuntime",
}
# The files of the table, without that of bedrock-mantle, which has no service model.
FILES = (
    "table.rs",
    "table/more.rs",
    "table/agentcore.rs",
    "table/agentcore_control.rs",
    "table/data_automation.rs",
)
ROW = re.compile(r'^    row\("(\w+)", "(\w+)", "([^"]+)", (\w+), (\w+)\),$', re.MULTILINE)
# Services that are relayed in full by default; of the others the table has some operations.
ALWAYS = ("bedrock-runtime", "bedrock-agent-runtime")


class Operation(NamedTuple):
    """A row of the table, or an expected row."""

    name: str
    method: str
    template: str
    service: str
    kind: str


def source(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")


def written() -> list[Operation]:
    """Every row; a model id has a path segment of its own only in the gateway."""
    found = [row for name in FILES for row in ROW.findall(source(name))]
    return [Operation(*row)._replace(template=row[2].replace("{model}", "{}")) for row in found]


def model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def modelled(service: str) -> list[Operation]:
    """The rows required by a service model."""
    found = []
    described = model(service)
    for name in described.operation_names:
        operation = described.operation_model(name)
        template = re.sub(r"\{[^}]+\}", "{}", operation.http["requestUri"].split("?")[0])
        kind = "Stream" if operation.has_event_stream_output else "Unary"
        found.append(Operation(name, operation.http["method"], template, SERVICES[service], kind))
    return found


def located(service: str, place: str) -> dict[str, set[str]]:
    """Names of request members in one part of the request, with their operations."""
    found: dict[str, set[str]] = {}
    described = model(service)
    for name in described.operation_names:
        shape = described.operation_model(name).input_shape
        for member in shape.members.values() if shape else ():
            if member.serialization.get("location") == place:
                found.setdefault(member.serialization["name"], set()).add(name)
    return found


def test_the_whole_table_was_read() -> None:
    assert len(written()) == sum(source(name).count("    row(") for name in FILES)
    names = [(row.service, row.name) for row in written()]
    assert sorted(set(names)) == sorted(names), "an operation stands in the table twice"


@pytest.mark.parametrize("service", SERVICES)
def test_no_operation_is_missing_and_none_is_invented(service: str) -> None:
    expected = set(modelled(service))
    rows = {row for row in written() if row.service == SERVICES[service]}
    assert not expected - rows, f"missing: {sorted(expected - rows)}"
    assert not rows - expected, f"unknown to botocore: {sorted(rows - expected)}"


@pytest.mark.parametrize("service", ALWAYS)
def test_the_runtimes_are_relayed_by_default(service: str) -> None:
    always = {row[0] for row in ROW.findall(source("table.rs")) if row[3] == SERVICES[service]}
    assert not set(model(service).operation_names) - always


def test_every_query_parameter_is_listed_and_no_other() -> None:
    known: set[str] = set()
    for name in FILES:
        block = re.search(r"const QUERY: &\[&str\] = &\[(.*?)\];", source(name), re.DOTALL)
        assert block, name
        known |= set(re.findall(r'"(\w+)"', block[1]))
    asked = {parameter: service for service in SERVICES for parameter in located(service, "querystring")}
    assert not set(asked) - known, f"missing: { {name: asked[name] for name in set(asked) - known} }"
    assert not known - set(asked), f"unknown to botocore: {sorted(known - set(asked))}"


def test_every_request_header_passes() -> None:
    outside = re.search(r"const REQUEST: &\[&str\] = &\[(.*?)\];", source("headers.rs"), re.DOTALL)
    assert outside
    family = re.search(r'const FAMILY: &str = "([^"]+)";', source("headers.rs"))
    assert family
    shared = {"accept", "content-type", *re.findall(r'"([^"]+)"', outside[1])}
    agentcore = re.search(r"const AGENTCORE: &\[&str\] = &\[(.*?)\];", source("headers.rs"), re.DOTALL)
    assert agentcore
    for service in SERVICES:
        known = shared | (set(re.findall(r'"([^"]+)"', agentcore[1])) if service == "bedrock-agentcore" else set())
        for header, operations in located(service, "header").items():
            name = header.lower()
            assert name in known or name.startswith(family[1]), f"{header} of {sorted(operations)} is dropped"


def test_no_service_of_the_family_is_unknown() -> None:
    offered = {name for name in botocore.session.get_session().get_available_services() if name.startswith("bedrock")}
    assert offered == set(SERVICES), "a service is not passed through"


def test_the_named_source_is_the_pinned_one() -> None:
    for name in FILES:
        assert f"Source: botocore {botocore.__version__}." in source(name), name
