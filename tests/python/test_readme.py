"""The examples of README.md and docs/, executed exactly as printed; only the port differs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from outcrop_process import Outcrop, clean_environment
from readme_blocks import CLIENTS, PRINTED_ADDRESS, README, ROOT, Block, blocks, client_blocks, pages

AT_LEAST = 3
SECONDS = 60
EXAMPLES = [(page, block) for page in pages() if page.parent != CLIENTS for block in blocks(page.read_text())]
LINK = re.compile(r"\[[^\]]*\]\((?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+\s+(?P<title>.+?)\s*$", re.MULTILINE)


def test_the_readme_has_every_kind_of_client() -> None:
    own = blocks(README.read_text())
    assert len(own) >= AT_LEAST, "README.md needs runnable curl, OpenAI and boto3 examples"
    texts = "\n".join(block.text for block in own)
    assert "curl" in texts and "from openai" in texts and "import boto3" in texts
    kinds = {block.language for _, block in EXAMPLES}
    assert kinds >= {"bash", "python", "javascript"}, kinds
    names = [block.name for _, block in EXAMPLES]
    assert len(set(names)) == len(names), "two examples share a name"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Files exist, and headings that links name are in them."""
    for link in LINK.finditer(FENCED.sub("", page.read_text())):
        if "://" in link["path"]:
            continue
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.exists(), f"{page}: no file {link['path']}"
        if link["anchor"]:
            anchors = {anchor(title) for title in HEADING.findall(FENCED.sub("", target.read_text()))}
            assert link["anchor"] in anchors, f"{page}: no heading #{link['anchor']} in {target.name}"


def test_the_summary_lists_every_page() -> None:
    summary = ROOT / "docs" / "SUMMARY.md"
    listed = {(summary.parent / link["path"]).resolve() for link in LINK.finditer(summary.read_text())}
    missing = set((ROOT / "docs").rglob("*.md")) - listed - {summary}
    assert not missing, f"docs/SUMMARY.md does not list {sorted(page.name for page in missing)}"


def test_every_example_of_a_client_is_run() -> None:
    """A suite names the example of each client; it runs it as printed."""
    suites = [*(ROOT / "tests" / "clients").rglob("*.py"), *(ROOT / "tests" / "agents").glob("*.py")]
    suites += (ROOT / "tests" / "node").glob("*.mjs")
    text = "\n".join(suite.read_text() for suite in suites)
    unused = [name for name in client_blocks() if not re.search(rf"""["']{re.escape(name)}["']""", text)]
    assert not unused, f"no suite runs {unused}"


def anchor(title: str) -> str:
    """The fragment that forges make of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize(("page", "block"), EXAMPLES, ids=[block.name for _, block in EXAMPLES])
def test_example_runs_as_printed(gateway: Outcrop, page: Path, block: Block) -> None:
    host, port = gateway.address
    text = block.text.replace(PRINTED_ADDRESS, f"{host}:{port}")
    with tempfile.TemporaryDirectory(prefix="outcrop-readme-") as folder:
        result = subprocess.run(
            command(block.language, text, Path(folder)),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=folder,
            env=clean_environment(folder),
            check=False,
        )
    report = f"{page.relative_to(ROOT)}:{block.line}\n{result.stdout}\n{result.stderr}"
    assert result.returncode == 0, report
    assert len(re.findall(r"\w+", result.stdout)) >= 3, f"says hardly anything: {report}"
    # A response has an error member, which is null.
    assert not re.search(r'"error":\s*\{', result.stdout) and "Traceback" not in result.stderr, report


def command(language: str, text: str, folder: Path) -> list[str]:
    """Writes the example to a file; returns the command that runs it."""
    if language == "bash":
        script = folder / "example.sh"
        script.write_text(text)
        return ["bash", "-euo", "pipefail", str(script)]
    if language == "python":
        script = folder / "example.py"
        script.write_text(text)
        return [sys.executable, "-I", str(script)]
    if language == "javascript":
        script = folder / "example.mjs"
        script.write_text(text)
        (folder / "node_modules").symlink_to(os.environ["OUTCROP_NODE_MODULES"])
        return [os.environ["OUTCROP_NODE"], str(script)]
    raise AssertionError(f"no way to run {language}")


SAMPLE = """
<!-- run: one -->
```bash
echo hi
```
not marked:
```bash
exit 1
```
1. in a list

   <!-- run: two -->

   ```python
   print("a")
     # kept indent
   ```
"""


def test_only_marked_blocks_are_examples() -> None:
    assert blocks(SAMPLE) == [
        Block("one", "bash", "echo hi\n", 2),
        Block("two", "python", 'print("a")\n  # kept indent\n', 12),
    ]


@pytest.mark.parametrize("text", ["<!-- run: x -->\nno block\n", "<!-- run: x -->\n```bash\nnever ends\n"])
def test_a_mark_without_a_block_is_an_error(text: str) -> None:
    with pytest.raises(AssertionError):
        blocks(text)
