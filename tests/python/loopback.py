"""A test HTTP server on a free loopback port, in a thread that ends with its block."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from outcrop_process import PATIENCE


class Loopback:
    """The server; a context manager that ends its threads and socket."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], prefix: str = "") -> None:
        self.prefix = prefix
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The URL of the server, with its path prefix."""
        return f"http://127.0.0.1:{self.server.server_port}{self.prefix}"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join(PATIENCE)
        self.server.server_close()
