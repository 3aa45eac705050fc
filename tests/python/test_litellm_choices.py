"""LiteLLM's files in use: parameters, tags, guardrails and web identities of entries, as calls show them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aws_fakes import Mint
from aws_fakes_identity import ROLE, Sts, Trust
from outcrop_process import Outcrop, run_to_end
from scripted import Answer, Asked, Handler, Scripted, text_answer, text_frames
from shared_cases import Told, send

HI = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"
NOVA, CLAUDE = "us.amazon.nova-lite-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def well(_: Handler, asked: Asked) -> Answer:
    if asked.model_id.startswith("broken"):
        return Answer.json({"message": "no"}, 500, x_amzn_errortype="InternalServerException")
    return Answer.frames(*text_frames(["ok"])) if asked.operation == "converse-stream" else text_answer("ok")


@contextmanager
def gateway(config: Any, **environment: str) -> Iterator[tuple[Outcrop, Scripted]]:
    """A gateway with this file, which is JSON and so YAML."""
    with Scripted(well) as upstream:
        env = {**upstream.environment, "AWS_ENDPOINT_URL_BEDROCK": upstream.url, **environment}
        arguments = ["--listen", "127.0.0.1:0", "--config", "config.yaml"]
        with Outcrop(arguments, environment=env, files={"config.yaml": json.dumps(config)}) as running:
            yield running, upstream


def entries(*params: dict[str, Any], name: str = "m") -> list[dict[str, Any]]:
    return [{"model_name": name, "litellm_params": {"model": f"bedrock/{NOVA}", **own}} for own in params]


def chat(running: Outcrop, body: dict[str, Any], **headers: str) -> Told:
    return send(running, CHAT, {"model": "m", "messages": HI, **body}, **headers)


def test_parameters_of_an_entry_follow_the_call_to_the_next_entry() -> None:
    """A fallback has parameters of its own; quoted numbers and variables count."""
    config = {
        "model_list": [
            *entries({"model": "bedrock/broken.model", "max_tokens": "11", "top_p": 0.5}),
            *entries({"temperature": "os.environ/WARMTH", "stop": "END", "extra_body": {"max_tokens": 22}}, name="other"),
        ],
        "router_settings": {"fallbacks": [{"m": ["other"]}], "num_retries": 0},
    }
    with gateway(config, WARMTH="0.75") as (running, upstream):
        told = chat(running, {})
        assert told.status == 200, told.raw
        first, second = (one.body["inferenceConfig"] for one in upstream.asked)
        assert first == {"maxTokens": 11, "topP": 0.5}
        assert second == {"maxTokens": 22, "temperature": 0.75, "stopSequences": ["END"]}
        assert chat(running, {"max_tokens": 3, "stream": True}).status == 200
        assert upstream.asked[-1].body["inferenceConfig"]["maxTokens"] == 3


def test_thinking_service_tier_and_raw_fields_of_an_entry() -> None:
    params = {
        "model": f"bedrock/converse/{CLAUDE}",
        "reasoning_effort": "low",
        "additionalModelRequestFields": {"anthropic_beta": ["context-1m-2025-08-07"]},
        "performanceConfig": {"latency": "os.environ/LATENCY"},
        "requestMetadata": {"team": "search"},
    }
    with gateway({"model_list": entries(params, {**params, "thinking": {"type": "disabled"}, "weight": 0})}, LATENCY="optimized") as (running, upstream):
        assert chat(running, {"request_metadata": {"run": "1"}}).status == 200
        sent = upstream.asked[-1].body
        assert sent["performanceConfig"] == {"latency": "optimized"}
        assert sent["requestMetadata"] == {"team": "search", "run": "1"}
        assert sent["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
        assert chat(running, {"reasoning_effort": "none"}).status == 200
        assert "thinking" not in upstream.asked[-1].body.get("additionalModelRequestFields", {})


def test_parameters_in_the_gateways_own_file() -> None:
    config = {"models": {"m": {"model": NOVA, "params": {"max_tokens": 9, "temperature": 0.1}}}}
    with gateway(config) as (running, upstream):
        assert chat(running, {"temperature": 0.9}).status == 200
        assert upstream.asked[-1].body["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.9}
    wrong = {"models": {"m": {"model": NOVA, "params": {"max_tokens": "many"}}}}
    ended = run_to_end(["check", "config.yaml"], files={"config.yaml": json.dumps(wrong)})
    assert ended.returncode == 2 and "models.m.params.max_tokens: invalid type" in ended.stderr + ended.stdout


def tagged(*tags: list[str], **router: Any) -> dict[str, Any]:
    """An entry in a region of its own for each list of tags."""
    regions = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1"]
    listed = entries(*({"aws_region_name": region, "tags": own} for region, own in zip(regions, tags)))
    return {"model_list": listed, "router_settings": {"enable_tag_filtering": True, **router}}


def regions(running: Outcrop, body: dict[str, Any], **headers: str) -> set[str]:
    """Where eight such requests go."""
    told = [chat(running, body, **headers) for _ in range(8)]
    assert {one.status for one in told} == {200}, told[0].raw
    return {one.headers["x-outcrop-region"] for one in told}


def test_tags_choose_the_entry_and_a_default_takes_the_rest() -> None:
    with gateway(tagged(["free"], ["paid", "eu"], ["default"])) as (running, upstream):
        assert regions(running, {"tags": ["free"]}) == {"us-east-1"}
        assert regions(running, {"metadata": {"tags": ["eu", "unknown"], "run": "1"}}) == {"us-east-2"}
        assert upstream.asked[-1].body["requestMetadata"] == {"run": "1"}
        assert regions(running, {"tags": ["eu"]}, x_litellm_tags="free") == {"us-east-1", "us-east-2"}
        assert regions(running, {"tags": "unknown"}) == {"us-west-2"}
        assert regions(running, {}) == {"us-west-2"}
        assert regions(running, {"stream": True}, x_outcrop_tags=" paid ,") == {"us-east-2"}
        told = send(running, f"/bedrock/model/m/converse", {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, x_litellm_tags="free")
        assert told.status == 200 and told.headers["x-outcrop-region"] == "us-east-1"
        told = send(running, f"{CHAT}/input_tokens", {"model": "m", "messages": HI, "tags": ["&free"]})
        assert told.headers["x-outcrop-region"] == "us-east-1"


def test_tags_that_no_entry_has_are_refused_by_name() -> None:
    config = tagged(["a", "b"], ["a"], tag_filtering_match_any=False)
    with gateway(config) as (running, upstream):
        assert regions(running, {"tags": ["a", "b"]}) == {"us-east-1"}
        assert regions(running, {"tags": ["a"]}) == {"us-east-1", "us-east-2"}
        assert regions(running, {}) == {"us-east-1", "us-east-2"}
        count = upstream.count
        told = chat(running, {"tags": ["a", "c"]})
        assert (told.status, told.json["error"]["code"], told.json["error"]["param"]) == (400, "no_target_for_tags", "tags")
        assert "a, c" in told.json["error"]["message"] and upstream.count == count
        assert send(running, "/v1/embeddings", {"model": "m", "input": "x", "tags": ["c"]}).status == 400


def test_tags_of_bodies_are_refused_where_the_operator_wants_that() -> None:
    config = tagged(["a"], ["default"])
    config["general_settings"] = {"reject_clientside_metadata_tags": True}
    with gateway(config) as (running, upstream):
        for body in ({"metadata": {"tags": ["a"]}}, {"tags": ["a"]}):
            told = chat(running, body)
            assert (told.status, told.json["error"]["code"]) == (400, "tags_not_allowed") and not upstream.asked
        assert regions(running, {"metadata": {"tags": "text"}}, x_litellm_tags="a") == {"us-east-1"}


def test_tags_hold_for_fallbacks_and_are_named_where_they_choose_nothing() -> None:
    config = {
        "models": {
            "m": {"model": "broken.model", "tags": ["a"], "tag_filter": "any"},
            "other": {"tag_filter": "any", "targets": [{"model": NOVA, "region": "us-west-2"}, {"model": NOVA, "tags": ["a"]}]},
            "plain": NOVA,
        },
        "routing": {"fallbacks": {"general": ["other"]}, "retries": {"more": 0}},
    }
    with gateway(config) as (running, _):
        assert regions(running, {"tags": ["a"]}) == {"us-east-1"}
        told = chat(running, {"model": "plain", "tags": ["a"]})
        assert told.status == 200 and told.ignored == "tags"


@pytest.mark.parametrize("mode", ["listed", "other provider", "older form", "callback"])
def test_guardrails_that_entries_and_settings_name_are_kept_or_end_the_start(mode: str) -> None:
    config: dict[str, Any] = {
        "model_list": entries({"guardrails": ["mine"]}) + entries({}, name="free"),
        "guardrails": [{"guardrail_name": "mine", "litellm_params": {"guardrail": "bedrock", "mode": "pre_call", "guardrailIdentifier": "abc", "guardrailVersion": "3"}}],
    }
    if mode == "listed":
        with gateway(config) as (running, upstream):
            assert chat(running, {}).status == 200
            told = upstream.asked[-1].body["guardrailConfig"]
            assert (told["guardrailIdentifier"], told["guardrailVersion"]) == ("abc", "3")
            other = {"guardrail_identifier": "weak", "guardrail_version": "1"}
            assert chat(running, {"guardrail_config": other}).status == 400
            assert chat(running, {"model": "free"}).status == 200
            assert "guardrailConfig" not in upstream.asked[-1].body
        return
    if mode == "other provider":
        config["guardrails"][0]["litellm_params"]["guardrail"] = "lakera"
        with gateway(config) as (running, upstream):
            assert chat(running, {}).status == 404 and not upstream.asked
            assert "not served, because the guardrail it names is not defined: m" in running.log()
        return
    safety = {"guardrails": [{"prompt_injection": {"callbacks": ["lakera_prompt_injection"], "default_on": True}}]}
    config["litellm_settings"] = safety if mode == "older form" else {"callbacks": ["prometheus", "presidio"]}
    ended = run_to_end(["--listen", "127.0.0.1:0", "--config", "c.yaml"], files={"c.yaml": json.dumps(config)})
    assert ended.returncode == 2 and "cannot be applied" in ended.stderr, ended.stderr


@pytest.mark.parametrize("token", ["oidc/env/TOKEN", "oidc/env_path/TOKEN_FILE", "oidc/circleci/any", "file"])
def test_web_identities_by_variable_and_by_file(mint: Mint, tmp_path: Any, token: str) -> None:
    (tmp_path / "token").write_text("web-token\n")
    env = {"TOKEN": "web-token", "TOKEN_FILE": str(tmp_path / "token"), "CIRCLE_OIDC_TOKEN": "web-token"}
    told = f"oidc/file/{tmp_path}/token" if token == "file" else token
    with Sts(mint, {ROLE: Trust(web_token="web-token", session_name="s")}) as sts:
        params = {"aws_role_name": ROLE, "aws_session_name": "s", "aws_web_identity_token": told, "aws_sts_endpoint": sts.url}
        with gateway({"model_list": entries(params)}, **env) as (running, upstream):
            answer = chat(running, {})
            assert answer.status == 200, running.log()
            [issued] = sts.handed_out
            assert f"Credential={issued.keys.access_key}/" in upstream.asked[-1].headers["authorization"]
            assert mint.leaks(running.log()) == [] and "web-token" not in running.log()
        assert sts.problems == []


def test_session_tags_of_an_entry_go_with_its_role(mint: Mint) -> None:
    own = mint.lasting()
    trust = Trust(signed_by=own.keys, tags={"team": "search", "cost": "7"})
    with Sts(mint, {ROLE: trust}) as sts:
        tags = [{"Key": "team", "Value": "search"}, {"Key": "cost", "Value": 7}]
        params = {"aws_role_name": ROLE, "aws_session_tags": tags, "aws_sts_endpoint": sts.url}
        with gateway({"model_list": entries(params)}, **own.environment) as (running, _):
            assert chat(running, {}).status == 200, running.log()
        assert sts.problems == []


def test_a_web_identity_that_is_not_there_ends_the_start() -> None:
    params = {"aws_role_name": ROLE, "aws_session_name": "s", "aws_web_identity_token": "oidc/env/NOT_SET"}
    files = {"c.yaml": json.dumps({"model_list": entries(params)})}
    ended = run_to_end(["--listen", "127.0.0.1:0", "--config", "c.yaml"], files=files)
    assert ended.returncode == 2 and "leads to no token; give oidc/file/PATH" in ended.stderr


def test_entries_that_say_their_regions_need_no_other() -> None:
    config = {"model_list": entries({"aws_region_name": "eu-west-1"})}
    with gateway(config, AWS_REGION="") as (running, _):
        assert chat(running, {}).headers["x-outcrop-region"] == "eu-west-1"
        assert "no region is configured: us-west-2 is used" in running.log()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("team/eu/claude/converse", f"{NOVA.replace(':', '%3A')}/converse"),
        ("team%2Feu%2Fclaude/converse", f"{NOVA.replace(':', '%3A')}/converse"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/x.y/converse", "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fx.y/converse"),
        ("team//claude/converse", None),
        ("team/../claude/converse", None),
        ("team/claude/delete", None),
    ],
)
def test_slashes_of_names_in_paths_of_bedrocks_own_api(path: str, sent: str | None) -> None:
    with gateway({"models": {"team/eu/claude": NOVA}}) as (running, upstream):
        told = send(running, f"/bedrock/model/{path}", {"messages": [{"role": "user", "content": [{"text": "x"}]}]})
        if sent is None:
            assert told.status in (400, 404) and not upstream.asked
        else:
            assert told.status == 200 and upstream.asked[-1].path == f"/model/{sent}"
