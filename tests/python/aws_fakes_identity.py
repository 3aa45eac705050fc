"""STS and SSO on loopback: services that exchange another proof of identity for temporary credentials."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aws_fakes import Answer, Call, Fake, Issued, Mint

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/gateway"


@dataclass
class Trust:
    """A role's trust policy: who may assume it, and with which parameters."""

    signed_by: Credentials | None = None
    web_token: str | None = None
    external_id: str | None = None
    session_name: str | None = None
    tags: dict[str, str] | None = None


class Sts(Fake):
    """AssumeRole and AssumeRoleWithWebIdentity."""

    def __init__(self, mint: Mint, roles: dict[str, Trust], region: str = "us-east-1") -> None:
        super().__init__()
        self.mint = mint
        self.roles = roles
        self.region = region
        self.lifetime = 3600.0
        self.handed_out: list[Issued] = []
        # Called before a request is checked, for trust that is set up only then.
        self.prepare: Callable[[], None] = lambda: None

    def answer(self, call: Call) -> Answer:
        self.prepare()
        form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        problems = self.objections(call, form)
        if problems:
            self.problems += problems
            error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>"
            return Answer(f"<ErrorResponse>{error}</ErrorResponse>", 403, "text/xml")
        issued = self.mint.session(self.lifetime)
        self.handed_out.append(issued)
        return Answer(assumed(form["Action"], form["RoleArn"], form["RoleSessionName"], issued), kind="text/xml")

    def objections(self, call: Call, form: dict[str, str]) -> list[str]:
        trust = self.roles.get(form.get("RoleArn", ""))
        if trust is None or call.method != "POST" or call.path != "/":
            return [f"{call.method} {call.path} for {form.get('RoleArn')}"]
        wanted = {
            "Action": "AssumeRole" if trust.web_token is None else "AssumeRoleWithWebIdentity",
            "ExternalId": trust.external_id,
            "WebIdentityToken": trust.web_token,
            "Version": "2011-06-15",
        }
        problems = [f"{name} is {form.get(name)!r}" for name, value in wanted.items() if form.get(name) != value]
        session = form.get("RoleSessionName", "")
        if not session or trust.session_name not in (None, session):
            problems.append(f"RoleSessionName is {session!r}")
        tags = {form[f"Tags.member.{n}.Key"]: form[f"Tags.member.{n}.Value"] for n in range(1, 51) if f"Tags.member.{n}.Key" in form}
        if tags != (trust.tags or {}):
            problems.append(f"Tags are {tags!r}")
        if trust.signed_by is None:
            return problems + (["signed without need"] if "authorization" in call.headers else [])
        return problems + signature_problems(call, trust.signed_by, self.region, self.server.server_port)


def assumed(action: str, role: str, session: str, issued: Issued) -> str:
    """The answer of STS in its XML."""
    keys = issued.keys
    arn = f"{role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{session}"
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
        f"<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{session}</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{keys.access_key}</AccessKeyId><SecretAccessKey>{keys.secret_key}</SecretAccessKey>"
        f"<SessionToken>{keys.token}</SessionToken><Expiration>{issued.expiration}</Expiration></Credentials>"
        f"</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
    )


def signature_problems(call: Call, keys: Credentials, region: str, port: int) -> list[str]:
    """Whether the call was signed for STS with these keys."""
    scheme, _, rest = call.headers.get("authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return ["not signed"]
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    stamp = call.headers["x-amz-date"]
    scope = f"{keys.access_key}/{stamp[:8]}/{region}/sts/aws4_request"
    if parts["Credential"] != scope:
        return [f"signed with {parts['Credential']}, expected {scope}"]
    if call.headers.get("x-amz-security-token") != keys.token:
        return ["wrong session token"]
    names = parts["SignedHeaders"].split(";")
    request = AWSRequest(
        method=call.method,
        url=f"http://127.0.0.1:{port}{call.target}",
        data=call.body,
        headers={name: call.headers[name] for name in names},
    )
    request.context["timestamp"] = stamp
    signer = SigV4Auth(keys, "sts", region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    return [] if signer.signature(to_sign, request) == parts["Signature"] else ["the signature differs"]


class Portal(Fake):
    """SSO's portal, which exchanges a token for role credentials, and the service that renews tokens."""

    ROLE_NAME = "GatewayRole"

    def __init__(self, mint: Mint) -> None:
        super().__init__()
        self.mint = mint
        self.token = mint.secret("sso")
        self.refresh_token = mint.secret("refresh")
        self.client_secret = mint.secret("client")
        self.handed_out: list[Issued] = []

    def answer(self, call: Call) -> Answer:
        if (call.method, call.path) == ("POST", "/token"):
            return self.renew(json.loads(call.body))
        query = parse_qs(urlsplit(call.target).query)
        if call.path != "/federation/credentials" or query != {
            "role_name": [self.ROLE_NAME],
            "account_id": [ACCOUNT],
        }:
            return self.refuse(f"{call.method} {call.target}", 404)
        if call.headers.get("x-amz-sso_bearer_token") != self.token:
            return self.refuse("wrong SSO token")
        issued = self.mint.session()
        self.handed_out.append(issued)
        credentials = {
            "accessKeyId": issued.keys.access_key,
            "secretAccessKey": issued.keys.secret_key,
            "sessionToken": issued.keys.token,
            "expiration": int(issued.expires * 1000),
        }
        return Answer(json.dumps({"roleCredentials": credentials}))

    def renew(self, asked: dict[str, str]) -> Answer:
        wanted = {
            "clientId": "gateway-client",
            "clientSecret": self.client_secret,
            "grantType": "refresh_token",
            "refreshToken": self.refresh_token,
        }
        if asked != wanted:
            return self.refuse(f"token renewal with {sorted(asked)}")
        self.token = self.mint.secret("sso")
        return Answer(json.dumps({"accessToken": self.token, "expiresIn": 28800, "tokenType": "Bearer"}))

    def sign_in(self, home: Path, cached_as: str, *, lifetime: float = 3600.0, renewable: bool = False) -> None:
        """Writes a token to the cache, as `aws sso login` does."""
        token = {"accessToken": self.token, "expiresAt": in_seconds(lifetime), "region": "us-east-1"}
        if renewable:
            token |= {
                "clientId": "gateway-client",
                "clientSecret": self.client_secret,
                "refreshToken": self.refresh_token,
                "registrationExpiresAt": in_seconds(86400),
            }
        cache = home / ".aws" / "sso" / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha1(cached_as.encode()).hexdigest()
        (cache / f"{name}.json").write_text(json.dumps(token))


def in_seconds(seconds: float) -> str:
    """A time from now in the token cache's format."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
