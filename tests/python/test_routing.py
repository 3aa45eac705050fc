"""A name with three targets, one of them unhealthy, as the official clients see it, and LiteLLM's
`router_settings` from the file to the calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config as BotoConfig
from botocore.credentials import Credentials

from outcrop_process import PATIENCE, Outcrop, run_to_end
from samples import NOVA
from upstream import Expectation, Reply, Upstream

REGIONS = ["us-east-1", "us-east-2", "us-west-2"]
KEYS = Credentials("AKIDROUTING", "routing-secret")
HI = [{"role": "user", "content": "Hi."}]


def refusal(status: int, exception: str, **headers: str) -> Reply:
    """An error as Bedrock answers it."""
    return Reply(status=status, headers={"x-amzn-errortype": exception, **headers}, body=b'{"message": "No."}')


@dataclass
class Site:
    """A gateway with three regions."""

    running: Outcrop
    regions: list[Upstream]

    def openai(self, retries: int = 0) -> openai.OpenAI:
        """The official client."""
        return openai.OpenAI(base_url=f"{self.running.url}/v1", api_key="any", max_retries=retries, timeout=PATIENCE)

    def boto3(self) -> Any:
        """AWS's own client, whose retries are off."""
        return boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"{self.running.url}/bedrock",
            aws_access_key_id="AKIDDUMMY",
            aws_secret_access_key="dummy",
            config=BotoConfig(retries={"total_max_attempts": 1}),
        )

    def counts(self) -> list[int]:
        """Calls to each region so far."""
        return [len(region.received) for region in self.regions]


def target(region: Upstream) -> str:
    return (
        f"{{ model: {NOVA}, region: {region.expectation.region}, endpoint_url: '{region.url}', "
        f"access_key_id: {KEYS.access_key}, secret_access_key: {KEYS.secret_key} }}"
    )


@contextlib.contextmanager
def three() -> Iterator[list[Upstream]]:
    with contextlib.ExitStack() as stack:
        regions = [Upstream(Expectation(credentials=KEYS, region=name)) for name in REGIONS]
        yield [stack.enter_context(region) for region in regions]
        assert not any(received.problems for region in regions for received in region.received)


@contextlib.contextmanager
def gateway(regions: list[Upstream], text: str) -> Iterator[Site]:
    arguments = ["--listen", "127.0.0.1:0", "--config", "file.yaml"]
    environment = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    with Outcrop(arguments, environment=environment, files={"file.yaml": text}) as running:
        yield Site(running, regions)


@pytest.fixture()
def site() -> Iterator[Site]:
    """Three targets of the name `all`, selected by weight."""
    with three() as regions:
        targets = "".join(f"    - {target(region)}\n" for region in regions)
        with gateway(regions, f"models:\n  all:\n{targets}") as made:
            yield made


@pytest.mark.parametrize(
    "ill", [refusal(429, "ThrottlingException"), refusal(500, "InternalServerException")], ids=["throttles", "fails"]
)
def test_the_official_clients_do_not_notice_an_unhealthy_target(site: Site, ill: Reply) -> None:
    site.regions[0].reply = ill
    attempts = []
    with site.openai() as client:
        for number in range(15):
            raw = client.chat.completions.with_raw_response.create(model="all", messages=HI, stream=False)
            assert raw.parse().choices[0].message.content == "Hello from upstream."
            assert raw.headers["x-outcrop-region"] in REGIONS[1:]
            assert raw.headers["x-outcrop-target"] == f"{NOVA}@{raw.headers['x-outcrop-region']}"
            attempts.append(int(raw.headers["x-outcrop-attempts"]))
            stream = client.chat.completions.create(model="all", messages=HI, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    # It is tried again now and then: the more often, the longer the calls take.
    assert set(attempts) <= {1, 2} and attempts.count(2) <= len(attempts) // 3, attempts
    native = site.boto3()
    message = {"role": "user", "content": [{"text": "Hi."}]}
    for _ in range(6):
        answer = native.converse(modelId="all", messages=[message])
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-outcrop-region"] in REGIONS[1:]
        events = list(native.converse_stream(modelId="all", messages=[message])["stream"])
        assert any("messageStop" in event for event in events)
    assert 1 <= site.counts()[0] <= 10, site.counts()


def test_if_all_targets_fail_the_client_is_told_not_to_retry(site: Site) -> None:
    for region in site.regions:
        region.reply = refusal(500, "InternalServerException")
    with site.openai(retries=2) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="all", messages=HI)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.headers["x-outcrop-attempts"] == "3"
    assert sum(site.counts()) == 3, "three attempts of ours, and none of the client's on top"


def test_an_invalid_request_is_not_retried(site: Site) -> None:
    for region in site.regions:
        region.reply = refusal(400, "ValidationException")
    with site.openai(retries=2) as client, pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="all", messages=HI)
    native = site.boto3()
    message = {"role": "user", "content": [{"text": "Hi."}]}
    with pytest.raises(native.exceptions.ValidationException):
        native.converse(modelId="all", messages=[message])
    assert sum(site.counts()) == 2


LITELLM = """
model_list:
{entries}
router_settings:
  routing_strategy: {strategy}
  num_retries: 1
  allowed_fails: 1
  cooldown_time: 30
  redis_host: nowhere
  fallbacks: [{{ first: [second, openai-gpt] }}]
  model_group_alias: {{ alias: first }}
"""


def litellm(regions: list[Upstream], strategy: str = "simple-shuffle") -> str:
    """`first` has two regions, `second` the third."""
    entries = "".join(
        f"- model_name: {name}\n"
        f"  litellm_params: {{ model: bedrock/{NOVA}, aws_region_name: {region.expectation.region}, "
        f"aws_bedrock_runtime_endpoint: '{region.url}', aws_access_key_id: {KEYS.access_key}, "
        f"aws_secret_access_key: {KEYS.secret_key}, order: {at + 1} }}\n"
        for at, (name, region) in enumerate(zip(["first", "first", "second"], regions, strict=True))
    )
    return LITELLM.format(entries=entries, strategy=strategy)


def test_litellms_router_settings_apply() -> None:
    with three() as regions, gateway(regions, litellm(regions)) as site, site.openai() as client:

        def ask(name: str) -> dict[str, str]:
            raw = client.chat.completions.with_raw_response.create(model=name, messages=HI)
            return dict(raw.headers)

        assert ask("first")["x-outcrop-region"] == REGIONS[0], "the lowest order"
        regions[0].reply = refusal(500, "InternalServerException")
        headers = [ask("alias") for _ in range(5)]
        assert {one["x-outcrop-region"] for one in headers} == {REGIONS[1]}
        assert [one["x-outcrop-attempts"] for one in headers] == ["2", "2", "1", "1", "1"], "two fails are allowed none"
        regions[1].reply = refusal(500, "InternalServerException")
        last = ask("first")
        assert (last["x-outcrop-region"], last["x-outcrop-fallback"]) == (REGIONS[2], "second")


def test_check_shows_which_router_settings_apply() -> None:
    with three() as regions:
        text = litellm(regions, "cost-based-routing")
    done = run_to_end(["check", "config.yaml"], files={"config.yaml": text})
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for expected in [
        "cost-based-routing is ignored, because",
        "router_settings.redis_host",
        "names openai-gpt, which is not here: left out",
        "routing.retries.more",
    ]:
        assert expected in said, said
    assert run_to_end(["check", "--strict", "config.yaml"], files={"config.yaml": text}).returncode == 2
