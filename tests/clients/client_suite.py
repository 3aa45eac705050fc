"""The pytest plugin of the three client projects: fixtures of the gateway, and what cannot pass."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import openai
import pytest

from cannot_pass import REASONS
from outcrop_process import Outcrop

pytest_plugins = ["outcrop_fixtures"]

# What clients make of a 400; not every project has Anthropic's package.
REFUSED: tuple[type[Exception], ...] = (openai.BadRequestError,)
if find_spec("anthropic"):
    REFUSED += (import_module("anthropic").BadRequestError,)

# Nothing here may phone home or fetch a price list; set before any client is imported.
os.environ.update(
    {
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LANGCHAIN_TRACING_V2": "false",
        "LANGSMITH_TRACING": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "HF_HUB_OFFLINE": "1",
        "OPENAI_API_KEY": "any",
    }
)


@pytest.fixture(scope="session")
def base_url(gateway: Outcrop) -> str:
    """What a user writes into a client's settings."""
    return f"{gateway.url}/v1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what is known to fail, and refuses entries that name nothing."""
    project = Path(config.rootpath).name
    collected = {item.nodeid.split("::")[0] for item in items}
    stale = []
    by_name = {item.nodeid: item for item in items}
    for name, reason in REASONS.items():
        owner, _, node = name.partition("/")
        file = node.split("::")[0]
        if owner != project:
            continue
        if node in by_name:
            refused = pytest.mark.xfail(raises=REFUSED, reason=reason, strict=True)
            by_name[node].add_marker(refused)
        elif file in collected or not Path(config.rootpath, file).exists():
            stale.append(name)
    narrowed = config.option.keyword or any("::" in given for given in config.args)
    if stale and not narrowed:
        raise pytest.UsageError(f"cannot_pass.py names tests that are not there: {stale}")
