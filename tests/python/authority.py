"""A test certificate authority, and a gateway that serves https with its certificates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from outcrop_process import Outcrop

CONFIG = "tls: {{ certificate: {folder}/server.pem, key: {folder}/server.key }}\n"


class Authority:
    """A test certificate authority, with files for a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.root = folder / "root.pem"
        self.ca.cert_pem.write_to_path(self.root)
        self.issue()

    def issue(self) -> str:
        """Writes a new certificate and key; returns the certificate as PEM."""
        leaf = self.ca.issue_cert("127.0.0.1", "localhost")
        for name, blobs in (("server.pem", leaf.cert_chain_pems), ("server.key", [leaf.private_key_pem])):
            text = b"".join(blob.bytes() for blob in blobs)
            (self.folder / f"{name}.new").write_bytes(text)
            os.replace(self.folder / f"{name}.new", self.folder / name)
        return leaf.cert_chain_pems[0].bytes().decode()


@contextmanager
def https_gateway(
    authority: Authority, environment: dict[str, str] | None = None
) -> Iterator[tuple[Outcrop, str]]:
    """A demo gateway that speaks https, and its URL."""
    arguments = ["--demo", "--listen", "127.0.0.1:0", "--config", "outcrop.yaml"]
    files = {"outcrop.yaml": CONFIG.format(folder=authority.folder)}
    gateway = Outcrop(arguments, files=files, environment=environment, ready_path=None)
    with gateway:
        yield gateway, gateway.url
