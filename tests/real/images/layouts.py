"""Images to test with, as OCI layouts, docker-archives and merged trees."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.images.archive import host_platform
from engine.images.store import ImageStore

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_LIST = """
import hashlib, json, os, stat, sys
found = {}
for folder, folders, files in os.walk(sys.argv[1]):
    for name in [".", *folders, *files] if folder == sys.argv[1] else [*folders, *files]:
        path = os.path.join(folder, name)
        s = os.lstat(path)
        kind = stat.filemode(s.st_mode)
        what = ""
        if stat.S_ISREG(s.st_mode):
            what = hashlib.sha256(open(path, "rb").read()).hexdigest()[:16]
        elif stat.S_ISLNK(s.st_mode):
            what = os.readlink(path)
        elif not stat.S_ISDIR(s.st_mode):
            what = f"{os.major(s.st_rdev)}:{os.minor(s.st_rdev)}"
        attributes = {
            n: os.getxattr(path, n, follow_symlinks=False).hex()
            for n in os.listxattr(path, follow_symlinks=False)
        }
        time = 0 if name == "." else s.st_mtime_ns
        key = os.path.relpath(path, sys.argv[1])
        found[key] = [kind, s.st_uid, s.st_gid, time, what, attributes]
print(json.dumps(found))
"""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config(layers: Sequence[bytes], **fields: Any) -> bytes:
    """An image config over plain layer archives."""
    here = host_platform()
    document = {
        "architecture": here.architecture,
        "os": here.os,
        "config": {"Env": ["A=1"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created_by": f"step {n}"} for n in range(len(layers))],
    }
    return json.dumps(document | fields).encode()


class Layout:
    """An OCI layout being written into a folder, by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.entries: list[dict[str, Any]] = []

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        (self.path / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    def image(
        self,
        layers: Sequence[bytes],
        *,
        name: str = "test/image:1",
        packed: bool = False,
        **fields: Any,
    ) -> dict[str, Any]:
        """Add an image and name it in the index; `name` may be empty."""
        blobs = [
            self.blob(gzip.compress(layer, 1, mtime=0), LAYER + "+gzip")
            if packed
            else self.blob(layer, LAYER)
            for layer in layers
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(config(layers, **fields), CONFIG),
            "layers": blobs,
        }
        entry = self.blob(json.dumps(manifest).encode(), MANIFEST)
        if name:
            entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.entries.append(entry)
        return entry

    def write(self) -> Path:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}
        (self.path / "index.json").write_text(json.dumps(index))
        return self.path


def listing(path: Path) -> dict[str, list[Any]]:
    """Every path below a folder: kind and mode, uid, gid, mtime, content, attributes."""
    done = subprocess.run([sys.executable, "-c", _LIST, path], check=True, capture_output=True)
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def merged(lowerdirs: Sequence[Path], scratch: Path) -> dict[str, list[Any]]:
    """The listing of what overlayfs makes of layers, top first, in a namespace of its own."""
    empty, target = scratch / "empty", scratch / "merged"
    for folder in (empty, target):
        folder.mkdir(exist_ok=True)
    # A read-only overlay wants two layers; the lowest may be empty.
    stack = ":".join(map(str, [*lowerdirs, empty]))
    script = 'mount -t overlay overlay -o "lowerdir=$1" "$2" && exec "$3" -c "$4" "$2"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", stack, target, sys.executable, _LIST]
    done = subprocess.run(command, check=True, capture_output=True)
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


driver = "auto"
apart = False  # a process for each test would cost more than the test
stores: list[ImageStore] = []


def opened(root: Path) -> ImageStore:
    """The store at `root`, which ends with the test."""
    stores.append(ImageStore(root, driver=driver, apart=apart))
    return stores[-1]


def mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(f"{folder}/")]


def open_below(folder: Path) -> list[str]:
    """What this process has open in a folder."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:
            continue  # the listing's own
    return [path for path in found if path.startswith(f"{folder}")]
