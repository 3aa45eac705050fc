"""Tags the wheel with the platform it is built on: a binary needs no newer C library than its builder's."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


class PlatformTag(BuildHookInterface):
    """Any Python 3 on this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        tags = list(platform_tags())
        # `linux_x86_64` says nothing about the C library, and PyPI takes no such wheel.
        portable = [tag for tag in tags if not tag.startswith("linux_")]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{(portable or tags)[0]}"
