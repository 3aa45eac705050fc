#!/usr/bin/env python3
"""What telemetry costs: CPU of a gateway for a request without an access log and traces, with the text log, and with the
JSON log, 1 % of traces and a scrape of the metrics every second. With `OUTCROP_BASELINE`, another binary comes first, such
as one from before there were metrics, which cannot be switched off. The gateways take turns within one run, so that the
machine's noise is shared.

Not a test, because it measures time: `OUTCROP_BINARY=target/release/outcrop python telemetry_cost.py [RATE] [ROUNDS]`.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from accounts_cost import SECONDS, Measured, print_costs, take_turns
from outcrop_process import BINARY, EMULATOR, Outcrop
from scripted import KEYS

QUIET = {"RUST_LOG": "info,outcrop::access=off"}
BASE = "listen: 127.0.0.1:0\nworkers: 2\n"


class Collector(BaseHTTPRequestHandler):
    """Takes every message of OTLP."""

    spans = 0

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["content-length"]))
        Collector.spans += body.count(b'"spanId"')
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def scrape(gateway: Outcrop, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        connection = http.client.HTTPConnection(*gateway.address)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        answer.read()
        connection.close()


def main(rate: float, rounds: int) -> None:
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    traces = f"telemetry: {{ traces: {{ endpoint: 'http://127.0.0.1:{collector.server_port}', sample: 0.01 }} }}\n"
    kinds = {
        "no log, no traces": (BINARY, BASE, QUIET),
        "text log": (BINARY, BASE, {}),
        "JSON log, traces, scrapes": (BINARY, f"{BASE}log: {{ format: json }}\n{traces}", {}),
    }
    if baseline := os.environ.get("OUTCROP_BASELINE"):
        kinds = {"baseline, no log": (baseline, BASE, QUIET), "baseline, text log": (baseline, BASE, {}), **kinds}
    with ExitStack() as stack:
        emulator = Outcrop(["emulate", "--listen", "127.0.0.1:0"], ready_path=None, binary=EMULATOR)
        url = stack.enter_context(emulator).url
        every, stop = {}, threading.Event()
        for kind, (binary, yaml, environment) in kinds.items():
            environment = {**KEYS, **environment, "AWS_ENDPOINT_URL": url}
            files = {"outcrop.yaml": yaml}
            gateway = Outcrop(["--config", "outcrop.yaml"], environment=environment, files=files, binary=binary)
            gateway = stack.enter_context(gateway)
            every[kind] = Measured(gateway, "any")
        scraper = threading.Thread(target=scrape, args=(gateway, stop))
        scraper.start()
        take_turns(every, rate, rounds)
        stop.set()
        scraper.join()
        print(f"{rate:.0f} requests a second, {rounds} rounds of {SECONDS:.0f} s, {Collector.spans} spans")
        print_costs(every)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 250, int(sys.argv[2]) if len(sys.argv) > 2 else 8)
