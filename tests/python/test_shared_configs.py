"""Configuration files and environments after public reports, played against the binary where their folder is there."""

from __future__ import annotations

from pathlib import Path

import pytest

import shared_config_checks
import shared_native_checks
from shared_cases import Case, needed
from shared_configs import World, config_cases, native_cases


@pytest.mark.parametrize("case", native_cases())
def test_native(case: Case | None, tmp_path: Path) -> None:
    case = needed(case)
    assert case["kind"] in shared_native_checks.CHECKS, f"no check for {case['kind']}: {case['expected']}"
    with World(case, tmp_path) as world:
        shared_native_checks.CHECKS[case["kind"]](case, world)


@pytest.mark.parametrize("case", config_cases())
def test_config(case: Case | None, tmp_path: Path) -> None:
    case = needed(case)
    assert case["id"] in shared_config_checks.CHECKS, f"no check for {case['id']}: {case['expected']}"
    with World(case, tmp_path) as world:
        shared_config_checks.CHECKS[case["id"]](world)
