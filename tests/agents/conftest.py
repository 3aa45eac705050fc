"""Fixtures of the suite around coding agents: the demo gateway, and no way to the internet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forward_proxy import ForwardProxy

pytest_plugins = ["outcrop_fixtures"]


@pytest.fixture()
def closed_internet() -> Iterator[ForwardProxy]:
    """A proxy that refuses every name and remembers which were asked for."""
    with ForwardProxy({}) as proxy:
        yield proxy
