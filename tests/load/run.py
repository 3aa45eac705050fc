#!/usr/bin/env python3
"""Measures the gateway against nginx and other gateways in one run; see README.md."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import growth
import peers
import report
import settings
from cases import Case, cases, encoded
from processes import drive, nginx, outcrop, upstream

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "outcrop")
PACE = 5
OPEN_STREAMS = 1000
# The table of settings, among the names of `--only`.
SETTINGS = "settings"
MIB = 1024 * 1024


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--peers", nargs="*", default=[], choices=peers.NAMES)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def build(asked: argparse.Namespace) -> tuple[Path, Path]:
    """The harness and the gateway."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", CACHE / "target"))
    own = CACHE / "target-load"
    cargo = ["cargo", "build", "--release", "--locked", "--quiet"]
    manifest = str(ROOT / "tests/load/Cargo.toml")
    subprocess.run([*cargo, "--manifest-path", manifest], check=True,
                   env={**os.environ, "CARGO_TARGET_DIR": str(own)})
    if asked.binary is None:
        subprocess.run([str(ROOT / "deploy/pgo")], check=True, cwd=ROOT,
                       env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    binary = asked.binary or target / "pgo/outcrop"
    return own / "release/load", binary.resolve()


def install_nginx() -> None:
    if shutil.which("nginx") or Path("/usr/sbin/nginx").exists():
        return
    subprocess.run(["apt-get", "install", "-yqq", "--no-install-recommends", "nginx-light"], check=True)


def place(folder: Path, name: str) -> Path:
    """A new folder of a process."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))


def bodies(case: Case, folder: Path) -> tuple[Path, Path]:
    """The files of a case's body for the gateway and for Bedrock itself."""
    ours, direct = folder / "ours.json", folder / "direct.json"
    ours.write_bytes(encoded(case.body))
    direct.write_bytes(encoded(case.call_body))
    return ours, direct


def measure(asked: argparse.Namespace, harness: Path, binary: Path, folder: Path) -> dict:
    """CPU and waits of every contender for every case, in rounds in which they take turns."""
    results: dict = {}
    wanted = [case for case in cases() if not asked.only or case.name in asked.only]
    for paced in (False, True):
        of_pace = [case for case in wanted if case.paced == paced]
        if not of_pace:
            continue
        with ExitStack() as stack:
            canned = stack.enter_context(upstream(harness, place(folder, "upstream"), PACE if paced else 0))
            contenders = {
                "nginx": stack.enter_context(nginx(place(folder, "nginx"), canned.port)),
                "outcrop": stack.enter_context(outcrop(binary, place(folder, "outcrop"), canned.port)),
            }
            for name in asked.peers:
                contenders[name] = stack.enter_context(peers.peer(name, CACHE, place(folder, name), canned.port))
            for case in of_pace:
                results[case.name] = of_case(case, contenders, asked, harness, folder)
    return results


def of_case(case: Case, contenders: dict, asked: argparse.Namespace, harness: Path, folder: Path) -> dict:
    result: dict = {"title": case.title, "cpu": {}, "waits": {}}
    ours, direct = bodies(case, folder)
    for number in range(asked.rounds + 1):
        for name, process in contenders.items():
            if name in peers.NAMES and not case.peers:
                continue
            path, body = (case.call, direct) if name == "nginx" else (case.path, ours)
            path = peers.PATHS.get(name, path)
            share = asked.scale * peers.SHARE.get(name, 1.0)
            requests = max(case.connections, int(case.requests * share / (5 if number == 0 else 1)))
            before = process.cpu()
            told = drive(harness, process, path, body, requests, case.connections)
            if told["failed"] or not told["answered"]:
                raise SystemExit(f"{case.name}: {name} failed {told['failed']} of {requests} requests")
            # The first round opens connections and fills caches.
            if number:
                result["cpu"].setdefault(name, []).append((process.cpu() - before) / told["answered"])
                result["waits"].setdefault(name, []).append(told)
    parts = [f"{name} {report.median(costs) * 1e6:,.0f} us" for name, costs in result["cpu"].items()]
    ratio = report.ratio(result["cpu"]["outcrop"], result["cpu"]["nginx"])
    print(f"{case.title:40} x{ratio:.2f}  {', '.join(parts)}", flush=True)
    return result


def footprint(harness: Path, binary: Path, folder: Path) -> list[list[str]]:
    """Memory, readiness and size, and the time that open streams add to a first byte."""
    paced = next(case for case in cases() if case.name == "paced")
    body, direct = bodies(paced, folder)
    with ExitStack() as stack:
        canned = stack.enter_context(upstream(harness, place(folder, "upstream"), 50))
        gateway = stack.enter_context(outcrop(binary, place(folder, "outcrop"), canned.port))
        time.sleep(1)
        idle = gateway.rss()
        load = [harness, "drive", "--port", str(gateway.port), "--path", paced.path, "--body", str(body),
                "--requests", str(2 * OPEN_STREAMS), "--connections", str(OPEN_STREAMS)]
        streams = subprocess.Popen(load, stdout=subprocess.DEVNULL)
        try:
            time.sleep(3)
            through = drive(harness, gateway, paced.path, body, 200, 4)
            with_streams = gateway.rss()
            straight = drive(harness, canned, paced.call, direct, 200, 4)
        finally:
            streams.wait(300)
        after = gateway.rss()
        added = {share: (through["first"][share] - straight["first"][share]) / 1000 for share in ("p50", "p99")}
    return [
        ["binary", f"{binary.stat().st_size / MIB:.1f} MiB"],
        ["ready", f"{gateway.ready * 1000:.0f} ms after its start"],
        ["memory, idle", f"{idle / MIB:.1f} MiB"],
        [f"memory, {OPEN_STREAMS:,} open streams", f"{with_streams / MIB:.1f} MiB"],
        ["memory, after them", f"{after / MIB:.1f} MiB"],
        [f"added to a first byte beside {OPEN_STREAMS:,} open streams", f"p50 {added['p50']:.2f} ms, p99 {added['p99']:.2f} ms"],
    ]


def main() -> None:
    asked = arguments()
    if asked.list:
        for case in cases():
            print(f"{case.name:18} {case.title}")
        print(f"{SETTINGS:18} chat with keys, limits, the ledger and logs")
        return
    install_nginx()
    harness, binary = build(asked)
    with tempfile.TemporaryDirectory(prefix="outcrop-load-") as name:
        folder = Path(name)
        results = measure(asked, harness, binary, folder)
        size = footprint(harness, binary, folder) if not asked.only else []
        more, grown = [], {}
        if not asked.only or SETTINGS in asked.only:
            chat = next(case for case in cases() if case.name == "chat")
            more.append(settings.measure(harness, binary, place(folder, SETTINGS), chat, asked.rounds))
        if not asked.only:
            table, grown = growth.measure(harness, binary, place(folder, "growth"), asked.rounds)
            more.append(table)
    contenders = ["nginx", "outcrop", *asked.peers]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {time.strftime('%Y-%m-%d')}, {asked.rounds} rounds"
    parts = [f"{machine}.", report.cpu_table(results, contenders), report.waits_table(results, contenders)]
    if size:
        parts.append(report.table(["footprint", ""], size))
    parts += more
    text = "\n\n".join(parts)
    print(text)
    if asked.write:
        plots = {"benchmarks.svg": report.plot(results, contenders)}
        if grown:
            plots["growth.svg"] = report.lines(grown)
        report.write(ROOT / "docs", text, plots)


if __name__ == "__main__":
    main()
