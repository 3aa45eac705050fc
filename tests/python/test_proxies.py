"""Company networks: a forward proxy as the only way out, and TLS with a private root.

Only the proxy resolves the endpoints' names, so a call that is answered went through it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from aws_fakes import Issued, Judge, Mint
from aws_fakes_identity import ACCOUNT, ROLE, Portal, Sts, Trust
from credential_gateway import TEXT, ask, gateway, prove, write_profiles
from forward_proxy import CorporateRoot, ForwardProxy, closed_port
from outcrop_process import run_to_end
from samples import NOVA
from sse import stream
from upstream import Upstream

RUNTIME = "bedrock.corp.test"
STS = "sts.corp.test"
# AWS's own names, which no test may reach except through its proxy.
AWS_RUNTIME = "bedrock-runtime.us-east-1.amazonaws.com"
AWS_PORTAL = "portal.sso.us-east-1.amazonaws.com"
AWS_OIDC = "oidc.us-east-1.amazonaws.com"


@pytest.mark.parametrize("login", [None, "user:pass word", "user:"])
def test_chat_streams_and_native_calls_go_through_the_proxy(
    mint: Mint, judge: Judge, tmp_path: Path, login: str | None
) -> None:
    issued = mint.lasting()
    quoted = login.replace(" ", "%20") if login else None
    root = CorporateRoot(tmp_path)
    port = root.behind_tls(judge, RUNTIME)
    with ForwardProxy({RUNTIME: port}, login) as proxy:
        address = proxy.url.removeprefix("http://")
        environment = {
            **issued.environment,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"https://{RUNTIME}",
            "AWS_CA_BUNDLE": str(root.root),
            "https_proxy": f"http://{quoted}@{address}" if quoted else f"http://{address}",
        }
        with gateway(judge, tmp_path, environment) as running:
            assert ask(running)[0] == 200
            request = {"model": NOVA, "messages": [{"role": "user", "content": "Hi."}], "stream": True}
            assert TEXT in stream(running.address, request).text
            native = boto3.client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=f"{running.url}/bedrock",
                aws_access_key_id="AKIDDUMMY",
                aws_secret_access_key="dummy",
            )
            native.converse(modelId=NOVA, messages=[{"role": "user", "content": [{"text": "Hi."}]}])
    assert set(proxy.seen) == {f"CONNECT {RUNTIME}:443"}
    assert [received.problems for received in judge.received] == [[], [], []]


def test_a_proxy_that_requires_credentials_gets_them(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    root = CorporateRoot(tmp_path)
    port = root.behind_tls(judge, RUNTIME)
    with ForwardProxy({RUNTIME: port}, "user:secret") as proxy:
        environment = {
            **mint.lasting().environment,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"https://{RUNTIME}",
            "AWS_CA_BUNDLE": str(root.root),
            "HTTPS_PROXY": proxy.url,
        }
        with gateway(judge, tmp_path, environment) as running:
            assert ask(running)[0] == 503
            assert "it asks for credentials (407)" in running.log()
    assert judge.received == []


def test_a_dead_proxy_is_never_bypassed(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    root = CorporateRoot(tmp_path)
    port = root.behind_tls(judge, "127.0.0.1")
    environment = {
        **mint.lasting().environment,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"https://127.0.0.1:{port}",
        "AWS_CA_BUNDLE": str(root.root),
        "HTTPS_PROXY": f"http://127.0.0.1:{closed_port()}",
    }
    with gateway(judge, tmp_path, environment) as running:
        assert ask(running)[0] == 503
    assert judge.received == []
    with gateway(judge, tmp_path, {**environment, "NO_PROXY": "localhost, 127.0.0.1"}) as running:
        assert ask(running)[0] == 200


def test_plain_calls_are_forwarded_with_the_proxys_credentials(
    mint: Mint, judge: Judge, tmp_path: Path
) -> None:
    with ForwardProxy({RUNTIME: judge.server.server_port}, "user:secret") as proxy:
        environment = {
            **mint.lasting().environment,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://{RUNTIME}",
            **proxy.environment("HTTP_PROXY"),
        }
        with gateway(judge, tmp_path, environment) as running:
            assert ask(running)[0] == 200
    assert proxy.seen and all(seen.startswith(f"POST http://{RUNTIME}/model/") for seen in proxy.seen)
    assert [received.problems for received in judge.received] == [[]]


def test_a_variable_that_names_no_proxy_is_an_error_at_start() -> None:
    environment = {"AWS_REGION": "us-east-1", "HTTPS_PROXY": "gopher://user:canary@proxy:1"}
    ended = run_to_end(["--listen", "127.0.0.1:0"], environment=environment)
    assert ended.returncode == 2
    assert "HTTPS_PROXY names no proxy" in ended.stderr and "canary" not in ended.stderr


@pytest.mark.parametrize("way", ["profile", "target", "web identity"])
def test_roles_are_assumed_through_the_proxy_with_the_private_root(
    mint: Mint, judge: Judge, tmp_path: Path, way: str
) -> None:
    base = mint.lasting()
    token = tmp_path / "token"
    token.write_text("web-token")
    trust = Trust(web_token="web-token") if way == "web identity" else Trust(signed_by=base.keys)
    root = CorporateRoot(tmp_path)
    with ExitStack() as stack:
        sts = stack.enter_context(Sts(mint, {ROLE: trust}))
        names = {RUNTIME: root.behind_tls(judge, RUNTIME), STS: root.behind_tls(sts, STS)}
        proxy = stack.enter_context(ForwardProxy(names))
        environment = {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"https://{RUNTIME}",
            "AWS_ENDPOINT_URL_STS": f"https://{STS}",
            "AWS_CA_BUNDLE": str(root.root),
            **proxy.environment(),
        }
        files = {}
        if way == "profile":
            write_profiles(
                tmp_path,
                config=f"[profile x]\nrole_arn = {ROLE}\nsource_profile = base\n",
                credentials=f"[base]\n{base.ini}",
            )
            environment["AWS_PROFILE"] = "x"
        elif way == "target":
            environment |= base.environment
            files["outcrop.yaml"] = f'models: {{ "{NOVA}": {{ model: "{NOVA}", role_arn: "{ROLE}" }} }}\n'
        else:
            environment |= {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
        arguments = ["--config", "outcrop.yaml"] if files else []
        with gateway(judge, tmp_path, environment, arguments=arguments, files=files) as running:
            assert ask(running)[0] == 200
        assert sts.problems == [] and len(sts.handed_out) == 1
    assert f"CONNECT {STS}:443" in proxy.seen and f"CONNECT {RUNTIME}:443" in proxy.seen


@pytest.mark.parametrize("token", ["cached", "expired and renewed"])
def test_single_sign_on_goes_through_the_proxy(mint: Mint, judge: Judge, tmp_path: Path, token: str) -> None:
    """Only the profile and the cached token are there: all endpoints are AWS's own names."""
    expired = token != "cached"
    write_profiles(
        tmp_path,
        config="[profile corp]\nsso_session = corp\n"
        f"sso_account_id = {ACCOUNT}\nsso_role_name = {Portal.ROLE_NAME}\n"
        "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
    )
    root = CorporateRoot(tmp_path)
    with Portal(mint) as portal:
        portal.sign_in(tmp_path, "corp", lifetime=-60 if expired else 3600, renewable=expired)
        behind = root.behind_tls(portal, AWS_PORTAL, AWS_OIDC)
        names = {AWS_RUNTIME: root.behind_tls(judge, AWS_RUNTIME), AWS_PORTAL: behind, AWS_OIDC: behind}
        with ForwardProxy(names) as proxy:
            environment = {
                "AWS_PROFILE": "corp",
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "",
                "AWS_CA_BUNDLE": str(root.root),
                **proxy.environment(),
            }
            with gateway(judge, tmp_path, environment) as running:
                assert ask(running)[0] == 200, running.log()
                prove(running, judge, portal.handed_out[0])
        assert portal.problems == [] and len(portal.handed_out) == 1
    expected = {AWS_RUNTIME, AWS_PORTAL} | ({AWS_OIDC} if expired else set())
    assert set(proxy.seen) == {f"CONNECT {name}:443" for name in expected}


def test_the_bundle_of_a_profile_is_trusted(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    issued: Issued = mint.lasting()
    root = CorporateRoot(tmp_path)
    port = root.behind_tls(judge, "127.0.0.1")
    write_profiles(tmp_path, config=f"[default]\nca_bundle = {root.root}\n")
    environment = {**issued.environment, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"https://127.0.0.1:{port}"}
    with gateway(judge, tmp_path, environment) as running:
        assert ask(running)[0] == 200


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": ""},
        {"AWS_ENDPOINT_URL_STS": "", "AWS_ENDPOINT_URL_BEDROCK": " "},
        {"AWS_RETRY_MODE": "legacy"},
        {"AWS_RETRY_MODE": "", "AWS_MAX_ATTEMPTS": ""},
        {"AWS_MAX_ATTEMPTS": "0"},
        {"AWS_BEARER_TOKEN_BEDROCK": ""},
        {"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_ROLE_ARN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": ""},
        {"OUTCROP_ALLOW_ANONYMOUS": "", "OUTCROP_CONFIG": "", "OUTCROP_LISTEN": ""},
    ],
    ids=lambda variables: ",".join(variables),
)
def test_odd_and_blank_variables_do_not_prevent_the_start(
    mint: Mint, judge: Judge, tmp_path: Path, variables: dict[str, str]
) -> None:
    with gateway(judge, tmp_path, {**mint.lasting().environment, **variables}) as running:
        assert ask(running)[0] == 200
    assert [received.problems for received in judge.received] == [[]]


def test_litellms_variable_names_the_endpoint_of_the_runtime(
    mint: Mint, judge: Judge, tmp_path: Path
) -> None:
    environment = {
        **mint.lasting().environment,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "",
        "AWS_BEDROCK_RUNTIME_ENDPOINT": judge.url,
    }
    with gateway(judge, tmp_path, environment) as running:
        assert ask(running)[0] == 200
    assert isinstance(judge, Upstream) and len(judge.received) == 1
