"""Counts the instructions of whole requests: a gateway under valgrind, in front of an upstream whose answers are ready.

The gateway is the one that the other suites test, so it is compiled without optimization: the counts show work that was
added, and not what a request costs.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "python"))
from scripted import KEYS, Answer, Asked, Handler, Scripted, text_answer, text_frames  # noqa: E402

PATIENCE = 180
WARM_UP = 10
# Two counts of so many requests; their difference has neither the start nor the end of the process.
TIMES = (10, 40)
DELTAS = 64
NOVA = "amazon.nova-lite-v1:0"
CHAT = {"model": NOVA, "messages": [{"role": "user", "content": "Describe granite in one sentence."}]}
CASES = {
    "chat": ("/v1/chat/completions", CHAT),
    "chat-stream": ("/v1/chat/completions", {**CHAT, "stream": True}),
    "native": (f"/bedrock/model/{NOVA}/converse", {"messages": [{"role": "user", "content": [{"text": "Granite?"}]}]}),
}


def answer(_: Handler, asked: Asked) -> Answer:
    if asked.operation == "converse-stream":
        return Answer.frames(b"".join(text_frames(["stone "] * DELTAS)))
    return text_answer("Granite is a coarse, hard rock. " * 8)


def ask(connection: http.client.HTTPConnection, path: str, body: bytes, times: int) -> None:
    for _ in range(times):
        connection.request("POST", path, body, {"content-type": "application/json"})
        told = connection.getresponse()
        text = told.read()
        if told.status != 200:
            raise SystemExit(f"{path}: {told.status} {text[:400]!r}")


def until_ready(folder: Path, gateway: subprocess.Popen[bytes]) -> int:
    """The port of the gateway."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and gateway.poll() is None:
        if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", (folder / "log").read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise SystemExit(f"the gateway is not ready: {(folder / 'log').read_text()}")


def run(path: str, body: bytes, times: int, url: str) -> int:
    """Instructions of a gateway from its first counted request to its end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "outcrop.yaml").write_text("listen: 127.0.0.1:0\nworkers: 1\n")
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        own = {"PATH": os.environ["PATH"], "HOME": name, "AWS_EC2_METADATA_DISABLED": "true", **KEYS}
        with (folder / "log").open("wb") as log:
            command = [*tool, os.environ["OUTCROP_BINARY"], "--config", "outcrop.yaml"]
            gateway = subprocess.Popen(command, cwd=folder, stderr=log, stdout=log, env={**own, "AWS_ENDPOINT_URL": url})
        try:
            connection = http.client.HTTPConnection("127.0.0.1", until_ready(folder, gateway), timeout=PATIENCE)
            ask(connection, path, body, WARM_UP)
            control = ["callgrind_control", "--instr=on", str(gateway.pid)]
            subprocess.run(control, check=True, capture_output=True, timeout=PATIENCE)

            ask(connection, path, body, times)
            connection.close()
        finally:
            gateway.terminate()
            gateway.wait(PATIENCE)
        return int(re.findall(r"Collected : (\d+)", (folder / "log").read_text())[0])


def counted() -> dict[str, int]:
    """Instructions of a request, by case."""
    found = {}
    with Scripted(answer, remembers=False) as upstream:
        for case, (path, body) in CASES.items():
            few, many = (run(path, json.dumps(body).encode(), times, upstream.url) for times in TIMES)
            found[case] = round((many - few) / (TIMES[1] - TIMES[0]))
    return found


if __name__ == "__main__":
    print(json.dumps(counted(), indent=2))
