"""Malformed requests as data: input from broken or hostile clients.

`strict_cases` have valid HTTP and invalid content: each must get an error object. `protocol_cases` are
invalid HTTP as well, where the connection may simply be closed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from samples import ECHO

CHAT = "/v1/chat/completions"
DEPTH = 200_000
OVERSIZE = 120 * 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One request, and the statuses allowed for it (empty: any 4xx)."""

    name: str
    body: bytes = b""
    method: str = "POST"
    path: str = CHAT
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    statuses: tuple[int, ...] = (400,)


def good(**changes: Any) -> dict[str, Any]:
    """A valid request with some fields changed."""
    return {"model": ECHO, "messages": [{"role": "user", "content": "hi"}], **changes}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def strict_cases() -> list[Case]:
    """Every case with valid HTTP."""
    return [
        *bad_json(),
        *nesting(),
        *wrong_roots(),
        *wrong_fields(),
        *wrong_messages(),
        *wrong_parts(),
        *wrong_routes(),
        *wrong_content_types(),
    ]


def bad_json() -> list[Case]:
    """Bodies that are invalid JSON, or JSON that cannot be a request."""
    whole = encoded(good())
    bodies: dict[str, bytes] = {
        "empty body": b"",
        "only spaces": b"   \n\t ",
        "only a byte order mark": b"\xef\xbb\xbf",
        "byte order mark first": b"\xef\xbb\xbf" + whole,
        "nul bytes": b"\x00" * 64,
        "nul after the end": whole + b"\x00",
        "text": b"hello",
        "html": b"<html><body>hi</body></html>",
        "form": b"model=x&messages=y",
        "yaml": b"model: x\nmessages: []\n",
        "two values": whole + whole,
        "trailing word": whole + b" end",
        "trailing comma in object": whole[:-1] + b",}",
        "trailing comma in array": whole.replace(b"}]", b"},]"),
        "leading comma": b"{," + whole[1:],
        "single quotes": whole.replace(b'"', b"'"),
        "no quotes": whole.replace(b'"', b""),
        "comment": b"/* hi */" + whole,
        "line comment": b"// hi\n" + whole,
        "python literals": b"{'model': None, 'messages': True}",
        "nan": whole[:-1] + b', "temperature": NaN}',
        "infinity": whole[:-1] + b', "temperature": Infinity}',
        "minus infinity": whole[:-1] + b', "top_p": -Infinity}',
        "hex number": whole[:-1] + b', "max_tokens": 0x10}',
        "leading zero": whole[:-1] + b', "max_tokens": 010}',
        "leading plus": whole[:-1] + b', "max_tokens": +1}',
        "bare point": whole[:-1] + b', "temperature": .5}',
        "point without digits": whole[:-1] + b', "temperature": 1.}',
        "exponent without digits": whole[:-1] + b', "temperature": 1e}',
        "number beyond a double": whole[:-1] + b', "temperature": 1e999}',
        "undefined": whole[:-1] + b', "temperature": undefined}',
        "missing colon": b'{"model" "x"}',
        "missing value": b'{"model":}',
        "bad escape": whole.replace(b"hi", b"\\x41"),
        "short unicode escape": whole.replace(b"hi", b"\\u12"),
        "lone high surrogate": whole.replace(b"hi", b"\\ud800"),
        "lone low surrogate": whole.replace(b"hi", b"\\udc00"),
        "raw newline in string": whole.replace(b"hi", b"h\ni"),
        "raw control character": whole.replace(b"hi", b"\x01"),
        "invalid utf-8": whole.replace(b"hi", b"\xff\xfe"),
        "overlong utf-8": whole.replace(b"hi", b"\xc0\xaf"),
        "surrogate in utf-8": whole.replace(b"hi", b"\xed\xa0\x80"),
        "cut utf-8": whole.replace(b"hi", b"\xe4\xb8"),
        "invalid utf-8 in a key": whole.replace(b"model", b"mod\xff"),
        "utf-16": encoded(good()).decode().encode("utf-16"),
        "utf-32": encoded(good()).decode().encode("utf-32"),
        "gzip without saying so": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\x00" * 20,
        "random bytes": bytes(range(256)),
        "duplicate model": b'{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}',
        "duplicate messages": b'{"model":"emulator.echo","messages":[],"messages":[]}',
        "duplicate role": b'{"model":"emulator.echo","messages":[{"role":"user","role":"user","content":"x"}]}',
    }
    cuts = {1, 2, 9, 20, 30, len(whole) // 2, len(whole) - 6, len(whole) - 2, len(whole) - 1}
    bodies.update({f"cut after {cut} bytes": whole[:cut] for cut in sorted(cuts)})
    return [Case(name, body) for name, body in bodies.items()]


def nesting() -> list[Case]:
    """Nesting deep enough to overflow a recursive reader's stack."""
    whole = encoded(good())
    arrays, objects = b"[" * DEPTH, b'{"a":' * DEPTH
    return [
        Case("open arrays", arrays),
        Case("open objects", objects),
        Case("closed arrays", arrays + b"]" * DEPTH),
        Case("closed objects", objects + b"1" + b"}" * DEPTH),
        Case("arrays as messages", b'{"model":"m","messages":' + arrays + b"]" * DEPTH + b"}"),
        Case("arrays as content", whole.replace(b'"hi"', arrays + b"]" * DEPTH)),
        Case("objects as content", whole.replace(b'"hi"', objects + b"1" + b"}" * DEPTH)),
        Case("arrays as stop", whole[:-1] + b',"stop":' + arrays + b"]" * DEPTH + b"}"),
        Case("open objects as an unknown field", whole[:-1] + b',"x":' + objects),
    ]


def wrong_roots() -> list[Case]:
    """JSON of the wrong type at its root."""
    values: dict[str, Any] = {
        "null": None,
        "true": True,
        "number": 7,
        "string": "hi",
        "array": [],
        "array of requests": [good()],
        "empty object": {},
        "only a model": {"model": ECHO},
        "only messages": {"messages": good()["messages"]},
        "only unknown fields": {"prompt": "hi", "engine": "x"},
    }
    return [Case(f"root: {name}", encoded(value)) for name, value in values.items()]


def wrong_fields() -> list[Case]:
    """Known root fields with invalid values."""
    wrong: dict[str, list[Any]] = {
        "model": [None, 1, True, [], {}, "", " "],
        "messages": [None, "hi", 1, True, {}, [], [None], [1], ["hi"], [[]], [{}], {"0": {"role": "user"}}],
        "stream": ["true", 1, 0, [], {}],
        "stream_options": ["usage", 1, True, {"include_usage": "yes"}, {"include_usage": 1}],
        "temperature": ["0.5", True, [], {}, -0.1, -1e300, 2.1, 1e300],
        "top_p": ["1", False, [], {}, -0.5, 1.01, 5],
        "max_tokens": ["5", 1.5, True, [], {}, 0, -1, -(2**63), 2**40, 2**63, 10**30, 1e40],
        "max_completion_tokens": ["5", 2.5, [], {}, 0, -5, 2**70],
        "stop": [1, True, {}, [1], [None], [["a"]], [{"a": 1}], ["a", 2]],
    }
    return [
        # A blank model may count as unknown or as invalid.
        Case(
            f"{name}: {json.dumps(value)[:40]}",
            encoded(good(**{name: value})),
            statuses=(400, 404) if name == "model" and isinstance(value, str) else (400,),
        )
        for name, values in wrong.items()
        for value in values
    ]


def wrong_messages() -> list[Case]:
    """Invalid messages."""
    wrong: dict[str, list[dict[str, Any]]] = {
        "no role": [{"content": "x"}],
        "null role": [{"role": None, "content": "x"}],
        "number role": [{"role": 1, "content": "x"}],
        "array role": [{"role": ["user"], "content": "x"}],
        "empty role": [{"role": "", "content": "x"}],
        "unknown role": [{"role": "narrator", "content": "x"}],
        "role in capitals": [{"role": "User", "content": "x"}],
        "unknown role later": [{"role": "user", "content": "x"}, {"role": "bot", "content": "y"}],
        "content number": [{"role": "user", "content": 5}],
        "content true": [{"role": "user", "content": True}],
        "content object": [{"role": "user", "content": {"text": "x"}}],
        "content object of a part": [{"role": "user", "content": {"type": "text", "text": "x"}}],
        "content array of strings": [{"role": "user", "content": ["x"]}],
        "content array of numbers": [{"role": "user", "content": [1]}],
        "content array of nulls": [{"role": "user", "content": [None]}],
        "content array of arrays": [{"role": "user", "content": [[]]}],
        "name is a number": [{"role": "user", "content": "x", "name": 5}],
        "assistant content number": [{"role": "user", "content": "x"}, {"role": "assistant", "content": 1}],
        "system content number": [{"role": "system", "content": 1}, {"role": "user", "content": "x"}],
        "tool_calls is a string": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "y", "tool_calls": "none"},
            {"role": "user", "content": "z"},
        ],
    }
    return [Case(f"messages: {name}", encoded(good(messages=value))) for name, value in wrong.items()]


def wrong_parts() -> list[Case]:
    """Invalid content parts and images."""

    def image(url: Any) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": url}}

    wrong: dict[str, Any] = {
        "no type": {"text": "x"},
        "null type": {"type": None, "text": "x"},
        "number type": {"type": 3, "text": "x"},
        "unknown type": {"type": "smell", "smell": "x"},
        "type in capitals": {"type": "Text", "text": "x"},
        "text missing": {"type": "text"},
        "text null": {"type": "text", "text": None},
        "text number": {"type": "text", "text": 1},
        "text array": {"type": "text", "text": ["x"]},
        "text object": {"type": "text", "text": {"value": "x"}},
        "image missing": {"type": "image_url"},
        "image null": {"type": "image_url", "image_url": None},
        "image number": {"type": "image_url", "image_url": 1},
        "image array": {"type": "image_url", "image_url": []},
        "image without url": {"type": "image_url", "image_url": {"detail": "low"}},
        "image url null": image(None),
        "image url number": image(1),
        "image url empty": image(""),
        "image url without scheme": image("picture.png"),
        "image of a file": image("file:///etc/passwd"),
        "image by ftp": image("ftp://127.0.0.1/x.png"),
        "image by javascript": image("javascript:alert(1)"),
        "data without comma": image("data:image/png;base64"),
        "data without base64": image("data:image/png,hello"),
        "data without type": image("data:;base64,AAAA"),
        "data of a type that no model reads": image("data:application/octet-stream;base64,aGk="),
        "data of svg": image("data:image/svg+xml;base64,PHN2Zy8+"),
        "data empty": image("data:image/png;base64,"),
        "data of bad alphabet": image("data:image/png;base64,!!!!"),
        "data of bad length": image("data:image/png;base64,AAAAA"),
        "data of padding": image("data:image/png;base64,===="),
        "data with a space": image("data:image/png;base64,AA AA"),
        "data that is no picture": image("data:image/png;base64,aGVsbG8gd29ybGQ="),
    }
    return [
        Case(f"part: {name}", encoded(good(messages=[{"role": "user", "content": [part]}])))
        for name, part in wrong.items()
    ]


def wrong_routes() -> list[Case]:
    """Unknown paths, and methods that paths do not support."""
    whole = encoded(good())
    paths = ["/", "/v1", "/v1/", "/v1/chat", "/v2/chat/completions", "/v1/chat/completions/x/y", "/admin",
             "/%2e%2e/etc/passwd", "/v1/chat/completions%00", "/v1/no-such", "/.env"]
    cases = [Case(f"path {path}", whole, path=path, statuses=(404, 405)) for path in paths]
    cases += [
        Case(f"{method} on chat", b"", method=method, statuses=(404, 405))
        for method in ("GET", "PUT", "DELETE", "PATCH", "BREW")
    ]
    cases += [Case("POST on livez", whole, path="/livez", statuses=(404, 405))]
    return cases


def wrong_content_types() -> list[Case]:
    """Bodies that contradict their headers."""
    whole = encoded(good())
    broken = whole[:-1]
    cases = [
        Case(f"broken JSON as {kind}", broken, headers={"content-type": kind} if kind else {}, statuses=())
        for kind in ("", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded", ";;;", "a" * 2000)
    ]
    cases += [
        Case("multipart", b"--x\r\n\r\nhi\r\n--x--", headers={"content-type": "multipart/form-data; boundary=x"}, statuses=()),
        Case("says gzip and is not", whole, headers={"content-type": "application/json", "content-encoding": "gzip"}, statuses=()),
        Case("unknown encoding", whole, headers={"content-type": "application/json", "content-encoding": "rot13"}, statuses=()),
    ]
    return cases


def protocol_cases() -> dict[str, bytes]:
    """Bytes that are not valid HTTP."""
    whole = encoded(good())
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()
    chunked = head + b"transfer-encoding: chunked\r\n\r\n"
    size = f"{len(whole):x}\r\n".encode()
    return {
        "no http": b"hello there\r\n\r\n",
        "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        "http 0.9": b"GET /\r\n\r\n",
        "http 9": b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        "no host": b"GET /livez-not HTTP/1.1\r\n\r\n",
        "bad header name": b"GET /none HTTP/1.1\r\nho st: x\r\n\r\n",
        "header without colon": b"GET /none HTTP/1.1\r\nhost\r\n\r\n",
        "nul in header": b"GET /none HTTP/1.1\r\nhost: \x00\r\n\r\n",
        "long header": b"GET /none HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 300_000 + b"\r\n\r\n",
        "many headers": b"GET /none HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 2000 + b"\r\n",
        "long path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "length is a word": head + b"content-length: ten\r\n\r\n" + whole,
        "negative length": head + b"content-length: -5\r\n\r\n" + whole,
        "huge length": head + b"content-length: 99999999999999999999999\r\n\r\n" + whole,
        "two lengths": head + b"content-length: 3\r\ncontent-length: 4\r\n\r\n" + whole,
        "length and chunked": head + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "short body": head + f"content-length: {len(whole) + 50}\r\n\r\n".encode() + whole,
        "no body at all": head + b"content-length: 10\r\n\r\n",
        "bad chunk size": chunked + b"zz\r\n" + whole + b"\r\n0\r\n\r\n",
        "huge chunk size": chunked + b"ffffffffffffffffff\r\n" + whole,
        "chunk too long": chunked + size + whole + b"more\r\n0\r\n\r\n",
        "chunks without end": chunked + size + whole + b"\r\n",
        "cut chunk": chunked + size + whole[:20],
        "unknown transfer coding": head + b"transfer-encoding: rot13\r\n\r\n" + whole,
    }
