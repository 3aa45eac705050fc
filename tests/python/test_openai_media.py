"""Images, files and audio through the official client, and an https URL that the gateway fetches."""

from __future__ import annotations

import base64
import http.server
import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from authority import Authority
from outcrop_process import PATIENCE, Outcrop
from samples import CLAUDE, NOVA, PNG_URL, png

VOXTRAL = "mistral.voxtral-small-24b-2507"


def pdf(rng: random.Random) -> bytes:
    """A minimal, unique PDF."""
    return b"%PDF-1.4\n%" + rng.randbytes(64).replace(b"\n", b" ") + b"\n%%EOF\n"


def data(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def ask(client: openai.OpenAI, model: str, *parts: dict[str, Any]) -> str:
    messages: list[Any] = [{"role": "user", "content": list(parts)}]
    answer = client.chat.completions.create(model=model, messages=messages)
    assert answer.choices[0].message.content
    return answer.choices[0].message.content


def file(name: str, content: bytes, mime: str = "application/pdf") -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data(mime, content)}}


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_images_and_files(client: openai.OpenAI, rng: random.Random, model: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": PNG_URL}}
    ask(client, model, picture)
    ask(client, model, file("John's  report #1.pdf", pdf(rng)))
    same = [file("scan.pdf", pdf(rng)), file("scan.pdf", pdf(rng)), file("", pdf(rng))]
    ask(client, model, {"type": "text", "text": "Compare them."}, picture, *same)


def test_audio(client: openai.OpenAI, rng: random.Random) -> None:
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt " + rng.randbytes(64)
    encoded = base64.b64encode(wav).decode()
    sound = {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}
    ask(client, VOXTRAL, {"type": "text", "text": "Write it down."}, sound)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, NOVA, sound)
    assert refused.value.param == "messages[0].content[0].input_audio.data"


def test_too_many_and_too_large_files(client: openai.OpenAI, rng: random.Random) -> None:
    with pytest.raises(openai.BadRequestError, match="up to 5"):
        ask(client, CLAUDE, *[file(f"{at}.pdf", pdf(rng)) for at in range(6)])
    with pytest.raises(openai.BadRequestError, match="up to 4718592"):
        ask(client, CLAUDE, file("large.pdf", pdf(rng) + bytes(4_718_592)))


@contextmanager
def https_origin(authority: Authority) -> Iterator[int]:
    """Serves an image over https and redirects all other paths to it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            picture = png()
            self.send_response(200 if self.path == "/a.png" else 302)
            self.send_header("Location", "/a.png")
            self.send_header("Content-Length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_https_url_is_fetched_where_allowed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with https_origin(authority) as port:
        yaml = (
            f"media: {{ fetch: true, ports: [{port}],"
            ' allow_private: [127.0.0.0/8, "::1/128"] }\n'
        )
        gateway = Outcrop(
            ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"],
            files={"outcrop.yaml": yaml},
            environment={"SSL_CERT_FILE": str(authority.root)},
        )
        with gateway, openai.OpenAI(
            base_url=f"{gateway.url}/v1", api_key="any", max_retries=0, timeout=PATIENCE
        ) as client:

            def link(url: str) -> dict[str, Any]:
                return {"type": "image_url", "image_url": {"url": url}}

            ask(client, NOVA, link(f"https://localhost:{port}/a.png"))
            told = set()
            for url in (
                f"https://localhost:{port}/elsewhere",
                f"https://127.0.0.2:{port}/a.png",  # nobody listens, and the name would be wrong
                f"http://localhost:{port}/a.png",
                f"https://192.168.0.1:{port}/a.png",
            ):
                with pytest.raises(openai.BadRequestError) as refused:
                    ask(client, NOVA, link(url))
                told.add((refused.value.message, refused.value.code))
            assert len(told) == 1
