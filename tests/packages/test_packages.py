"""The wheel and the npm packages, built from this tree around OUTCROP_BINARY, installed from the local files without
a network, and used as their users do."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BINARY = os.environ["OUTCROP_BINARY"]
# Longer than a slow machine needs to compress the program, shorter than a suite may take.
PATIENCE = 300
NO_REGISTRY = "http://127.0.0.1:9/"


def run(*command: str | Path, **environment: str) -> str:
    """The output of a command that has to succeed."""
    ended = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE
    )
    if ended.returncode:
        raise AssertionError(f"{command} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


@contextmanager
def demo(program: Path) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    """A demo gateway started through an installed command, and a connection to it."""
    arguments = [program, "--demo", "--listen", "127.0.0.1:0"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(arguments, **quiet, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        seen = ""
        try:
            for line in process.stderr:
                seen += line
                if found := re.search(r"listening on http://([\d.:]+)", line):
                    yield process, http.client.HTTPConnection(found[1], timeout=PATIENCE)
                    return
            raise AssertionError(f"it ended at start:\n{seen}")
        finally:
            # Stopped the way that lets a launcher stop the program it started.
            process.terminate()
            process.stderr.read()


class Packages(unittest.TestCase):
    """One build for all tests: compressing the program takes most of the time."""

    built: Path

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="outcrop-packages-")
        cls.addClassCleanup(folder.cleanup)
        cls.built = Path(folder.name, "built")
        cls.version = run(BINARY, "--version").split()[1]
        run(ROOT / "deploy/packages", "--binary", BINARY, cls.built, PYTHON=sys.executable)

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="outcrop-installed-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def one(self, pattern: str) -> Path:
        found = list(self.built.glob(pattern))
        self.assertEqual(len(found), 1, f"{pattern} in {list(self.built.iterdir())}")
        return found[0]

    def assert_works(self, program: Path) -> None:
        """The command gives its version, answers a chat and ends when it is told to."""
        self.assertEqual(run(program, "--version"), run(BINARY, "--version"))
        with demo(program) as (process, connection):
            question = {"model": "nova-lite", "messages": [{"role": "user", "content": "Hello"}]}
            connection.request("POST", "/v1/chat/completions", json.dumps(question), {"content-type": "application/json"})
            response = connection.getresponse()
            answer = json.load(response)
            self.assertEqual(response.status, 200, answer)
            self.assertIn("Hello", answer["choices"][0]["message"]["content"])
            connection.close()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0)

    def npm_install(self, *packages: Path, **environment: str) -> Path:
        prefix = self.folder / "prefix"
        offline: Mapping[str, str] = {"npm_config_registry": NO_REGISTRY, "npm_config_cache": str(self.folder / "cache")}
        flags = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"]
        run("npm", "install", "--prefix", prefix, *flags, *packages, **offline, **environment)
        return prefix / "node_modules/.bin/outcrop"

    def test_the_wheel_installs_the_command(self) -> None:
        wheel = self.one("outcrop-*.whl")
        self.assertTrue(wheel.name.startswith(f"outcrop-{self.version}-py3-none-"), wheel.name)
        environment = self.folder / "environment"
        run(sys.executable, "-m", "venv", "--without-pip", environment)
        python = environment / "bin/python"
        run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-cache-dir", wheel)
        self.assert_works(environment / "bin/outcrop")

    def test_the_npm_packages_install_the_command(self) -> None:
        packages = [self.one("outcrop-gateway-[a-z]*.tgz"), self.one(f"outcrop-gateway-{self.version}.tgz")]
        self.assert_works(self.npm_install(*packages))

    def test_the_launcher_alone_names_the_package_that_is_missing(self) -> None:
        program = self.npm_install(self.one(f"outcrop-gateway-{self.version}.tgz"))
        ended = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertRegex(ended.stderr, r"^outcrop: the package outcrop-gateway-\w+-\w+ is not installed\. ")

    def test_the_launcher_ends_as_the_program_ends(self) -> None:
        packages = [self.one("outcrop-gateway-[a-z]*.tgz"), self.one(f"outcrop-gateway-{self.version}.tgz")]
        program = self.npm_install(*packages)
        for arguments in (["--no-such-flag"], ["--config", str(self.folder / "missing.yaml")]):
            direct = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=PATIENCE)
            through = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE)
            self.assertNotEqual(direct.returncode, 0)
            self.assertEqual(through.returncode, direct.returncode)


if __name__ == "__main__":
    unittest.main()
