#!/usr/bin/env python3
"""The house rules that tools can keep: boundaries between crates, sizes, names, what is refused.

`check.py [ROOT]` prints every finding as file:line with its remedy, and fails if there is one.
Adding a rule is adding a function to `CHECKS`, and a violating sample to test_check.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import code_map
from cases import cases_have_tests
from modules import no_module_cycle, one_public_definition
from promises import promises_have_tests
from prose import plain_prose, short_papers
from tree import Finding, Tree

MAX_FILE = 500
MAX_FUNCTION = 100
MAX_PARAMETERS = 5
# Data in the clothes of code may be long.
TABLES = re.compile(r"(^|/)(fixtures|tables?|snapshots)(/|\.rs$)")
COUNTED = (".rs", ".py", ".mjs")

WORKSPACE_CRATES = {"schema", "translate", "access", "bedrock", "routing", "emulator", "outcrop"}
MAY_DEPEND_ON = {
    "schema": set(),
    "translate": {"schema"},
    "access": set(),
    "bedrock": set(),
    "routing": {"schema", "translate", "access", "bedrock"},
    "emulator": set(),
    "server": {"schema", "translate", "access", "bedrock", "routing", "emulator"},
}
# What judges a crate in its tests may be what it must not be built with.
MAY_TEST_WITH = {"bedrock": {"emulator"}}
PURE_DEPENDENCIES = {
    "schema": {"serde", "serde_json", "bytes"},
    "translate": {"schema", "bytes", "serde", "serde_json", "thiserror"},
}
EMULATOR_REFUSES = re.compile(r"^(aws-|hyper)")

SOURCES = tuple(f"crates/{crate}/src/" for crate in MAY_DEPEND_ON)
AWS_HOME = "crates/bedrock/src/"
ACTIX_FREE = ("access", "bedrock", "routing")
EMULATOR_HOMES = ("crates/server/src/main.rs", "crates/server/src/cli.rs", "crates/server/src/cli/")
IMPURE = re.compile(r"\b(actix\w*|tokio|hyper\w*|aws_\w+|log|rand|reqwest|getrandom|uuid)\s*::")
DIALECT_FREE = ("crates/translate/src/parts.rs", "crates/translate/src/parts/")
DIALECT = re.compile(r"\bschema\s*::\s*(?:\{[^;]*?\b)?(openai|anthropic)\b")
IMPURE_STD = ("time", "env", "fs", "net", "process", "thread")
STD_PATH = re.compile(r"\b(?:std|core)\s*::\s*(?:(\w+)|\{([^;]*?)\}\s*;)")
MODEL_NAMES = re.compile(
    r"\b(claude|anthropic|nova|titan|amazon|cohere|llama\d*|mistral|mixtral|pixtral|deepseek|qwen\w*"
    r"|jamba|ai21|palmyra|gemma|kimi|moonshot|minimax|nemotron|gpt-\w+|grok|glm)\b",
    re.IGNORECASE,
)
# In two parts, so that this file has none.
CONFLICT = ("<" * 7, ">" * 7)
REFUSED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers"}
UNFINISHED = re.compile(r"\b(todo|unimplemented)\s*!")
IGNORED = re.compile(r"#\s*\[\s*(cfg_attr\([^\]]*)?\bignore\b")
REFUSED_CRATES = {
    "openssl": "", "openssl-sys": "", "native-tls": "", "ring": "", "serde_yaml": "",
    "h2": "0.3.", "hyper": "0.14.", "rustls": "0.21.",
}
# Spelled in pieces, or this file would find itself.
MACHINE_PATHS = re.compile("|".join(["/wo" + "rk/", "/tmp/out" + "crop", "/ro" + r"ot/(?!\.cargo)", "/ho" + r"me/[a-z]"]))
MAP = "ARCHITECTURE.md"
README_COMMANDS = ("cargo run --release -- --demo", "./tests/run")


def dependency_tables(tree: Tree) -> Iterator[Finding]:
    """Which crate may depend on which."""
    for crate, allowed in MAY_DEPEND_ON.items():
        name = f"crates/{crate}/Cargo.toml"
        manifest = tree.manifest(name)
        if manifest is None:
            yield Finding(name, 1, "the manifest is missing", "restore the crate or its boundary rules")
            continue
        tables = [manifest, *manifest.get("target", {}).values()]
        normal = {d for t in tables for d in [*t.get("dependencies", {}), *t.get("build-dependencies", {})]}
        test_only = {d for t in tables for d in t.get("dev-dependencies", {})}
        for found in sorted(normal & WORKSPACE_CRATES - allowed | test_only & WORKSPACE_CRATES - allowed - MAY_TEST_WITH.get(crate, set())):
            line = tree.line_of(name, found)
            yield Finding(name, line, f"{crate} depends on {found}", "keep the boundary: see ARCHITECTURE.md")
        if crate in PURE_DEPENDENCIES:
            for found in sorted(normal - PURE_DEPENDENCIES[crate] - WORKSPACE_CRATES):
                line = tree.line_of(name, found)
                yield Finding(name, line, f"{crate} depends on {found}", "this crate is pure: pass in what varies")
        if crate == "emulator":
            for found in sorted(d for d in normal if EMULATOR_REFUSES.match(d)):
                line = tree.line_of(name, found)
                yield Finding(name, line, f"the emulator depends on {found}", "it is judged by that code, so it must not use it")


def aws_at_home(tree: Tree) -> Iterator[Finding]:
    """The AWS crates are named only by the transport."""
    for name in tree.rust(*SOURCES):
        if not name.startswith(AWS_HOME):
            yield from grep_code(tree, name, re.compile(r"\b(aws_(?!lc_rs)[a-z0-9_]+)\s*::|\buse\s+(aws_(?!lc_rs)\w+)"), "names an AWS crate", "go through the crate bedrock")


def actix_in_front(tree: Tree) -> Iterator[Finding]:
    """The HTTP front is unknown to the parts behind it."""
    for part in ACTIX_FREE:
        for name in tree.rust(f"crates/{part}/src/"):
            yield from grep_code(tree, name, re.compile(r"\b(actix_\w+)\b"), "names actix", "return a typed value; routes and error.rs speak HTTP")


def emulator_in_the_cli(tree: Tree) -> Iterator[Finding]:
    """The gateway knows the emulator only where the command line starts it."""
    for name in tree.rust("crates/server/src/"):
        if not name.startswith(EMULATOR_HOMES):
            yield from grep_code(tree, name, re.compile(r"\b(emulator)\s*::|\buse\s+(emulator)\b"), "names the emulator", "start it in the CLI and pass an address")


def translate_is_pure(tree: Tree) -> Iterator[Finding]:
    """No IO, clock, randomness, environment or logging in the translator."""
    remedy = "translation is pure: take it as a value"
    for name in tree.rust("crates/translate/src/"):
        yield from grep_code(tree, name, IMPURE, "is impure", remedy)
        source = tree.source(name)
        for match in STD_PATH.finditer(source.code):
            if match[1]:
                words = {match[1]}
            else:
                words = {part.strip().split("::")[0].strip() for part in match[2].split(",")}
            for word in sorted(words & set(IMPURE_STD)):
                yield Finding(name, source.line(match.start()), f"std::{word} is impure", remedy)


def parts_know_no_dialect(tree: Tree) -> Iterator[Finding]:
    """The parts that dialects share take neutral inputs."""
    for name in tree.rust(*DIALECT_FREE):
        yield from grep_code(tree, name, DIALECT, "is a dialect's", "take a neutral input; the dialect's own folder makes it")


def translate_names_no_model(tree: Tree) -> Iterator[Finding]:
    """What differs between models is data in the catalogue."""
    for name in tree.rust("crates/translate/src/"):
        if TABLES.search(name) or name.endswith("/tests.rs") or "/tests/" in name:
            continue
        source = tree.source(name)
        for literal in source.literals:
            match = MODEL_NAMES.search(literal.text)
            if match and not source.in_tests(literal.offset):
                yield Finding(name, source.line(literal.offset), f'the literal "{literal.text[:40]}" names {match[0]}', "make it a knob of Profile and a row of config/models.toml")


def sizes(tree: Tree) -> Iterator[Finding]:
    """Files and functions that can be read in one go."""
    for name in tree.files:
        if not name.endswith(COUNTED) or TABLES.search(name):
            continue
        text = tree.text(name) or ""
        count = text.count("\n") + (not text.endswith("\n") and bool(text))
        if count > MAX_FILE:
            yield Finding(name, MAX_FILE, f"{count} lines", f"split it: {MAX_FILE} is the ceiling")
        if name.endswith(".rs"):
            for function in tree.source(name).functions():
                if function.lines > MAX_FUNCTION:
                    yield Finding(name, function.first, f"fn {function.name} has {function.lines} lines", f"split it: {MAX_FUNCTION} is the ceiling")


def parameters(tree: Tree) -> Iterator[Finding]:
    """At most five parameters, the receiver aside: a context is a type."""
    for name in tree.rust(*SOURCES):
        for function in tree.source(name).functions():
            if function.parameters > MAX_PARAMETERS:
                yield Finding(name, function.first, f"fn {function.name} has {function.parameters} parameters", f"give the context a type: {MAX_PARAMETERS} is the ceiling")


def module_names(tree: Tree) -> Iterator[Finding]:
    """Modules are named after what they hold, and `foo.rs` stands beside `foo/`."""
    for name in tree.rust():
        path = Path(name)
        if path.name == "mod.rs":
            yield Finding(name, 1, "mod.rs", f"name it {path.parent.name}.rs beside the folder")
        for part in {path.stem, *path.parts[:-1]} & REFUSED_NAMES:
            yield Finding(name, 1, f"a module called {part}", "name it after what it holds")
        source = tree.source(name)
        for match in re.finditer(r"\bmod\s+(\w+)\s*\{", source.code):
            if match[1] in REFUSED_NAMES:
                yield Finding(name, source.line(match.start()), f"a module called {match[1]}", "name it after what it holds")


def module_docs(tree: Tree) -> Iterator[Finding]:
    """Every module opens by saying why it exists."""
    for name in tree.rust("crates/"):
        lines = [line.strip() for line in (tree.text(name) or "").splitlines()]
        first = next((line for line in lines if line and not line.startswith("#![")), "")
        if not first.startswith("//!"):
            yield Finding(name, 1, "no //! at the top", "open with one to five lines saying why the module exists")


def nothing_unfinished(tree: Tree) -> Iterator[Finding]:
    """No stubs and no tests that do not run."""
    for name in tree.rust():
        yield from grep_code(tree, name, UNFINISHED, "is unfinished", "finish it, or take it out")
        source = tree.source(name)
        for match in IGNORED.finditer(source.code):
            yield Finding(name, source.line(match.start()), "a test that is not run", "run it, or take it out")


def refused_crates(tree: Tree) -> Iterator[Finding]:
    """One TLS stack, one hyper, nothing abandoned."""
    if not tree.locked():
        yield Finding("Cargo.lock", 1, "no packages", "commit the lock file")
    for name, version, line in tree.locked():
        prefix = REFUSED_CRATES.get(name)
        if prefix is not None and version.startswith(prefix) and tree.built(name, version):
            yield Finding("Cargo.lock", line, f"{name} {version} is refused", f"cargo tree -i {name}@{version} shows who asks for it; drop the feature")


def no_conflict_markers(tree: Tree) -> Iterator[Finding]:
    """No change is half merged."""
    for name in tree.files:
        for number, line in enumerate((tree.text(name) or "").splitlines(), 1):
            if line.startswith(CONFLICT):
                yield Finding(name, number, "a conflict marker", "keep one side")


def no_machine_paths(tree: Tree) -> Iterator[Finding]:
    """Nothing of the machine it was written on."""
    for name in tree.files:
        for number, line in enumerate((tree.text(name) or "").splitlines(), 1):
            if match := MACHINE_PATHS.search(line):
                yield Finding(name, number, f"the path {match[0]}...", "use a relative path or an environment variable")


def commands(tree: Tree) -> Iterator[Finding]:
    """The two commands exist, and README.md and CI use them."""
    for name in ("tests/run", ".ci/run"):
        if not tree.executable(name):
            yield Finding(name, 1, "not executable or not there", f"chmod +x {name}")
    if "tests/run" not in (tree.text(".ci/run") or ""):
        yield Finding(".ci/run", 1, "does not call tests/run", "CI and developers run the same command")
    readme = tree.text("README.md") or ""
    for command in README_COMMANDS:
        if command not in readme:
            yield Finding("README.md", 1, f"does not say `{command}`", "tell the newcomer")


def map_is_true(tree: Tree) -> Iterator[Finding]:
    """What the map in ARCHITECTURE.md names exists."""
    entries = code_map.entries(tree.text(MAP) or "")
    if not entries:
        yield Finding(MAP, 1, "no map", "add a heading `The map` with a fenced tree below it")
    for entry in entries:
        paths = [tree.root / entry.path, tree.root / f"{entry.path}.rs"]
        if "*" not in entry.path and not any(path.exists() for path in paths):
            yield Finding(MAP, entry.line, f"{entry.path} does not exist", "correct the map")


def grep_code(tree: Tree, name: str, pattern: re.Pattern[str], what: str, remedy: str) -> Iterator[Finding]:
    """One finding for each match in a file's code, comments and strings aside."""
    source = tree.source(name)
    for match in pattern.finditer(source.code):
        shown = next((group for group in match.groups() if group), match[0])
        yield Finding(name, source.line(match.start()), f"`{shown.strip()}` {what} here", remedy)


CHECKS: list[Callable[[Tree], Iterator[Finding]]] = [
    dependency_tables, aws_at_home, actix_in_front, emulator_in_the_cli, translate_is_pure,
    parts_know_no_dialect, translate_names_no_model, sizes, module_names, module_docs, nothing_unfinished, refused_crates,
    no_conflict_markers, no_machine_paths, commands, map_is_true, cases_have_tests, no_module_cycle, one_public_definition,
    parameters, plain_prose, short_papers, promises_have_tests,
]


def main() -> int:
    """Runs every check and prints what it found."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    tree = Tree(root)
    total = 0
    for check in CHECKS:
        findings = sorted(set(check(tree)))
        total += len(findings)
        print(f"{'FAIL' if findings else 'ok  '} {check.__name__}: {(check.__doc__ or '').strip()}")
        for finding in findings:
            print(f"  {finding}")
    print(f"house: {len(CHECKS)} checks over {len(tree.files)} files, {total} findings")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
