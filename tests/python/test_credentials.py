"""Every source of AWS credentials, checked from a chat to a valid signature.

Each test starts the gateway with the settings of one source only, and a Bedrock that knows which
credentials this source issued. The gateway's log must contain no secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aws_fakes import Container, Issued, Judge, Metadata, Mint
from aws_fakes_identity import ACCOUNT, ROLE, Portal, Sts, Trust
from credential_gateway import HOLDS_NOTHING, RECOVERY, ask, gateway, prove, until, write_profiles
from outcrop_process import Outcrop
from upstream import Expectation, Upstream


# --- keys and bearer keys ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lasting", "session"])
def test_keys_in_the_environment(mint: Mint, judge: Judge, tmp_path: Path, kind: str) -> None:
    issued = mint.lasting() if kind == "lasting" else mint.session()
    with gateway(judge, tmp_path, issued.environment) as running:
        assert "credentials: environment" in running.log()
        prove(running, judge, issued)


@pytest.mark.parametrize("beside", ["alone", "beside access keys"])
def test_bearer_key(mint: Mint, tmp_path: Path, beside: str) -> None:
    key = mint.secret("bearer")
    environment = {"AWS_BEARER_TOKEN_BEDROCK": key}
    if beside != "alone":
        environment |= mint.session().environment
    with Upstream(Expectation(bearer=key)) as upstream:
        with gateway(upstream, tmp_path, environment, mint=mint) as running:
            assert "credentials: bearer key" in running.log()
            assert ask(running)[0] == 200
    assert [received.problems for received in upstream.received] == [[]]


# --- shared files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["credentials", "config"])
def test_default_profile_of_a_shared_file(mint: Mint, judge: Judge, tmp_path: Path, name: str) -> None:
    issued = mint.session()
    write_profiles(tmp_path, **{name: f"[default]\n{issued.ini}"})
    with gateway(judge, tmp_path) as running:
        prove(running, judge, issued)


def test_shared_files_elsewhere(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    issued = mint.lasting()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(f"[default]\n{issued.ini}")
    with gateway(judge, tmp_path, {"AWS_SHARED_CREDENTIALS_FILE": str(elsewhere)}) as running:
        prove(running, judge, issued)


@pytest.mark.parametrize("where", ["AWS_PROFILE", "bedrock.json", "outcrop.yaml"])
def test_named_profile_with_its_region(mint: Mint, tmp_path: Path, where: str) -> None:
    """The profile determines keys and region, in whichever variable it is named."""
    issued, other = mint.session(), mint.lasting()
    write_profiles(
        tmp_path,
        config="[default]\nregion = us-west-1\n[profile team]\nregion = eu-west-2\n",
        credentials=f"[default]\n{other.ini}[team]\n{issued.ini}",
    )
    files = {
        "bedrock.json": {"bedrock.json": json.dumps({"profile": "team"})},
        "outcrop.yaml": {"outcrop.yaml": "profile: team\n"},
    }.get(where, {})
    environment = {"AWS_PROFILE": "team"} if where == "AWS_PROFILE" else {}
    arguments = ["--config", "outcrop.yaml"] if where == "outcrop.yaml" else []
    with Judge(mint, "eu-west-2") as judge:
        with gateway(
            judge, tmp_path, environment, files=files, arguments=arguments, region=None
        ) as running:
            assert "credentials: profile team" in running.log()
            prove(running, judge, issued)


def test_credential_process(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    issued = mint.session()
    said = {
        "Version": 1,
        "AccessKeyId": issued.keys.access_key,
        "SecretAccessKey": issued.keys.secret_key,
        "SessionToken": issued.keys.token,
        "Expiration": issued.expiration,
    }
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps(said))
    program = tmp_path / "program.py"
    program.write_text("import sys; print(open(sys.argv[1]).read()); print('chatter', file=sys.stderr)\n")
    command = f"{sys.executable} {program} {answer} {mint.secret('argument')}"
    write_profiles(tmp_path, config=f"[profile outside]\ncredential_process = {command}\n")
    with gateway(judge, tmp_path, {"AWS_PROFILE": "outside"}) as running:
        prove(running, judge, issued)


# --- roles ------------------------------------------------------------------------------------


def assumed_by(sts: Sts) -> Issued:
    """The credentials that STS issued: once, for a valid request."""
    assert sts.problems == []
    assert len(sts.handed_out) == 1, f"{len(sts.handed_out)} roles assumed"
    return sts.handed_out[0]


def test_assume_role_with_external_id(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    source = mint.lasting()
    trust = Trust(source.keys, external_id="tenant-4711", session_name="gateway-session")
    write_profiles(
        tmp_path,
        config=f"[profile work]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = tenant-4711\n"
        "role_session_name = gateway-session\n",
        credentials=f"[base]\n{source.ini}",
    )
    with Sts(mint, {ROLE: trust}) as sts:
        environment = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_STS": sts.url}
        with gateway(judge, tmp_path, environment) as running:
            assert ask(running)[0] == 200
            prove(running, judge, assumed_by(sts))


def test_assume_role_over_another_role(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """A chain of two roles: the second is assumed with the keys of the first."""
    source, first = mint.session(), f"arn:aws:iam::{ACCOUNT}:role/first"
    write_profiles(
        tmp_path,
        config=f"[profile last]\nrole_arn = {ROLE}\nsource_profile = first\n"
        f"[profile first]\nrole_arn = {first}\nsource_profile = base\n[profile base]\n{source.ini}",
    )
    with Sts(mint, {first: Trust(source.keys)}) as sts:

        def trust_the_first() -> None:
            if sts.handed_out:
                sts.roles[ROLE] = Trust(sts.handed_out[0].keys)

        sts.prepare = trust_the_first
        environment = {"AWS_PROFILE": "last", "AWS_ENDPOINT_URL_STS": sts.url}
        with gateway(judge, tmp_path, environment) as running:
            assert ask(running)[0] == 200
            assert sts.problems == [] and len(sts.handed_out) == 2
            prove(running, judge, sts.handed_out[1])


@pytest.mark.parametrize("source", ["EcsContainer", "Ec2InstanceMetadata"])
def test_assume_role_from_a_credential_source(mint: Mint, judge: Judge, tmp_path: Path, source: str) -> None:
    write_profiles(tmp_path, config=f"[profile work]\nrole_arn = {ROLE}\ncredential_source = {source}\n")
    with Container(mint) as container, Metadata(mint, "us-east-1") as metadata:
        with Sts(mint, {ROLE: Trust()}) as sts:

            def trust_the_source() -> None:
                given = container.handed_out[0] if source == "EcsContainer" else metadata.role
                sts.roles[ROLE].signed_by = given.keys

            sts.prepare = trust_the_source
            environment = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_STS": sts.url}
            if source == "EcsContainer":
                environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = container.url + Container.PATH
            else:
                environment |= {
                    "AWS_EC2_METADATA_DISABLED": "false",
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url,
                }
            with gateway(judge, tmp_path, environment) as running:
                assert ask(running)[0] == 200
                prove(running, judge, assumed_by(sts))
        assert container.problems + metadata.problems == []


def test_keys_in_the_environment_come_before_a_role(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """The order of the AWS SDKs: keys in the environment are used themselves, so `credential_source =
    Environment` has no effect."""
    issued = mint.session()
    write_profiles(tmp_path, config=f"[profile work]\nrole_arn = {ROLE}\ncredential_source = Environment\n")
    with Sts(mint, {ROLE: Trust(issued.keys)}) as sts:
        environment = {**issued.environment, "AWS_PROFILE": "work", "AWS_ENDPOINT_URL_STS": sts.url}
        with gateway(judge, tmp_path, environment) as running:
            assert "credentials: environment" in running.log(), "the log says which of the two it is"
            prove(running, judge, issued)
        assert sts.calls == []


@pytest.mark.parametrize("where", ["environment", "profile"])
def test_web_identity(mint: Mint, judge: Judge, tmp_path: Path, where: str) -> None:
    """IRSA: the projected token of a service account, exchanged for a role without any key."""
    token = mint.secret("jwt")
    token_file = tmp_path / "token"
    token_file.write_text(token)
    with Sts(mint, {ROLE: Trust(web_token=token, session_name="pod")}) as sts:
        environment = {"AWS_ENDPOINT_URL_STS": sts.url}
        if where == "environment":
            environment |= {
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
                "AWS_ROLE_ARN": ROLE,
                "AWS_ROLE_SESSION_NAME": "pod",
            }
        else:
            environment["AWS_PROFILE"] = "pod"
            write_profiles(
                tmp_path,
                config=f"[profile pod]\nrole_arn = {ROLE}\nrole_session_name = pod\n"
                f"web_identity_token_file = {token_file}\n",
            )
        with gateway(judge, tmp_path, environment) as running:
            assert ("web identity" if where == "environment" else "profile pod") in running.log()
            assert ask(running)[0] == 200
            prove(running, judge, assumed_by(sts))


# --- container and instance -------------------------------------------------------------------


@pytest.mark.parametrize("token", ["none", "variable", "file"])
def test_container_endpoint(mint: Mint, judge: Judge, tmp_path: Path, token: str) -> None:
    """A full URI: ECS without or with a token, EKS Pod Identity with a token file."""
    secret = None if token == "none" else mint.secret("pod")
    with Container(mint, secret) as container:
        environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url + Container.PATH}
        if token == "variable":
            environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = secret or ""
        elif token == "file":
            (tmp_path / "pod-token").write_text(secret or "")
            environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(tmp_path / "pod-token")
        with gateway(judge, tmp_path, environment) as running:
            assert "credentials: container" in running.log()
            assert ask(running)[0] == 200
            assert container.problems == []
            prove(running, judge, container.handed_out[0])
        assert len(container.calls) == 1, "good credentials are not fetched again"


def test_container_endpoint_by_relative_uri(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """The address of ECS is fixed and the test cannot listen on it; a proxy is never used for it."""
    mint.lasting()
    with Container(mint) as container:
        environment = {
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": Container.PATH,
            "HTTP_PROXY": container.url,
            "ALL_PROXY": container.url,
            "NO_PROXY": "127.0.0.1",
        }
        with gateway(judge, tmp_path, environment) as running:
            assert ask(running)[0] == 503
            assert "credentials: container" in running.log()
        assert container.calls == []


def test_instance_metadata_gives_region_and_role(mint: Mint, tmp_path: Path) -> None:
    with Metadata(mint, "ap-southeast-2") as metadata, Judge(mint, "ap-southeast-2") as judge:
        environment = {
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url,
        }
        with gateway(judge, tmp_path, environment, region=None) as running:
            assert "Bedrock in ap-southeast-2" in running.log()
            prove(running, judge, metadata.role)
        assert metadata.problems == []
        assert {call.method for call in metadata.calls} == {"PUT", "GET"}


# --- SSO --------------------------------------------------------------------------------------

START = "https://example.awsapps.com/start"
OF_ROLE = f"sso_account_id = {ACCOUNT}\nsso_role_name = {Portal.ROLE_NAME}\n"
OF_SESSION = f"sso_region = us-east-1\nsso_start_url = {START}\n"
SSO = {
    "session": (f"[profile sso]\nsso_session = corp\n{OF_ROLE}[sso-session corp]\n{OF_SESSION}", "corp"),
    "profile alone": (f"[profile sso]\n{OF_ROLE}{OF_SESSION}", START),
}


@contextmanager
def signed_in_gateway(judge: Judge, home: Path, portal: Portal, form: str) -> Iterator[Outcrop]:
    write_profiles(home, config=SSO[form][0])
    environment = {
        "AWS_PROFILE": "sso",
        "AWS_ENDPOINT_URL_SSO": portal.url,
        "AWS_ENDPOINT_URL_SSO_OIDC": portal.url,
    }
    with gateway(judge, home, environment) as running:
        yield running
    assert portal.problems == []


@pytest.mark.parametrize("form", SSO)
def test_sso_token_cache(mint: Mint, judge: Judge, tmp_path: Path, form: str) -> None:
    with Portal(mint) as portal:
        portal.sign_in(tmp_path, SSO[form][1])
        with signed_in_gateway(judge, tmp_path, portal, form) as running:
            assert ask(running)[0] == 200
            prove(running, judge, portal.handed_out[0])
        assert len(portal.calls) == 1


def test_sso_token_is_renewed_and_saved(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    with Portal(mint) as portal:
        portal.sign_in(tmp_path, "corp", lifetime=-60, renewable=True)
        with signed_in_gateway(judge, tmp_path, portal, "session") as running:
            assert ask(running)[0] == 200
            prove(running, judge, portal.handed_out[0])
        saved = next((tmp_path / ".aws" / "sso" / "cache").iterdir())
        assert json.loads(saved.read_text())["accessToken"] == portal.token


def test_sso_after_signing_in_again(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """Without a valid token the answer is 503; `aws sso login` fixes that while the gateway runs."""
    with Portal(mint) as portal:
        portal.sign_in(tmp_path, "corp", lifetime=-60)
        with signed_in_gateway(judge, tmp_path, portal, "session") as running:
            status, headers, answer = ask(running)
            assert (status, answer["error"]["code"]) == (503, HOLDS_NOTHING)
            assert int(headers["retry-after"]) >= 1
            assert "profile sso" in running.log() and "SSO token has expired" in running.log()
            portal.sign_in(tmp_path, "corp")
            until("the new token is found", lambda: ask(running)[0] == 200, RECOVERY)
            prove(running, judge, portal.handed_out[0])
