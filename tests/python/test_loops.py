"""Endpoints that are gateways: a call that would loop is refused, whichever gateway forwarded it."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_fakes import Mint
from forward_proxy import closed_port
from outcrop_process import Outcrop, run_to_end
from samples import NOVA
from sse import chat

REQUEST = {"model": NOVA, "messages": [{"role": "user", "content": "Hi."}]}


def gateway(mint: Mint, listen: str, endpoint: str, *more: str) -> Outcrop:
    environment = {
        **mint.lasting().environment,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": endpoint,
    }
    return Outcrop(["--listen", listen, *more], environment=environment)


def test_two_gateways_in_a_loop_end_the_call() -> None:
    mint = Mint()
    one, other = closed_port(), closed_port()
    with ExitStack() as stack:
        gateways = [
            stack.enter_context(gateway(mint, f"127.0.0.1:{port}", f"http://127.0.0.1:{next_port}/bedrock"))
            for port, next_port in [(one, other), (other, one)]
        ]
        status, _, body = chat(gateways[0].address, REQUEST)
        assert status >= 400, body
        assert "a gateway whose Bedrock endpoint is a gateway" in body["error"]["message"]
        log = gateways[1].log()
        assert "a gateway sent this call on" in log and log.count(" status=508 ") == 1, log


def own_names() -> list[str]:
    """Names and addresses by which this machine may be called from here."""
    names = ["localhost", "0.0.0.0", "127.0.0.2", "[::1]"]
    try:
        found = socket.getaddrinfo(socket.gethostname(), 1, socket.AF_INET)
        names += [socket.gethostname(), str(found[0][4][0])]
    except OSError:
        pass
    return names


@pytest.mark.parametrize("name", own_names())
def test_an_endpoint_that_is_the_gateway_is_refused_at_start(name: str) -> None:
    port = closed_port()
    environment = {
        **Mint().lasting().environment,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://{name}:{port}/bedrock",
    }
    listen = ["--listen", f"0.0.0.0:{port}", "--allow-anonymous"]
    files = {"c.yaml": f"listen: 0.0.0.0:{port}\nallow_anonymous: true\n"}
    for arguments in [listen, ["check", "c.yaml"]]:
        result = run_to_end(arguments, environment=environment, files=files)
        assert result.returncode == 2 and "gateway's own address" in result.stderr, result.stderr


def test_the_refusal_has_each_apis_format() -> None:
    hop = {"x-outcrop-hop": "1"}
    with Outcrop(["--demo", "--listen", "127.0.0.1:0"]) as running:
        status, _, body = chat(running.address, REQUEST, hop)
        assert (status, body["error"]["code"]) == (508, "loop_detected")
        client = boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"{running.url}/bedrock",
            aws_access_key_id="AKIDDUMMY",
            aws_secret_access_key="dummy",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-send", lambda request, **_: request.headers.__setitem__("x-outcrop-hop", "1"))
        with pytest.raises(ClientError) as raised:
            client.converse(modelId=NOVA, messages=[{"role": "user", "content": [{"text": "Hi."}]}])
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 508
