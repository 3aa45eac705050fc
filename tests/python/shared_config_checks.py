"""How each LiteLLM file of `config` is judged, by its id: what its names become at Bedrock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripted import Asked
from shared_configs import CHAT, HI, Player, Signed, World, signed

NOVA = "us.amazon.nova-lite-v1:0"


def player(world: World) -> Player:
    return Player(world.litellm(), world.up)


def served(world: World, *names: str, by: Signed | None = None) -> list[Asked]:
    """Calls on each name, with the account that must sign them."""
    play = player(world)
    sent = [one for name in names for one in play.calls(name)]
    for one in sent:
        assert by is None or signed(one) == by, one.headers
    return sent


def own_keys(world: World) -> None:
    served(world, "m", by=Signed("KEY1", "us-east-1"))


def blank_session_token(world: World) -> None:
    for one in served(world, "m", by=Signed("KEY1", "us-east-1")):
        assert "x-amz-security-token" not in one.headers


def blank_others(world: World) -> None:
    play = player(world)
    for name in "abcd":
        for one in play.calls(name):
            assert signed(one).key == "KEY1"
    assert "NOTHING, which is blank: left out" in play.gateway.log()


def by_role(world: World) -> None:
    for one in served(world, "m"):
        assert world.roles[signed(one).key] == "arn:aws:iam::123456789012:role/team"
    assert "RoleSessionName=gw" in world.sts.asked[0].raw.decode()


def by_credential(world: World) -> None:
    served(world, "nova", by=Signed("KEY3", "us-west-2"))


def default_effort(world: World) -> None:
    play = player(world)
    whole, stream, _ = play.calls("m")
    for one in (whole, stream):
        assert one.body["performanceConfig"] == {"latency": "optimized"}
        assert one.body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    play.send("POST", CHAT, {"model": "m", "messages": HI, "reasoning_effort": "none"})
    assert "thinking" not in play.sent[-1].body.get("additionalModelRequestFields", {})


def defaults(world: World) -> None:
    play = player(world)
    whole, stream, _ = play.calls("capped")
    for one in (whole, stream):
        said = one.body["inferenceConfig"]
        assert said["maxTokens"] == 123 and said["stopSequences"] == ["END"]
        assert said["temperature"] == 0.25 and said["topP"] == 0.5
    own = {"max_completion_tokens": 7, "temperature": 0.5, "stop": ["x"]}
    play.send("POST", CHAT, {"model": "capped", "messages": HI, **own})
    said = play.sent[-1].body["inferenceConfig"]
    assert said == {"maxTokens": 7, "temperature": 0.5, "stopSequences": ["x"], "topP": 0.5}
    whole, stream, _ = play.calls("holmes")
    for one in (whole, stream):
        thinking = one.body["additionalModelRequestFields"]["thinking"]
        assert thinking == {"type": "enabled", "budget_tokens": 10000}
        assert one.body["inferenceConfig"]["temperature"] == 1


def last_of_two(world: World) -> None:
    sent = served(world, "m", by=Signed("KEY1", "us-west-2"))
    assert len(sent) == 3


def variables_of_the_file(world: World) -> None:
    served(world, "m", by=Signed("KEY3", "us-west-2"))


def guarded(version: str, id_: str = "abcdefghij12", name: str = "m") -> Callable[[World], None]:
    def check(world: World) -> None:
        for one in served(world, name):
            told = one.body["guardrailConfig"]
            assert (told["guardrailIdentifier"], told["guardrailVersion"]) == (id_, version)

    return check


def imported(world: World) -> None:
    world.case["env"] |= {"GUARDRAIL_ID": "abcdefghij12", "GUARDRAIL_VERSION": "1"}
    play = player(world)
    arns = {
        "DeepSeek-R1-Distill-Llama-8B": "imported-model/abcdefghijkl",
        "deepseek": "imported-model/r4c4kewx2s0n",
        "nova-custom": "custom-model-deployment/a1b2c3d4e5f6",
        "qwen-imported": "imported-model/q1w2e3r4t5y6",
        "gptoss-imported": "imported-model/o1p2e3n4a5i6",
    }
    for name, arn in arns.items():
        for one in play.calls(name):
            assert one.model_id == f"arn:aws:bedrock:us-east-1:123456789012:{arn}"
            assert ("guardrailConfig" in one.body) == (name == "DeepSeek-R1-Distill-Llama-8B")


def included(world: World) -> None:
    served(world, "nova", by=Signed("KEY1", "us-west-2"))


def own_role(world: World) -> None:
    world.sts_denies = ("AssumeRole",)
    for one in served(world, "m"):
        assert world.roles[signed(one).key] == "arn:aws:iam::123456789012:role/irsa"


def invoked_by_model_id(world: World) -> None:
    play = player(world)
    for operation in ("invoke", "invoke-with-response-stream"):
        told = play.send("POST", f"/bedrock/model/m/{operation}", {"anthropic_version": "x", "max_tokens": 1, "messages": []})
        assert told.status == 200, told.raw
        assert play.sent[-1].model_id.endswith(":application-inference-profile/abcdefgh1234")


def called_by_model_id(world: World) -> None:
    play = player(world)
    for name in ("haiku-by-profile", "arn-outright"):
        for one in play.calls(name):
            assert one.model_id.endswith(":application-inference-profile/abcdefgh1234")
            assert signed(one).region == "eu-central-1"
    told = play.send("POST", "/v1/embeddings", {"model": "embed-by-profile", "input": "x"})
    assert told.status == 200, told.raw
    assert play.sent[-1].model_id.endswith("/zyxwvuts9876")


def without_models(world: World) -> None:
    world.case["env"] |= {"LITELLM_MASTER_KEY": "sk-1", "DATABASE_URL": "postgresql://x"}
    play = player(world)
    assert "no model of Bedrock's is listed" in play.gateway.log()
    told = play.send("POST", CHAT, {"model": NOVA, "messages": HI}, authorization="Bearer sk-1")
    assert told.status in (400, 404) and not play.sent


def other_surfaces(world: World) -> None:
    play = player(world)
    assert "mantle-claude (mantle), oai (chat_completions), agent (agent)" in play.gateway.log()
    play.calls("nova")
    for name in ("mantle-claude", "oai", "agent"):
        assert play.send("POST", CHAT, {"model": name, "messages": HI}).status in (400, 404)
        assert not play.sent


def by_tags(world: World) -> None:
    play = player(world)
    name = "claude-sonnet-4-6"
    accounts = {"dept-a": "arn:aws:iam::111122223333:role/BedrockAccess", "dept-b": "arn:aws:iam::444455556666:role/BedrockAccess"}

    def account(body: dict[str, Any], **headers: str) -> str:
        told = play.send("POST", CHAT, {"model": name, "messages": HI, **body}, **headers)
        assert told.status == 200, told.raw
        assert "tags" not in told.ignored and "requestMetadata" not in play.sent[-1].body
        return world.roles[signed(play.sent[-1]).key]

    for tag, expected in accounts.items():
        for _ in range(8):
            assert account({"metadata": {"tags": [tag]}}) == expected
        assert account({"tags": [tag, "other"]}) == expected
        assert account({}, x_litellm_tags=f"other, {tag}") == expected
        assert play.converse(name, x_litellm_tags=tag).status == 200
        assert world.roles[signed(play.sent[-1]).key] == expected
    told = play.send("POST", CHAT, {"model": name, "messages": HI, "metadata": {"tags": ["dept-c"]}})
    assert told.status == 400 and "dept-c" in told.json["error"]["message"] and not play.sent
    assert {account({}) for _ in range(8)} == set(accounts.values())


def times_out(world: World) -> None:
    play = player(world)
    # An answer after this pause would be a success.
    world.pause = 4
    for stream in (False, True):
        told = play.send("POST", CHAT, {"model": "m", "messages": HI, "stream": stream})
        assert told.status in (408, 504) or b'"error"' in told.raw, told.raw


def only_listed(world: World) -> None:
    play = player(world)
    play.calls("nova")
    for name in ("gpt-4o", "us.anthropic.claude-opus-4-1-20250805-v1:0", NOVA, "claude-3-haiku"):
        assert play.send("POST", CHAT, {"model": name, "messages": HI}).status in (400, 404)
        assert not play.sent
        assert play.converse(name).status in (400, 404) and not play.sent
    listed = play.send("GET", "/v1/models").json["data"]
    assert [model["id"] for model in listed] == ["nova"]


def without_cooldown(world: World) -> None:
    play = player(world)
    world.failing = 60
    for _ in range(20):
        play.send("POST", CHAT, {"model": "m", "messages": HI})
    world.failing = 0
    assert "cooldown" not in play.gateway.log()
    play.calls("m")


CHECKS: dict[str, Callable[[World], None]] = {
    "blank-api-key": own_keys,
    "blank-others": blank_others,
    "blank-session-token": blank_session_token,
    "credential-list": by_credential,
    "credential-list-role": by_role,
    "defaults": defaults,
    "defaults-effort": default_effort,
    "duplicate-key": last_of_two,
    "environment-variables": variables_of_the_file,
    "guardrail-extra-headers": guarded("1"),
    "guardrail-no-version": guarded("DRAFT"),
    "guardrails-default-on": guarded("DRAFT", "gf3sc1mzinjw", "nova"),
    "imported-models": imported,
    "include-only": included,
    "irsa-same-role": own_role,
    "model-id": called_by_model_id,
    "model-id-invoke": invoked_by_model_id,
    "no-model-list": without_models,
    "other-surfaces": other_surfaces,
    "quoted-numbers": own_keys,
    "tags": by_tags,
    "timeout-per-model": times_out,
    "two-stars": own_keys,
    "unlisted-names": only_listed,
    "zero-cooldown": without_cooldown,
}
