"""The checks checked: each finds the violation in a sample tree, and none finds fault with a sound one."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import check
import code_map
from rust_source import RustSource
from promises import IDS
from tree import Tree

DOC = "//! States a fact.\n"
README = """# Outcrop
Run `cargo run --release -- --demo`, test `./tests/run`.

"""
MAP = """# Architecture

## The map
```
crates/
  schema/          the wires
  server/
    src/routes/    the front doors
tests/{run,house}  the tests
```
"""
SOUND = {
    "README.md": README,
    "ARCHITECTURE.md": MAP,
    "CONTRIBUTING.md": "# Contributing\n",
    "Cargo.lock": '[[package]]\nname = "hyper"\nversion = "1.12.0"\n\n[[package]]\nname = "ring"\nversion = "0.17.14"\n',
    "tests/run": "#!/bin/sh\n",
    "tests/house/x.py": "pass\n",
    ".ci/run": "#!/bin/sh\nexec ./tests/run\n",
    "crates/schema/Cargo.toml": "[dependencies]\nserde = '1'\n",
    "crates/translate/Cargo.toml": "[dependencies]\nschema = {}\n[dev-dependencies]\nproptest = '1'\n",
    "crates/emulator/Cargo.toml": "[dependencies]\nactix-web = '4'\n[dev-dependencies]\naws-sdk-bedrockruntime = '1'\n",
    "crates/access/Cargo.toml": "[dependencies]\n",
    "crates/bedrock/Cargo.toml": "[dependencies]\naws-config = '1'\n[dev-dependencies]\nemulator = {}\n",
    "crates/routing/Cargo.toml": "[dependencies]\nbedrock = {}\ntranslate = {}\n",
    "crates/server/Cargo.toml": "[dependencies]\nschema = {}\ntranslate = {}\nemulator = {}\nrouting = {}\n",
    "crates/schema/src/lib.rs": DOC,
    "crates/translate/src/lib.rs": DOC
    + "use std::{borrow::Cow, fmt};\n// tokio::spawn, std::fs and \"claude\" in a comment\nconst A: &str = \"std::fs::read\";\n"
    + "#[cfg(test)]\nmod tests {\n    const M: &str = \"anthropic.claude\";\n}\n",
    "crates/translate/src/parts/a.rs": DOC + "use schema::{Str, converse::tool};\n// schema::openai in a comment\n",
    "crates/translate/src/chat.rs": DOC + "use schema::openai::chat::Stop;\n",
    "crates/emulator/src/lib.rs": DOC + "const NOTE: &str = \"aws_config::load\";\n",
    "crates/server/src/main.rs": DOC + "fn main() { emulator::start(); }\n",
    "crates/bedrock/src/sign.rs": DOC + "use aws_sigv4::http_request;\n",
    "crates/routing/src/lib.rs": DOC + "pub struct Target;\n",
    "crates/server/src/routes/chat.rs": DOC + "use actix_web::web;\n",
    "crates/server/tests/live.rs": "#![allow(missing_docs)]\n" + DOC + "use emulator::start;\n",
}

CASES = """[[case]]
number = 1
what = "a"
tests = ["crates/server/tests/live.rs::lives", "tests/python/test_x.py::test_x", "crates/a/tests/fixtures/a.json"]

[[case]]
number = 2
what = "b"
later = "Messages API"
"""
PROMISES = "".join(
    f'[[promise]]\nid = "{one}"\nwhat = "a"\ntests = ["tests/python/test_x.py::test_x"]\n' for one in IDS[:-2]
) + f'''[[promise]]
id = "{IDS[-2]}"
what = "b"
tests = ["crates/a/src/a.rs::compile_fail", "tests/house/test_a.py::test_a"]
[[promise]]
id = "{IDS[-1]}"
what = "c"
lacks = "d"
'''
SOUND |= {
    "tests/cases.toml": CASES,
    "tests/reliability.toml": PROMISES,
    "crates/a/src/a.rs": DOC + "/// ```compile_fail\n/// a\n/// ```\npub struct A;\n",
    "tests/house/test_a.py": "class A:\n    def test_a(self) -> None:\n        pass\n",
    "tests/python/test_x.py": "def test_x() -> None:\n    pass\n",
    "crates/a/tests/fixtures/a.json": "{}",
    "crates/server/tests/live.rs": SOUND["crates/server/tests/live.rs"]
    + "#[actix_rt::test]\nasync fn lives() {}\nfn idles() {}\n",
}
LONG_FUNCTION = DOC + "fn long() {\n" + "    call();\n" * 100 + "}\n"

# check -> (what is changed in the sound tree, the path the finding must name)
VIOLATIONS: list[tuple[str, dict[str, str | None], str]] = [
    ("dependency_tables", {"crates/schema/Cargo.toml": "[dependencies]\ntranslate = {}\n"}, "crates/schema/Cargo.toml"),
    ("dependency_tables", {"crates/schema/Cargo.toml": "[dependencies]\nhttp = '1'\n"}, "crates/schema/Cargo.toml"),
    ("dependency_tables", {"crates/translate/Cargo.toml": "[target.'cfg(unix)'.dependencies]\nlog = '1'\n"}, "crates/translate/Cargo.toml"),
    ("dependency_tables", {"crates/emulator/Cargo.toml": "[dev-dependencies]\ntranslate = {}\n"}, "crates/emulator/Cargo.toml"),
    ("dependency_tables", {"crates/emulator/Cargo.toml": "[dependencies]\naws-sigv4 = '1'\n"}, "crates/emulator/Cargo.toml"),
    ("dependency_tables", {"crates/emulator/Cargo.toml": None}, "crates/emulator/Cargo.toml"),
    ("aws_at_home", {"crates/server/src/app.rs": DOC + "fn f() { aws_config::load(); }\n"}, "crates/server/src/app.rs"),
    ("aws_at_home", {"crates/emulator/src/a.rs": DOC + "use aws_sigv4 as s;\n"}, "crates/emulator/src/a.rs"),
    ("actix_in_front", {"crates/routing/src/limits.rs": DOC + "use actix_web::web;\n"}, "crates/routing/src/limits.rs"),
    ("actix_in_front", {"crates/bedrock/src/send.rs": DOC + "use actix_rt::spawn;\n"}, "crates/bedrock/src/send.rs"),
    ("dependency_tables", {"crates/routing/Cargo.toml": "[dev-dependencies]\nemulator = {}\n"}, "crates/routing/Cargo.toml"),
    ("dependency_tables", {"crates/bedrock/Cargo.toml": "[dependencies]\naccess = {}\n"}, "crates/bedrock/Cargo.toml"),
    ("emulator_in_the_cli", {"crates/server/src/app.rs": DOC + "use emulator::start;\n"}, "crates/server/src/app.rs"),
    ("translate_is_pure", {"crates/translate/src/a.rs": DOC + "fn f() { log::info!(\"\"); }\n"}, "crates/translate/src/a.rs"),
    ("translate_is_pure", {"crates/translate/src/a.rs": DOC + "use std::time::Instant;\n"}, "crates/translate/src/a.rs"),
    ("translate_is_pure", {"crates/translate/src/a.rs": DOC + "use std::{fmt, env};\n"}, "crates/translate/src/a.rs"),
    ("parts_know_no_dialect", {"crates/translate/src/parts/a.rs": DOC + "use schema::openai::chat::Stop;\n"}, "crates/translate/src/parts/a.rs"),
    ("parts_know_no_dialect", {"crates/translate/src/parts/a.rs": DOC + "use schema::{Str, anthropic::error};\n"}, "crates/translate/src/parts/a.rs"),
    ("parts_know_no_dialect", {"crates/translate/src/parts/a.rs": DOC + "#[cfg(test)]\nmod tests { fn f(_: schema::openai::chat::Stop) {} }\n"}, "crates/translate/src/parts/a.rs"),
    ("translate_names_no_model", {"crates/translate/src/a.rs": DOC + 'const A: &str = "anthropic.claude-x";\n'}, "crates/translate/src/a.rs"),
    ("translate_names_no_model", {"crates/translate/src/a.rs": DOC + 'const A: &str = r#"say "nova""#;\n'}, "crates/translate/src/a.rs"),
    ("sizes", {"crates/server/src/big.rs": DOC * 501}, "crates/server/src/big.rs"),
    ("sizes", {"tests/python/big.py": "x = 1\n" * 501}, "tests/python/big.py"),
    ("sizes", {"crates/server/src/long.rs": LONG_FUNCTION}, "crates/server/src/long.rs"),
    ("module_names", {"crates/server/src/a/mod.rs": DOC}, "crates/server/src/a/mod.rs"),
    ("module_names", {"crates/server/src/utils.rs": DOC}, "crates/server/src/utils.rs"),
    ("module_names", {"crates/server/src/helpers/x.rs": DOC}, "crates/server/src/helpers/x.rs"),
    ("module_names", {"crates/server/src/x.rs": DOC + "mod common { }\n"}, "crates/server/src/x.rs"),
    ("module_docs", {"crates/server/src/x.rs": "use std::fmt;\n"}, "crates/server/src/x.rs"),
    ("module_docs", {"crates/server/src/x.rs": ""}, "crates/server/src/x.rs"),
    ("nothing_unfinished", {"crates/server/src/x.rs": DOC + "fn f() { todo!() }\n"}, "crates/server/src/x.rs"),
    ("nothing_unfinished", {"crates/server/src/x.rs": DOC + "fn f() { unimplemented!(\"x\") }\n"}, "crates/server/src/x.rs"),
    ("nothing_unfinished", {"crates/server/tests/x.rs": DOC + "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n"}, "crates/server/tests/x.rs"),
    ("nothing_unfinished", {"crates/server/tests/x.rs": DOC + "#[ignore = \"a child process\"]\nfn f() {}\n"}, "crates/server/tests/x.rs"),
    ("nothing_unfinished", {"crates/server/tests/x.rs": DOC + "#[cfg_attr(unix, ignore)]\nfn f() {}\n"}, "crates/server/tests/x.rs"),
    ("refused_crates", {"Cargo.lock": '[[package]]\nname = "hyper"\nversion = "0.14.32"\n'}, "Cargo.lock"),
    ("refused_crates", {"Cargo.lock": '[[package]]\nname = "openssl-sys"\nversion = "9.0.1"\n'}, "Cargo.lock"),
    ("refused_crates", {"Cargo.lock": None}, "Cargo.lock"),
    ("no_machine_paths", {"docs/x.md": "see /wo" + "rk/main\n"}, "docs/x.md"),
    ("no_machine_paths", {"deploy/x.yaml": "path: /ho" + "me/me/x\n"}, "deploy/x.yaml"),
    ("no_conflict_markers", {"docs/x.md": "<" * 7 + " HEAD\n"}, "docs/x.md"),
    ("commands", {".ci/run": "#!/bin/sh\ncargo test\n"}, ".ci/run"),
    ("commands", {"tests/run": None}, "tests/run"),
    ("commands", {"README.md": README.replace("cargo run", "cargo walk")}, "README.md"),
    ("map_is_true", {"ARCHITECTURE.md": MAP.replace("schema/", "scheme/")}, "ARCHITECTURE.md"),
    ("map_is_true", {"ARCHITECTURE.md": MAP.replace("{run,house}", "{run,hose}")}, "ARCHITECTURE.md"),
    ("map_is_true", {"ARCHITECTURE.md": MAP.replace("The map", "Other")}, "ARCHITECTURE.md"),
    ("parameters", {"crates/server/src/x.rs": DOC + "fn f<F: Fn(u8) -> u8>(&self, a: F, b: (u8, u8), c: u8, d: u8, e: u8, f: u8) {}\n"}, "crates/server/src/x.rs"),
    ("no_module_cycle", {"crates/server/src/a.rs": DOC + "use crate::b::{self, B};\n", "crates/server/src/b.rs": DOC + "#[cfg(test)]\nmod tests { use crate::a; }\n", "crates/server/src/c.rs": DOC + "use crate::a;\n", "crates/server/src/b/d.rs": DOC + "use crate::c;\n"}, "crates/server/src/a.rs"),
    ("one_public_definition", {"crates/server/src/x.rs": DOC + "pub(crate) enum Target {}\n"}, "crates/server/src/x.rs"),
    ("plain_prose", {"crates/server/src/x.rs": "//! What it is for.\n"}, "crates/server/src/x.rs"),
    ("plain_prose", {"crates/server/src/x.rs": DOC + "// Nobody knows.\n"}, "crates/server/src/x.rs"),
    ("short_papers", {"README.md": README + "\n" * 151}, "README.md"),
    ("short_papers", {"CONTRIBUTING.md": None}, "CONTRIBUTING.md"),
    ("cases_have_tests", {"tests/cases.toml": None}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace("::lives", "::dies")}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace("::lives", "::idles")}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace("::test_x", "::test_y")}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace("a.json", "b.json")}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace("number = 2", "number = 3")}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace('later = "Messages API"', "")}, "tests/cases.toml"),
    ("cases_have_tests", {"tests/cases.toml": CASES.replace("Messages API", "one day")}, "tests/cases.toml"),
    ("promises_have_tests", {"tests/reliability.toml": None}, "tests/reliability.toml"),
    ("promises_have_tests", {"tests/reliability.toml": PROMISES.replace('"R02"', '"R03"')}, "tests/reliability.toml"),
    ("promises_have_tests", {"tests/reliability.toml": PROMISES.replace("::test_a", "::test_b")}, "tests/reliability.toml"),
    ("promises_have_tests", {"tests/reliability.toml": PROMISES.replace("a.rs::comp", "b.rs::comp")}, "tests/reliability.toml"),
    ("promises_have_tests", {"tests/reliability.toml": PROMISES.replace('lacks = "d"', "tests = []")}, "tests/reliability.toml"),
    ("promises_have_tests", {"tests/reliability.toml": PROMISES.replace('what = "c"\n', "")}, "tests/reliability.toml"),
]


def findings(name: str, changes: dict[str, str | None]) -> list[check.Finding]:
    """What one check says of the sound tree with changes."""
    files = {path: text for path, text in {**SOUND, **changes}.items() if text is not None}
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            if path.endswith("/run"):
                target.chmod(0o755)
        tree = Tree(Path(folder), built=lambda crate, _: crate != "ring")
        return list(getattr(check, name)(tree))


class Checks(unittest.TestCase):
    """Every check, both ways."""

    def test_a_sound_tree_has_no_findings(self) -> None:
        for function in check.CHECKS:
            with self.subTest(function.__name__):
                self.assertEqual(findings(function.__name__, {}), [])

    def test_every_violation_is_found_where_it_is(self) -> None:
        for name, changes, path in VIOLATIONS:
            with self.subTest(name, path=path, changes=changes):
                found = findings(name, changes)
                self.assertEqual([finding.path for finding in found], [path])
                self.assertTrue(found[0].line >= 1 and found[0].remedy)

    def test_every_check_has_a_violation(self) -> None:
        self.assertEqual({f.__name__ for f in check.CHECKS}, {name for name, *_ in VIOLATIONS})

    def test_a_locked_crate_that_is_built_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Cargo.lock").write_text(SOUND["Cargo.lock"])
            [found] = check.refused_crates(Tree(Path(folder), built=lambda *_: True))
        self.assertIn("ring 0.17.14", found.what)

    def test_lines_are_those_of_the_file(self) -> None:
        text = DOC + '/* a\n /* nested */ b */\nconst Q: char = \'"\';\nfn f<\'a>() {}\nuse emulator::x;\n'
        [found] = findings("emulator_in_the_cli", {"crates/server/src/x.rs": text})
        self.assertEqual(found.line, 6)


class Reading(unittest.TestCase):
    """The small readers the checks stand on."""

    def test_literals_and_code_are_kept_apart(self) -> None:
        source = RustSource('let a = "x\\"y // no"; let b = br##"q"#"##; let c = \'\\\'\'; // "z"\nfn f() {}')
        self.assertEqual([literal.text for literal in source.literals], ['x\\"y // no', 'q"#'])
        self.assertNotIn("no", source.code)
        self.assertIn("fn f() {}", source.code)
        self.assertEqual(len(source.code), len(source.text))

    def test_functions_are_measured(self) -> None:
        source = RustSource("trait T { fn a(); }\nfn b(x: [u8; 3]) -> u8 {\n  if x { '}' }\n  { 1 }\n}\nfn c() {}\n")
        self.assertEqual([(f.name, f.lines) for f in source.functions()], [("b", 4), ("c", 1)])

    def test_the_map_is_read_as_a_tree(self) -> None:
        paths = [entry.path for entry in code_map.entries(MAP)]
        self.assertEqual(
            paths,
            ["crates/", "crates/schema/", "crates/server/", "crates/server/src/routes/", "tests/run", "tests/house"],
        )
        drawn = "## Code map\n```\na/\n├── b/   x\n│   └── c.rs   y\n└── d/\n```\n"
        self.assertEqual([e.path for e in code_map.entries(drawn)], ["a/", "a/b/", "a/b/c.rs", "a/d/"])


if __name__ == "__main__":
    unittest.main()
