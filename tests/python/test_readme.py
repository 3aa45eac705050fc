"""The README's examples, executed exactly as printed; only the port differs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from outcrop_process import Outcrop, clean_environment
from readme_blocks import README, Block, blocks

PRINTED_ADDRESS = "127.0.0.1:4000"
AT_LEAST = 3
SECONDS = 60
BLOCKS = blocks(README.read_text()) if README.exists() else []


def test_the_readme_shows_every_kind_of_client() -> None:
    assert len(BLOCKS) >= AT_LEAST, "README.md needs runnable curl, Python and JavaScript examples"
    assert len({block.name for block in BLOCKS}) == len(BLOCKS), "two examples share a name"
    kinds = {block.language for block in BLOCKS}
    assert kinds >= {"bash", "python", "javascript"}, kinds
    texts = "\n".join(block.text for block in BLOCKS)
    assert "curl" in texts and "from openai" in texts


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_example_runs_as_printed(gateway: Outcrop, block: Block) -> None:
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
    report = f"README.md:{block.line}\n{result.stdout}\n{result.stderr}"
    assert result.returncode == 0, report
    assert len(re.findall(r"\w+", result.stdout)) >= 3, f"says hardly anything: {report}"
    assert '"error"' not in result.stdout and "Traceback" not in result.stderr, report


def command(language: str, text: str, folder: Path) -> list[str]:
    """Writes the example to a file and says how to run it."""
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
