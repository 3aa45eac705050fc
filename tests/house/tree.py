"""The repository as the checks see it: files that are or would be tracked, manifests, the lock file."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rust_source import RustSource

try:
    import tomllib
except ImportError:  # Python 3.10 brings it inside pip.
    from pip._vendor import tomli as tomllib  # type: ignore[no-redef]

PACKAGE = re.compile(r'^name = "(?P<name>[^"]+)"\nversion = "(?P<version>[^"]+)"', re.MULTILINE)


@dataclass(frozen=True, order=True)
class Finding:
    """Something against the rules: where, what, and what to do about it."""

    path: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}\n    -> {self.remedy}"


class Tree:
    """A repository at `root`. `built` says whether a locked package is ever compiled."""

    def __init__(self, root: Path, built: Callable[[str, str], bool] | None = None) -> None:
        self.root = root
        self.built = built or self.in_dependency_graph
        self.sources: dict[str, RustSource] = {}

    @cached_property
    def files(self) -> list[str]:
        """Every file git tracks or would take in, relative, sorted."""
        if (self.root / ".git").exists():
            listed = subprocess.run(
                ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                cwd=self.root,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split("\0")
            return sorted({name for name in listed if name and (self.root / name).is_file()})
        return sorted(
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()
        )

    def text(self, name: str) -> str | None:
        """The text of a file; `None` when there is none or it is not text."""
        try:
            return (self.root / name).read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def rust(self, *prefixes: str) -> list[str]:
        """Rust files below any of the prefixes."""
        return [n for n in self.files if n.endswith(".rs") and n.startswith(prefixes or ("",))]

    def source(self, name: str) -> RustSource:
        """A Rust file, parsed once."""
        if name not in self.sources:
            self.sources[name] = RustSource(self.text(name) or "")
        return self.sources[name]

    def manifest(self, name: str) -> dict[str, Any] | None:
        """A TOML file."""
        text = self.text(name)
        return None if text is None else tomllib.loads(text)

    def line_of(self, name: str, needle: str) -> int:
        """The first line of a file that holds `needle`, or 1."""
        for number, line in enumerate((self.text(name) or "").splitlines(), 1):
            if needle in line:
                return number
        return 1

    def executable(self, name: str) -> bool:
        """Whether a file exists and may be executed."""
        return os.access(self.root / name, os.X_OK)

    def locked(self) -> list[tuple[str, str, int]]:
        """Every package of the lock file: name, version, line."""
        text = self.text("Cargo.lock") or ""
        return [
            (match["name"], match["version"], text.count("\n", 0, match.start()) + 1)
            for match in PACKAGE.finditer(text)
        ]

    def in_dependency_graph(self, name: str, version: str) -> bool:
        """Whether cargo would ever compile the package: the lock also lists optional ones."""
        asked = ["cargo", "tree", "--locked", "--workspace", "--all-features", "--target", "all"]
        result = subprocess.run(
            [*asked, "--edges", "all", "--invert", f"{name}@{version}"],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode != 0 or bool(result.stdout.strip())
