"""Every folder of examples/ explains itself, is accepted by `outcrop check`, and answers a request where the
emulator can serve it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from outcrop_process import Outcrop, run_to_end
from sse import chat

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


@dataclass(frozen=True)
class Run:
    """How an example is tested."""

    # The configured name that is called; none where the example needs more than the emulator.
    model: str | None
    environment: dict[str, str] = field(default_factory=dict)


RUNS = {
    "guardrail-around": Run("guarded"),
    "litellm-migration": Run("chat"),
    "reasoning-store": Run(None, {"OUTCROP_SECRET": "sixteen bytes or more"}),
    "regions-failover": Run("chat"),
}


def test_every_example_has_a_test() -> None:
    assert FOLDERS == sorted(RUNS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_example_is_explained_and_accepted(folder: str) -> None:
    readme = (EXAMPLES / folder / "README.md").read_text()
    assert readme.startswith("# ") and "](../../docs/" in readme, "a title, and the page that explains it"
    config = EXAMPLES / folder / "config.yaml"
    result = run_to_end(["check", str(config)], environment=RUNS[folder].environment)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("folder", [folder for folder, run in RUNS.items() if run.model])
def test_an_example_answers_from_the_emulator(folder: str) -> None:
    run = RUNS[folder]
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", str(EXAMPLES / folder / "config.yaml")]
    with Outcrop(arguments, environment=run.environment) as running:
        body = {"model": run.model, "messages": [{"role": "user", "content": "What is an outcrop?"}]}
        status, headers, answer = chat(running.address, body)
        assert status == 200, (answer, running.log())
        assert answer["choices"][0]["message"]["content"]
        assert headers["x-outcrop-attempts"] == "1"
