"""The image's root file system, assembled as the Dockerfile says and without a container engine: the gateway serves from
it as user 65532, where nothing can be written."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from manifests import DEPLOY, ROOT

BINARY = Path(os.environ["OUTCROP_BINARY"])
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
USER = 65532
CHROOT = shutil.which("chroot", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "chroot"
PATIENCE = 120
# What gcr.io/distroless/cc-debian12 has of libraries: glibc, libgcc and libstdc++.
DISTROLESS = re.compile(
    r"^(ld-linux-[\w-]+\.so\.2|lib(c|m|dl|rt|pthread|util|resolv|nss_\w+)\.so\.\d+|libgcc_s\.so\.1|libstdc\+\+\.so\.6)$"
)
# As in the base image, but for the home folder.
PASSWD = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
GROUP = "root:x:0:\nnonroot:x:65532:\n"


def final_stage() -> str:
    return DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def installed() -> list[tuple[str, int, str]]:
    """The files of the image: from where, with which mode, and where to."""
    found = re.findall(r"install -D --mode=(\d+) (\S+) /image(/\S+)", DOCKERFILE)
    assert "COPY --from=build /image/ /" in final_stage()
    return [(source, int(mode, 8), target) for mode, source, target in found]


def libraries(binary: Path) -> list[Path]:
    """The shared libraries that a program is linked with."""
    shown = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+\.so\S*) \(0x", shown)]


def place(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def assemble(root: Path) -> None:
    """Fills a folder with what the base image and the last stage have."""
    for library in libraries(BINARY):
        assert DISTROLESS.match(library.name), f"{library} is not in the base image"
        place(library.resolve(), root / library.relative_to("/"), 0o555)
    for name, text in {"passwd": PASSWD, "group": GROUP}.items():
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / name).write_text(text)
    roots = Path("/etc/ssl/certs/ca-certificates.crt")
    place(roots, root / roots.relative_to("/"), 0o444)
    for source, mode, target in installed():
        # The build's output is the binary under test; every other file is the repository's.
        place(BINARY if source.startswith("target/") else ROOT / source, root / target.lstrip("/"), mode)
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)


def privileges() -> list[str]:
    """What makes chroot work here; without it the test is skipped, in CI it fails."""
    if os.geteuid() == 0:
        return []
    if subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    assert os.environ.get("CI") != "true", "chroot needs root or sudo"
    pytest.skip("chroot needs root or sudo")


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="outcrop-image-") as folder:
        root = Path(folder, "root")
        root.mkdir()
        assemble(root)
        yield root
        for path in [root, *root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(root: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The image's entry point, as the image's user in the image's root."""
    (entry,) = json.loads(re.search(r"^ENTRYPOINT (.+)$", final_stage(), re.M)[1])
    user = re.search(r"^USER (\d+:\d+)$", final_stage(), re.M)[1]
    command = [*privileges(), "env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    command += [CHROOT, f"--userspec={user}", "--groups=", str(root), entry, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def until_answered(process: subprocess.Popen[str], url: str) -> bytes:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every file with its mode, size and time of change."""
    found = {}
    for path in [root, *root.rglob("*")]:
        state = path.lstat()
        found[str(path)] = (state.st_mode, state.st_size, state.st_mtime_ns)
    return found


def test_the_gateway_serves_from_the_image_s_root(image: Path) -> None:
    before = snapshot(image)
    upstream, models = free_port(), free_port()
    keys = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    endpoint = f"http://127.0.0.1:{upstream}"
    emulate = ["emulate", "--listen", f"127.0.0.1:{upstream}"]
    serve = ["serve", "--listen", f"127.0.0.1:{models}"]
    with running(image, *emulate), running(image, *serve, AWS_ENDPOINT_URL=endpoint, **keys) as gateway:
        assert b"ready" in until_answered(gateway, f"http://127.0.0.1:{models}/readyz")
        status = Path(f"/proc/{served_by(gateway)}/status").read_text()
        assert re.search(rf"^Uid:\t{USER}\t{USER}\t{USER}\t{USER}$", status, re.M)
        assert re.search(rf"^Gid:\t{USER}\t{USER}\t{USER}\t{USER}$", status, re.M)
        assert re.search(r"^CapEff:\t0+$", status, re.M)
        body = {"model": "us.amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": "Hello"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{models}/v1/chat/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert json.load(answer)["choices"][0]["finish_reason"] == "stop"
    assert snapshot(image) == before, "nothing was written"


def served_by(process: subprocess.Popen[str]) -> int:
    """The gateway's own process: behind sudo it is a child."""
    number = process.pid
    while children := Path(f"/proc/{number}/task/{number}/children").read_text().split():
        number = int(children[0])
    return number


def test_nothing_in_the_image_is_writable_for_its_user(image: Path) -> None:
    own = os.geteuid()
    for path in [image, *image.rglob("*")]:
        state = path.lstat()
        assert state.st_uid == own and not state.st_mode & 0o022, f"{path} can be written"
        if path.is_dir():
            assert not state.st_mode & 0o222, f"{path} takes new files"


def test_the_probe_of_the_image_needs_no_shell(image: Path) -> None:
    assert not [path for path in image.rglob("*") if path.name in {"sh", "bash", "busybox"}]
    upstream, models = free_port(), free_port()
    keys = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    arguments = ["serve", "--listen", f"127.0.0.1:{models}"]
    with running(image, *arguments, AWS_ENDPOINT_URL=f"http://127.0.0.1:{upstream}", **keys) as gateway:
        until_answered(gateway, f"http://127.0.0.1:{models}/readyz")
        with running(image, "healthcheck", "--listen", f"127.0.0.1:{models}") as probe:
            assert probe.wait(PATIENCE) == 0
    with running(image, "healthcheck", "--listen", f"127.0.0.1:{models}") as probe:
        assert probe.wait(PATIENCE) == 1


def test_the_dockerfile_says_what_the_manifests_rely_on() -> None:
    last = final_stage()
    assert f"USER {USER}:{USER}" in last
    assert "--no-default-features" in DOCKERFILE and "--locked" in DOCKERFILE
    rust = re.search(r'^channel = "(\d+\.\d+)', (ROOT / "rust-toolchain.toml").read_text(), re.M)[1]
    assert f"ARG RUST={rust}\n" in DOCKERFILE
    for source, _, _ in installed():
        assert source.startswith("target/") or (ROOT / source).is_file(), source
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not [source for source, _, _ in installed() if source.split("/")[0] in ignored and not source.startswith("target/")]
