"""Images: a pull until the image is ready to run, beside podman; layers beside tar(1) and umoci.

Two images of one layer: this machine's own files (some 400 MB, 10,000 files and more), and 50,000
small ones as a package manager of JavaScript makes them. Each is pulled from a docker-registry on
loopback, to a tmpfs and to a disk; everyone in turn, in the same minutes, from the same page cache.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engine.images.tar import DIRECTORY, FILE, Entry
from engine.images.tarwriter import Writer
from tests.bench.table import Row
from tests.real.images.layouts import Layout
from tests.real.images.registry.server import docker_registry

_REAL_BYTES, _REAL_FILES, _MANY_FILES = 400_000_000, 10_000, 50_000
_TMPFS, _DISK = Path("/dev/shm"), Path("/var/tmp")
_KINDS = ("real", "many")


class Took(NamedTuple):
    """Seconds; those of the CPUs say more on a machine that has other work."""

    wall: float
    cpu: float


_PULL = """
import json, resource, sys, time
from pathlib import Path
from engine.images.registry.credentials import Keychain
from engine.images.registry.network import Network
from engine.images.registry.pull import pull
from engine.images.registry.session import Session
from engine.images.store import ImageStore
from engine.linux.mountns import own_mount_namespace
def peak():
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) / 1024
own_mount_namespace()
store = ImageStore(Path(sys.argv[1]), driver=sys.argv[3])
idle, start = peak(), time.monotonic()
done = pull(store, sys.argv[2], Session(Network(), Keychain()), ready=True)
store.prepare(done.image)
seconds = time.monotonic() - start
memory = peak() - idle + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([seconds, memory]))
"""
_MOUNT = """
import json, os, sys, time
from pathlib import Path
from engine.images.layers.base import FS
from engine.images.layers.drivers import choose
from engine.images.layers.making import DRIVERS
from engine.images.layers.mounts import LayerMounts
from engine.images.tar import DIRECTORY, Entry, Limits
from engine.images.tarwriter import Writer
from engine.linux.mount import fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount
from engine.linux.mount import fsopen
from engine.linux.mountns import own_mount_namespace
own_mount_namespace()
root, count, runs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for name in ("tmp", "layers", "locks"):
    (root / name).mkdir()
choice, layers = choose(root / "tmp"), []
for number in range(count):
    out = bytearray()
    writer = Writer(out.extend)
    writer.add(Entry((b"d%d" % number,), DIRECTORY, 0o755))
    writer.close()
    layer = root / "layers" / f"{number:064d}"
    layer.mkdir()
    DRIVERS[choice.name].write([bytes(out)], layer, [], Limits())
    layers.append(layer)
if choice.way is not None:
    mounts = LayerMounts(root / "layers", root / "locks")  # they go with it
    mounts.need(layers, choice.way)
took = []
for number in range(runs * 4):
    for name in (f"u{number}", f"w{number}"):
        (root / name).mkdir()
    start = time.perf_counter()
    overlay = fsopen(b"overlay")
    for layer in layers:
        fsconfig_set_string(overlay, b"lowerdir+", os.fsencode(layer / FS))
    fsconfig_set_string(overlay, b"upperdir", os.fsencode(root / f"u{number}"))
    fsconfig_set_string(overlay, b"workdir", os.fsencode(root / f"w{number}"))
    fsconfig_set_flag(overlay, b"volatile")
    fsconfig_create(overlay)
    mounted = fsmount(overlay)
    took.append((time.perf_counter() - start) * 1000)
    assert len(os.listdir(f"/proc/self/fd/{mounted}")) == count
    os.close(mounted)
    os.close(overlay)
print(json.dumps(took))
"""


def measure(runs: int) -> list[Row]:
    rows = []
    with _scratch(_DISK) as disk:
        for count, bar in ((5, 1.0), (120, 3.0)):
            with _scratch(_DISK) as root:
                took = json.loads(_python(_MOUNT, root, count, runs))
                rows.append(Row(f"images: overlay of {count} layers", "ms", took, bar))
        layers = {"real": _real(disk), "many": _many(disk)}
        with docker_registry(disk / "registry") as server:
            for kind in _KINDS:
                layout = disk / f"{kind}.oci"
                images = Layout(layout)
                images.image([layers[kind].read_bytes()], name=f"{kind}:1", packed=True)
                images.write()
                reference = f"{server.host}/{kind}:1"
                copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false"]
                _run([*copy, f"oci:{layout}:{kind}:1", f"docker://{reference}"])
                archive = disk / f"{kind}.docker"
                _run([*copy, f"oci:{layout}:{kind}:1", f"docker-archive:{archive}:x:1"])
                rows += _compare(kind, reference, layout, archive, runs)
    return rows


def _compare(kind: str, reference: str, layout: Path, archive: Path, runs: int) -> list[Row]:
    """Everyone in turn; what is told are ratios of the same round."""
    (blob,) = (p for p in (layout / "blobs/sha256").iterdir() if p.stat().st_size > 1 << 20)
    found: dict[str, list[float]] = {}

    def told(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)
        print(f"{name}: {value:.3f}", file=sys.stderr, flush=True)  # a round takes minutes

    for where, driver in ((_TMPFS, "dir"), (_DISK, "erofs")):
        for _ in range(runs if where == _TMPFS else min(runs, 3)):
            name = f"{kind}, {where.name}"
            ours, memory = _pulled(where, reference, driver)
            pulled = _timed(where, lambda at: _podman(at, "pull", "--tls-verify=false", reference))
            loaded = _timed(where, lambda at: _podman(at, "load", "-i", str(archive)))
            tar = _timed(where, lambda at: _run(["tar", "-xzf", str(blob), "-C", str(at)]))
            umoci = _timed(
                where,
                lambda at: _run(
                    ["umoci", "unpack", "--image", f"{layout}:{kind}:1", str(at / "bundle")]
                ),
            )
            told(f"pull, ready, {driver}: {name}", ours.wall)
            told(f"pull / podman pull: {name}", ours.wall / pulled.wall)
            told(f"pull / podman load: {name}", ours.wall / loaded.wall)
            told(f"pull / umoci unpack: {name}", ours.wall / umoci.wall)
            told(f"pull / tar -xzf: {name}", ours.wall / tar.wall)
            told(f"CPU of pull / podman pull: {name}", ours.cpu / pulled.cpu)
            told(f"CPU of pull / tar -xzf: {name}", ours.cpu / tar.cpu)
            told(f"peak memory of a pull: {name}", memory)
    bars = {"peak": (60.0, "MB"), "pull,": (60.0, "s")}
    third, quarter = 1 / 3, 1 / 4
    rows = []
    for name, values in found.items():
        bar, unit = bars.get(name.split()[0], (1.0, "ratio"))
        if "podman" in name:
            bar = third if name.endswith(_TMPFS.name) else quarter
        rows.append(Row(f"images: {name}", unit, values, bar))
    return rows


def _pulled(where: Path, reference: str, driver: str) -> tuple[Took, float]:
    with _scratch(where) as root:
        os.sync()
        before = _cpu()
        seconds, memory = json.loads(_python(_PULL, root / "store", reference, driver))
        return Took(seconds, _cpu() - before), memory


def _timed(where: Path, act: Callable[[Path], None]) -> Took:
    with _scratch(where) as root:
        os.sync()
        start, before = time.monotonic(), _cpu()
        act(root)
        return Took(time.monotonic() - start, _cpu() - before)


def _cpu() -> float:
    """What our children that have ended took, and theirs."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _podman(root: Path, *words: str) -> None:
    places = ["--root", f"{root}/r", "--runroot", f"{root}/rr", "--storage-driver", "overlay"]
    _run(["podman", *places, *words])
    # Its overlay is bound over itself.
    subprocess.run(["umount", "-q", f"{root}/r/overlay"], check=False, capture_output=True)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])}: {done.stderr[-500:]}")


def _python(code: str, *words: object) -> str:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def _scratch(where: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pdm-bench-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _real(folder: Path) -> Path:
    """Files of this machine, as they are, until there are enough."""
    path, size, files = folder / "real.tar", 0, 0
    with open(path, "wb") as out:
        writer = Writer(out.write)
        for at, folders, names in os.walk("/usr"):
            folders.sort()
            where = tuple(os.fsencode(at).strip(b"/").split(b"/"))
            writer.add(Entry(where, DIRECTORY, 0o755))
            for name in sorted(names):
                source = Path(at, name)
                if source.is_symlink() or not source.is_file():
                    continue
                body = source.read_bytes()
                parts = (*where, os.fsencode(name))
                writer.add(Entry(parts, FILE, 0o644, size=len(body)), [body])
                size, files = size + len(body), files + 1
            if size > _REAL_BYTES and files > _REAL_FILES:
                break
        writer.close()
    return path


def _many(folder: Path) -> Path:
    """50,000 small files, of this machine's Python sources."""
    chance = random.Random(1)
    text = b"".join(p.read_bytes() for p in sorted(Path(json.__file__).parent.parent.glob("*.py")))
    path = folder / "many.tar"
    with open(path, "wb") as out:
        writer = Writer(out.write)
        for number in range(_MANY_FILES // 10):
            where = (b"node_modules", b"m%04d" % number, b"lib")
            writer.add(Entry(where, DIRECTORY, 0o755))
            for file in range(10):
                size = int(chance.expovariate(1 / 2600))
                at = chance.randrange(len(text) - size)
                entry = Entry((*where, b"file-%d.js" % file), FILE, 0o644, size=size)
                writer.add(entry, [text[at : at + size]] if size else [])
        writer.close()
    return path
