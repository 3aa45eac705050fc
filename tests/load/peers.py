"""Other gateways, installed on first use from their registries at pinned versions. None is a part of the project."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from cases import MODEL
from processes import KEYS, Process, free_port, running, wait_until_it_answers

LITELLM = "1.108.7"
BEDROCK_GATEWAY = "0.18.2"
KEY = "any"
NAMES = ("bedrock-gateway-rust", "litellm")
# The path that each serves chat at.
PATHS = {"bedrock-gateway-rust": "/api/v1/chat/completions", "litellm": "/v1/chat/completions"}
# A slow peer gets fewer requests.
SHARE = {"bedrock-gateway-rust": 1.0, "litellm": 0.02}


@contextmanager
def peer(name: str, cache: Path, folder: Path, to: int) -> Iterator[Process]:
    """A peer in front of the upstream at port `to`."""
    port = free_port()
    endpoint = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{to}",
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://127.0.0.1:{to}"}
    if name == "litellm":
        # Without keys, as the gateway is measured.
        environment = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
        arguments, ready = litellm(cache, folder, port, to), "/health/liveliness"
    else:
        program = cache / "bedrock-gateway"
        if not (program / "bin").is_dir():
            install = ["cargo", "install", "--locked", "--root", str(program), "bedrock-gateway-rust",
                       "--version", BEDROCK_GATEWAY]
            subprocess.run(install, check=True)
        arguments = [str(next((program / "bin").iterdir()))]
        environment, ready = {"API_KEY": KEY, "PORT": str(port), "RUST_LOG": "warn"}, "/health"
    with running(arguments, port, folder, **endpoint, **environment) as process:
        wait_until_it_answers(process, ready)
        yield process


def litellm(cache: Path, folder: Path, port: int, to: int) -> list[str]:
    """LiteLLM's proxy in an environment of its own, with one worker."""
    program = cache / f"litellm-{LITELLM}"
    if not (program / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(program)], check=True)
        subprocess.run([program / "bin" / "pip", "install", "-q", f"litellm[proxy]=={LITELLM}"], check=True)
    (folder / "litellm.yaml").write_text(
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: bedrock/converse/{MODEL}\n"
        f"      aws_region_name: us-east-1\n      aws_bedrock_runtime_endpoint: http://127.0.0.1:{to}\n"
    )
    return [str(program / "bin" / "litellm"), "--config", "litellm.yaml", "--port", str(port), "--host", "127.0.0.1"]
