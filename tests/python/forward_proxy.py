"""A forward proxy on loopback that keeps a log, and the names that only it can resolve."""

from __future__ import annotations

import base64
import select
import socket
import ssl
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from loopback import Loopback

IDLE = 20.0


class ForwardProxy(Loopback):
    """Tunnels CONNECT and forwards plain requests, to the loopback ports given by `names`."""

    def __init__(self, names: dict[str, int], login: str | None = None) -> None:
        self.names = names
        self.login = login
        self.seen: list[str] = []
        super().__init__(handler_for(self))

    def permits(self, given: str | None) -> bool:
        """Whether the credentials of a request are the expected ones."""
        if self.login is None:
            return True
        return given == "Basic " + base64.b64encode(self.login.encode()).decode()

    def environment(self, variable: str = "HTTPS_PROXY") -> dict[str, str]:
        """The variables that route a program's calls through the proxy."""
        address = self.url.removeprefix("http://")
        login = f"{self.login}@" if self.login else ""
        return {variable: f"http://{login}{address}"}


def handler_for(proxy: ForwardProxy) -> type[BaseHTTPRequestHandler]:
    """A request handler bound to its proxy."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE

        def log_message(self, *_: object) -> None:
            """Does not log."""

        def refuses(self, host: str) -> bool:
            proxy.seen.append(f"{self.command} {self.path}")
            if not proxy.permits(self.headers.get("proxy-authorization")):
                self.send_error(407)
            elif host not in proxy.names:
                self.send_error(502)
            else:
                return False
            return True

        def do_CONNECT(self) -> None:
            """Opens a tunnel."""
            host = self.path.rsplit(":", 1)[0]
            if self.refuses(host):
                return
            with socket.create_connection(("127.0.0.1", proxy.names[host]), timeout=IDLE) as other:
                self.send_response(200, "Connection established")
                self.end_headers()
                pump(self.connection, other)
            self.close_connection = True

        def do_POST(self) -> None:
            """Forwards a plain request."""
            parts = urlsplit(self.path)
            host = parts.hostname or ""
            if self.refuses(host):
                return
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            kept = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
            head = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
            with socket.create_connection(("127.0.0.1", proxy.names[host]), timeout=IDLE) as other:
                other.sendall(f"POST {parts.path} HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode() + body)
                while piece := other.recv(65536):
                    self.wfile.write(piece)
            self.close_connection = True

    return Handler


def pump(one: socket.socket, other: socket.socket) -> None:
    """Copies both ways until one side ends."""
    partner = {one: other, other: one}
    while True:
        readable, _, _ = select.select([one, other], [], [], IDLE)
        if not readable:
            return
        for source in readable:
            data = source.recv(65536)
            if not data:
                return
            partner[source].sendall(data)


class CorporateRoot:
    """A private certificate authority, and servers behind its certificates."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.root = folder / "corporate-root.pem"
        self.ca.cert_pem.write_to_path(self.root)

    def behind_tls(self, server: Loopback, *names: str) -> int:
        """Has a server speak TLS under these names; returns its port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        plain = server.server.socket
        server.server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        return server.server.server_port


def closed_port() -> int:
    """A port of loopback where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


__all__ = ["CorporateRoot", "ForwardProxy", "closed_port"]
