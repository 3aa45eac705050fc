"""The configuration through the real binary: unchanged LiteLLM files, targets with credentials of their
own, `outcrop check` and `outcrop schema`, and files that change while a gateway runs."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.credentials import Credentials
from jsonschema import Draft202012Validator

from aws_fakes import Judge, Mint
from aws_fakes_identity import ROLE, Sts, Trust
from credential_gateway import gateway, write_profiles
from outcrop_process import PATIENCE, Outcrop, run_to_end
from samples import NOVA
from sse import chat, request
from upstream import Expectation, Upstream

CONFIG = Path(__file__).resolve().parents[2] / "config"
LITELLM = """\
model_list:
- model_name: my-claude-model
  litellm_params:
    model: bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0
    aws_region_name: us-west-2
    custom_llm_provider: bedrock
- model_name: my-claude-model
  litellm_params:
    model: bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0
    aws_region_name: us-east-1
    custom_llm_provider: bedrock
- model_name: my-cohere-model
  litellm_params:
    model: bedrock/cohere.command-r-v1:0
    aws_region_name: us-east-1
    custom_llm_provider: bedrock
"""


def asking(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi."}]}


def until(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def signed_for(headers: dict[str, str]) -> str:
    """Region in a signature's scope."""
    return headers["authorization"].split("Credential=")[1].split("/")[2]


# --- LiteLLM's file ---------------------------------------------------------------------------


def test_litellms_file_runs_unchanged_on_the_demo() -> None:
    """Its models are past their end of life, which the emulator reports as Bedrock does."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "config.yaml"]
    with Outcrop(arguments, files={"config.yaml": LITELLM}) as running:
        listed = request(running.address, "GET", "/v1/models")[1]["data"]
        assert [model["id"] for model in listed][:2] == ["my-claude-model", "my-cohere-model"]
        assert "WARN  outcrop" not in running.log()
        for model in ["my-claude-model", "my-cohere-model"]:
            status, _, answer = chat(running.address, asking(model))
            assert status == 200 or "end of its life" in answer["error"]["message"], answer


def test_litellms_group_is_called_in_its_regions() -> None:
    keys = Credentials("AKIDGROUP", "group-secret")
    with Upstream(Expectation(credentials=keys, region="us-east-1")) as upstream:
        environment = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url,
        }
        arguments = ["--listen", "127.0.0.1:0", "--config", "config.yaml"]
        with Outcrop(arguments, environment=environment, files={"config.yaml": LITELLM}) as running:
            for _ in range(6):
                assert chat(running.address, asking("my-claude-model"))[0] == 200
            assert chat(running.address, asking(NOVA))[0] == 404, "only listed names are served"
            native = boto3.client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=f"{running.url}/bedrock",
                aws_access_key_id="AKIDDUMMY",
                aws_secret_access_key="dummy",
            )
            message = {"role": "user", "content": [{"text": "Hi."}]}
            answer = native.converse(modelId="my-cohere-model", messages=[message])
            assert answer["stopReason"] == "end_turn"
    regions = [signed_for(received.headers) for received in upstream.received]
    assert sorted(set(regions[:6])) == ["us-east-1", "us-west-2"], regions
    ids = [received.model_id for received in upstream.received]
    assert set(ids[:6]) == {"us.anthropic.claude-3-5-sonnet-20240620-v1:0"}
    assert ids[6:] == ["cohere.command-r-v1:0"]
    assert not any(received.problems for received in upstream.received if signed_for(received.headers) == "us-east-1")


def test_the_examples_run_on_the_demo() -> None:
    for name in ["litellm.example.yaml", "outcrop.example.yaml"]:
        arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", str(CONFIG / name)]
        with Outcrop(arguments) as running:
            assert chat(running.address, asking("bedrock/nova-lite"))[0] == 200, running.log()
            said = [line for line in running.log().splitlines() if "outcrop::" in line]
            assert len([line for line in said if "::access" not in line]) <= 12, running.log()
            assert ("gpt-4o (openai)" in running.log()) == name.startswith("litellm")


# --- targets with credentials -----------------------------------------------------------------


def test_every_target_signs_with_its_own_credentials(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """The gateway's own credentials, another access key, a profile, and roles assumed in three ways."""
    own, other, work = mint.lasting(), mint.session(), mint.lasting()
    write_profiles(tmp_path, credentials=f"[work]\n{work.ini}")
    secret = tmp_path / "secret"
    secret.write_text(f"{other.keys.secret_key}\n")
    token = tmp_path / "token"
    token.write_text(mint.secret("web"))
    roles = {
        ROLE: Trust(signed_by=own.keys, external_id="e-1", session_name="search", tags={"team": "search"}),
        f"{ROLE}-work": Trust(signed_by=work.keys),
    }
    with Sts(mint, roles) as sts:
        text = f"""
models:
  own: {NOVA}
  keys: {{ model: {NOVA}, access_key_id: {other.keys.access_key}, secret_access_key_file: {secret}, session_token: os.environ/TOKEN }}
  profile: {{ model: {NOVA}, profile: work }}
  role: {{ model: {NOVA}, role_arn: "{ROLE}", external_id: e-1, session_name: search, session_tags: {{ team: search }} }}
  work-role: {{ model: {NOVA}, profile: work, role_arn: "{ROLE}-work" }}
"""
        environment = own.environment | {"TOKEN": other.keys.token, "AWS_ENDPOINT_URL_STS": sts.url}
        arguments = ["--config", "outcrop.yaml"]
        with gateway(judge, tmp_path, environment, arguments=arguments, files={"outcrop.yaml": text}) as running:
            for name in ["own", "keys", "profile", "role", "work-role", "role"]:
                status, _, answer = chat(running.address, asking(name))
                assert status == 200, (name, answer, sts.problems)
        first, second = (issued.keys.access_key for issued in sts.handed_out)
        used = [received.headers["authorization"].split("Credential=")[1].split("/")[0] for received in judge.received]
        assert used == [own.keys.access_key, other.keys.access_key, work.keys.access_key, first, second, first]
        assert sts.problems == [] and judge.refusals == []
        assert [received.problems for received in judge.received] == [[]] * 6


def test_litellms_credentials(mint: Mint, judge: Judge, tmp_path: Path) -> None:
    """A role, a web identity and a bearer key, as LiteLLM's users write them."""
    own = mint.lasting()
    token = tmp_path / "token"
    token.write_text(mint.secret("web"))
    bearer = mint.secret("bearer")
    roles = {
        ROLE: Trust(signed_by=own.keys, external_id="e-1", session_name="s"),
        f"{ROLE}-web": Trust(web_token=token.read_text()),
    }
    with Sts(mint, roles) as sts, Upstream(Expectation(bearer=bearer)) as keyed:
        text = f"""
model_list:
- {{ model_name: role, litellm_params: {{ model: bedrock/{NOVA}, aws_role_name: "{ROLE}", aws_session_name: s, aws_external_id: e-1, aws_sts_endpoint: "{sts.url}" }} }}
- {{ model_name: web, litellm_params: {{ model: bedrock/{NOVA}, aws_role_name: "{ROLE}-web", aws_session_name: s, aws_web_identity_token: {token} }} }}
- {{ model_name: bearer, litellm_params: {{ model: bedrock/{NOVA}, api_key: os.environ/BEARER, aws_bedrock_runtime_endpoint: "{keyed.url}" }} }}
"""
        environment = own.environment | {"BEARER": bearer, "AWS_ENDPOINT_URL_STS": sts.url}
        arguments = ["--config", "config.yaml"]
        with gateway(judge, tmp_path, environment, arguments=arguments, files={"config.yaml": text}) as running:
            for name in ["role", "web", "bearer"]:
                status, _, answer = chat(running.address, asking(name))
                assert status == 200, (name, answer, sts.problems)
        assert sts.problems == [] and judge.refusals == []
        assert len(sts.handed_out) == 2 and len(judge.received) == 2
        assert [received.problems for received in keyed.received] == [[]]


# --- check and schema -------------------------------------------------------------------------

SECRETS = {"KEY": "canary-bearer-51c", "SECRET_FILE": "secret.txt"}
OURS = """\
listen: os.environ/WHERE
timeouts:
  total: 60
models:
  fast: { model: nova-lite, region: eu-west-1, bearer_key: os.environ/KEY }
  slow: { model: nova-pro, access_key_id: AKIDX, secret_access_key: os.environ/SECRET }
"""


def test_check_shows_each_value_and_its_source() -> None:
    environment = {**SECRETS, "WHERE": "127.0.0.1:7", "AWS_REGION": "us-east-2"}
    files = {"outcrop.yaml": OURS, "secret.txt": "canary-secret-8a2\n"}
    result = run_to_end(["check", "--all", "outcrop.yaml"], environment=environment, files=files)
    assert result.returncode == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for wanted in [
        "listen: 127.0.0.1:7 # environment WHERE",
        "region: us-east-2 # environment AWS_REGION",
        "timeouts.total: 60 # outcrop.yaml:3",
        "timeouts.connect: 3 # default",
        "models.fast.region: eu-west-1 # outcrop.yaml:5",
        "models.fast.bearer_key: [secret] # environment KEY",
        "models.slow.secret_access_key: [secret] # environment SECRET_FILE",
    ]:
        assert wanted in lines, f"{wanted} is missing:\n{result.stdout}"
    said = result.stdout + result.stderr
    assert "canary" not in said


def test_check_begins_with_a_verdict_and_the_notes_and_leaves_defaults_out() -> None:
    text = "models: { fast: nova-ligth, pro: nova-pro }\nworkers: 2\n"
    environment = {"AWS_REGION": "us-east-1"}
    result = run_to_end(["check", "c.yaml"], environment=environment, files={"c.yaml": text})
    assert result.returncode == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "# c.yaml can be used: 2 names, 1 note",
        '# note: models.fast: no model "nova-ligth" is known; did you mean nova-lite?',
        "workers: 2 # c.yaml:2",
        "region: us-east-1 # environment AWS_REGION",
        "models.fast: nova-ligth # c.yaml:1",
        "models.pro: nova-pro # c.yaml:1",
        lines[-1],
    ]
    assert lines[-1].startswith("# not shown: ") and lines[-1].endswith("(--all)")
    strict = run_to_end(["check", "--strict", "c.yaml"], environment=environment, files={"c.yaml": text})
    assert strict.returncode == 2 and "refused by --strict" in strict.stderr


def test_values_are_quoted_and_secrets_are_not() -> None:
    text = (
        'workers: "many"\nlisten: 4000\nregion: os.environ/CANARY\n'
        "thinking_memory: { store: 'redis://:canary@host', secret: 12345678 }\n"
        "models: { a: { model: b, access_key_id: A, secret_access_key: 987654 } }\n"
    )
    result = run_to_end(["check", "c.yaml"], environment={"CANARY": "canary"}, files={"c.yaml": text})
    assert result.returncode == 2 and result.stdout == ""
    for wanted in [
        "outcrop: c.yaml cannot be used: ",
        'c.yaml:1: workers: "many" is not a whole number from 1 to 1024',
        "c.yaml:2: listen: 4000 is not an address such as 127.0.0.1:4000",
        "c.yaml:3: region: the value of CANARY is not a region",
    ]:
        assert wanted in result.stderr, result.stderr
    for secret in ["canary", "12345678", "987654"]:
        assert secret not in result.stderr


def listens_at(port: int) -> dict[str, str]:
    return {"c.yaml": f"listen: 127.0.0.1:{port}\n", "bad.pem": "no certificate\n"}


@pytest.mark.parametrize(
    ("variables", "more", "said"),
    [
        ({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://localhost:4123/bedrock"}, "", "gateway's own address"),
        ({"AWS_ENDPOINT_URL": "http://0.0.0.0:4123"}, "", "gateway's own address"),
        ({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "bedrock.example.com"}, "", "endpoint of bedrock-runtime"),
        ({"HTTPS_PROXY": "ftp://proxy:1"}, "", "HTTPS_PROXY names no proxy"),
        ({"AWS_CA_BUNDLE": "bad.pem"}, "", "trust roots: "),
        ({"AWS_CA_BUNDLE": "none.pem"}, "", "none.pem"),
        ({"AWS_PROFILE": "nobodys"}, "", "profile nobodys is in none of AWS's profile files"),
        ({}, "tls: { certificate: bad.pem, key: bad.pem }\n", "tls: bad.pem"),
        ({}, "models: { a: { model: nova-lite, profile: nobodys } }\n", "profile nobodys"),
    ],
)
def test_check_finds_what_the_start_would_find(variables: dict[str, str], more: str, said: str) -> None:
    files = listens_at(4123)
    files["c.yaml"] += more
    environment = {"AWS_REGION": "us-east-1", **variables}
    result = run_to_end(["check", "c.yaml"], environment=environment, files=files)
    assert result.returncode == 2 and said in result.stderr, result.stderr
    alone = run_to_end(["check", "--file-only", "c.yaml"], environment=environment, files=files)
    assert alone.returncode == 0, alone.stderr


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "HTTPS_PROXY", "AWS_CA_BUNDLE", "OUTCROP_CONFIG"])
def test_check_takes_blank_variables_for_unset_ones(name: str) -> None:
    result = run_to_end(["check", "c.yaml"], environment={"AWS_REGION": "us-east-1", name: ""}, files={"c.yaml": ""})
    assert result.returncode == 0, result.stderr
    assert "no notes" in result.stdout.splitlines()[0]


def test_the_usual_places_are_looked_at() -> None:
    """In the working directory, then below XDG_CONFIG_HOME; a named file, or OUTCROP_CONFIG, comes first."""
    region = {"AWS_REGION": "us-east-1"}
    files = {"outcrop.yaml": "models: { here: nova-lite }\n", "named.yaml": "models: { named: nova-lite }\n"}
    for arguments, environment, name in [
        (["check"], {}, "here"),
        (["check", "named.yaml"], {}, "named"),
        (["check", "--config", "named.yaml"], {}, "named"),
        (["check"], {"OUTCROP_CONFIG": "named.yaml"}, "named"),
    ]:
        result = run_to_end(arguments, environment=region | environment, files=files)
        assert f"models.{name}: nova-lite" in result.stdout, result.stdout + result.stderr
    nothing = run_to_end(["check"], environment=region)
    assert nothing.returncode == 0 and "the environment, without a file, can be used" in nothing.stdout


def test_check_names_what_is_ignored() -> None:
    text = LITELLM + (
        "- { model_name: gpt-4o, litellm_params: { model: openai/gpt-4o, api_key: sk-canary } }\n"
        "router_settings: { num_retries: 3, frobnicate: 1 }\n"
    )
    for arguments, code in [(["check", "c.yaml"], 0), (["check", "--strict", "c.yaml"], 2)]:
        result = run_to_end(arguments, files={"c.yaml": text})
        assert result.returncode == code, result.stderr
        for wanted in ["gpt-4o (openai)", "router_settings.num_retries", "router_settings.frobnicate"]:
            assert wanted in result.stdout
        assert "model_list[1].litellm_params.aws_region_name: us-east-1" in result.stdout
        assert "canary" not in result.stdout + result.stderr


def test_check_refuses_unusable_files() -> None:
    result = run_to_end(["check", "c.yaml"], files={"c.yaml": "lisen: 1\nmodels:\n  a: { region: x }\n"})
    assert result.returncode == 2 and result.stdout == ""
    for wanted in ["c.yaml:1: lisen is not a key; did you mean listen?", "c.yaml:3: models.a.model is missing"]:
        assert wanted in result.stderr


INVALID = [
    "lisen: 1",
    "workers: 0",
    "workers: many",
    "timeouts: { connect: -1 }",
    "timeouts: 3",
    "cross_region: maybe",
    "models: { a: 1 }",
    "models: { a: {} }",
    "models: { a: { model: b, regoin: us-east-1 } }",
    "models: { a: { model: b, region: nowhere } }",
    "models: { a: { model: b, weight: -1 } }",
    "models: { a: { model: b, external_id: e } }",
    "models: { a: { model: b, guardrail: { id: g } } }",
    "models: { a: { targets: [b], model: c } }",
    'models: { "a*b*": c }',
    "models: { a: [[b]] }",
    "defaults: { model: b }",
    "catalogue: { a.b: { contxt: 1 } }",
    "catalogue: { 'a*b': {} }",
    "catalogue: { a.b: { prices: { input: -1 } } }",
    "catalogue: { a.b: { like: 1 } }",
]
VALID = [
    "{}",
    OURS,
    "models: { a: [b, { model: c, weight: 0.5 }], d: { targets: [e], guardrail: { id: g, version: 1, mode: mandatory } } }",
    "workers: os.environ/WORKERS\nmodels_only: true\nmodels: { 'claude-*': '*' }",
    "models: { a: { model: b, role_arn: 'arn:aws:iam::1:role/r', session_tags: { team: t }, accepts: { tool_choice: any } } }",
    "catalogue: { 'a.b*': { like: 'mistral.*', context: 1, eol: '2030-01-01', prices: { input: 1, geo: { input: 2 } } } }",
]


def test_the_schema_agrees_with_the_gateway() -> None:
    written = run_to_end(["schema"])
    assert written.returncode == 0
    schema = json.loads(written.stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    example = yaml.safe_load((CONFIG / "outcrop.example.yaml").read_text())
    assert [error.message for error in validator.iter_errors(example)] == []
    environment = {**SECRETS, "WHERE": "127.0.0.1:7", "WORKERS": "2"}
    for texts, valid in [(VALID, True), (INVALID, False)]:
        for text in texts:
            assert validator.is_valid(yaml.safe_load(text)) is valid, text
            files = {"c.yaml": text, "secret.txt": "s"}
            result = run_to_end(["check", "c.yaml"], environment=environment, files=files)
            assert (result.returncode == 0) is valid, (text, result.stderr)


def yaml_blocks() -> list[tuple[str, str]]:
    """Every configuration printed in docs/, with its page."""
    pages = sorted((CONFIG.parent / "docs").rglob("*.md"))
    return [
        (page.name, rest.split("```", 1)[0])
        for page in pages
        for rest in page.read_text().split("```yaml\n")[1:]
    ]


@pytest.mark.parametrize(("page", "block"), yaml_blocks())
def test_a_printed_configuration_is_valid(page: str, block: str) -> None:
    environment = {"PARTNER_ID": "p", "OUTCROP_SECRET": "sixteen bytes or more"}
    result = run_to_end(["check", "--file-only", "c.yaml"], environment=environment, files={"c.yaml": block})
    assert result.returncode == 0, (page, result.stderr)


def test_check_shows_the_mandatory_guardrail_of_the_docs() -> None:
    [block] = [block for page, block in yaml_blocks() if page == "configuration.md"]
    result = run_to_end(["check", "--file-only", "c.yaml"], environment={"PARTNER_ID": "p"}, files={"c.yaml": block})
    assert "models.partner.guardrail.mode: mandatory" in result.stdout, result.stderr


# --- reload -----------------------------------------------------------------------------------


def changing(text: str) -> Outcrop:
    """A gateway with the demo, whose file a test rewrites."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    return Outcrop(arguments, files={"outcrop.yaml": text})


def rewrite(running: Outcrop, text: str) -> None:
    Path(running.folder.name, "outcrop.yaml").write_text(text)


def test_a_changed_file_is_reloaded() -> None:
    with changing("models_only: true\nmodels: { first: nova-lite }\n") as running:
        assert chat(running.address, asking("first"))[0] == 200
        rewrite(running, "models_only: true\nmodels: { second: nova-lite }\n")
        until("the new name", lambda: chat(running.address, asking("second"))[0] == 200)
        assert chat(running.address, asking("first"))[0] == 404
        rewrite(running, "models_only: true\nmodels: { third: [ }\n")
        until("the complaint", lambda: "configuration unchanged" in running.log())
        line = next(line for line in running.log().splitlines() if "configuration unchanged" in line)
        assert "configuration unchanged: outcrop.yaml:2: cannot read YAML: " in line, line
        assert "configuration read again: models.second: nova-lite is new, models.first is gone" in running.log()
        assert chat(running.address, asking("second"))[0] == 200


def test_sighup_reloads_at_once_and_names_settings_that_need_a_restart() -> None:
    with changing("models: { first: nova-lite }\n") as running:
        rewrite(running, "workers: 7\nbody: { max_mib: 1 }\nmodels_only: true\nmodels: { second: nova-lite }\n")
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
        until("the new name", lambda: chat(running.address, asking("second"))[0] == 200)
        assert chat(running.address, asking("first"))[0] == 404
        assert "a restart is needed to change workers" in running.log()
        running.process.send_signal(signal.SIGHUP)
        until("the second time", lambda: running.log().count("configuration read again") >= 2)
        running.terminate()
        assert running.wait() == 0
