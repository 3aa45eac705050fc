"""The log as programs read it: every line of a process with `log.format: json` is an object, its last requests included."""

from __future__ import annotations

import http.client
import json

from outcrop_process import PATIENCE, Outcrop

FORGED = "nova-lite\u2028\x1b[31m\"}\n{\"status\":1"


def sent(running: Outcrop, method: str, path: str, body: object = None) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(*running.address, timeout=PATIENCE)
    connection.request(method, path, json.dumps(body) if body else None, {"content-type": "application/json"})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer, read


def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object, none of whose members has the name of another."""
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def test_every_line_is_an_object_and_no_request_is_missing() -> None:
    messages = [{"role": "user", "content": "a canary of a prompt"}]
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"], environment={"OUTCROP_LOG_FORMAT": "json"}) as running:
        answers = [
            sent(running, "POST", "/v1/chat/completions", {"model": model, "messages": messages})[0]
            for model in ["nova-lite", FORGED]
        ]
        lost, _ = sent(running, "GET", "/not/there?key=sk-canary")
        assert [answer.status for answer in [*answers, lost]] == [200, 404, 404]
        running.terminate()
        assert running.wait() == 0
        text = running.log()
    lines = [json.loads(line, object_pairs_hook=distinct) for line in text.splitlines() if line.startswith("{")]
    assert lines and all({"time", "level", "module"} <= line.keys() for line in lines), text
    ends = {line["request_id"]: line for line in lines if line["module"] == "outcrop::access"}
    told, forged, missing = (ends[answer.getheader("x-request-id")] for answer in [*answers, lost])
    assert (told["route"], told["method"], told["path"]) == ("chat", "POST", "/v1/chat/completions")
    assert (told["status"], told["outcome"], told["error"], told["key"]) == (200, "complete", None, None)
    assert told["target"] == "us.amazon.nova-lite-v1:0@us-east-1" and told["region"] == "us-east-1"
    assert told["attempts"] == 1 and told["input_tokens"] > 0 and told["output_tokens"] > 0
    assert told["cost_usd"] == float(answers[0].getheader("x-outcrop-cost-usd"))
    assert 0 < told["overhead_ms"] <= told["total_ms"]
    assert forged["model"] == FORGED and forged["status"] == 404
    assert (missing["path"], missing["route"]) == ("/not/there", "unknown") and missing["error"]
    assert "canary" not in text, text
