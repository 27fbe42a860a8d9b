"""The host image: made from this machine's own files, so that the first run needs no network.

Three layers, as a teaching image should have: shell and core tools with their libraries; this
machine's Python; the demo's programs. It is for this machine only: it is made of files with this
machine's licences and versions, and must never be pushed anywhere.

The same files give the same bytes. What was looked at is kept beside the store's index, and while
all of it looks the same the image is not made again.

    python -m engine.images.hostimage --root STORE [--force]     prints one line of JSON
"""

import argparse
import contextlib
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.images.archive import host_platform, manifest_bytes
from engine.images.blobs import HashedFile
from engine.images.elf import Linker
from engine.images.errors import BadImage, BadLayer, ImageError, ImageNotFound
from engine.images.host import Host, unchanged
from engine.images.hostpython import HostPython, add_python, caches, imported_modules
from engine.images.hosttree import HostTree
from engine.images.staging import locked, replace, staging
from engine.images.store import ImageStore
from engine.images.types import OCI_CONFIG, OCI_LAYER, Descriptor, Image

REFERENCE = "podarium/host:latest"
_EPOCH = "1970-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_APP = Path(__file__).parent / "hostapp"

_TOOLS = """
sh bash echo printf test true false env printenv pwd sleep expr seq yes nice nohup timeout
ls cat cp mv rm mkdir rmdir ln chmod chown chgrp touch truncate mktemp dd df du stat basename
dirname readlink realpath find tar gzip
grep sed awk head tail wc tr cut uniq sort nl tac tee od diff cmp base64 md5sum sha256sum
xargs less clear stty tty
id whoami groups getent date uname hostname nproc ps pgrep pkill pidof kill top free uptime
watch vmstat mount umount findmnt ip ss ping nc
"""
_ESSENTIAL = ("sh", "ls", "cat")
_TERMINALS = ("xterm", "xterm-256color", "screen", "screen-256color", "tmux-256color", "linux")
# glibc loads these by name, so no header tells of them: for names (before 2.34 also those of
# /etc/passwd), and for ending a thread.
_BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")

_TEXTS = {
    "/etc/passwd": """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
""",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/os-release": """\
ID=podarium
NAME="Podarium host image"
PRETTY_NAME="Podarium host image"
""",
}
_FOLDERS = {
    "/dev": 0o755, "/etc": 0o755, "/home": 0o755, "/proc": 0o555, "/root": 0o700, "/run": 0o755,
    "/srv": 0o755, "/sys": 0o555, "/tmp": 0o1777, "/usr/bin": 0o755, "/var": 0o755,
    "/var/tmp": 0o1777,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Built:
    """The image, whether it had to be made, and the tools and libraries this machine lacks."""

    image: Image
    built: bool
    missing: list[str]


class _Record(msgspec.Struct, frozen=True):
    """What an image was made from."""

    digest: str
    python: str
    missing: list[str]
    seen: dict[str, list[int] | None]


def build(store: ImageStore, *, force: bool = False) -> Built:
    """Make the host image, its layers ready; or find that the one in the store is still right.

    Raise ImageError when this machine lacks what no image can do without.
    """
    record = store.root / "host.json"
    with locked(store.root / "locks" / "host"), store.busy():
        found = None if force else _still_right(store, record)
        if found is not None:
            return found
        host = Host()
        missing: list[str] = []
        python = HostPython.running()
        image = store_layers(store, REFERENCE, _layers(host, python, missing), _settings)
        seen = {path: list(s) if s is not None else None for path, s in host.record().items()}
        replace(record, msgspec.json.encode(_Record(str(image.digest), str(python), missing, seen)))
    return Built(image, True, missing)


def _still_right(store: ImageStore, path: Path) -> Built | None:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
        image = store.resolve(REFERENCE)
        same = str(image.digest) == record.digest and record.python == str(HostPython.running())
        if not same or not unchanged(record.seen):
            return None
        store.ready(image)
    except (FileNotFoundError, msgspec.MsgspecError, ImageNotFound, BadImage, BadLayer):
        return None  # never made, removed, or damaged: making it again mends it
    return Built(image, False, record.missing)


def _layers(host: Host, python: HostPython, missing: list[str]) -> Iterator[tuple[str, HostTree]]:
    """The layers, lowest first, each with what history says of it; adds to what is missing."""
    for source in Path(__file__).parent.glob("*.py"):
        host.lstat(str(source))  # an image made by another version of this is another image
    linker = Linker(host)
    tools = HostTree(host)
    library = HostTree(host, [tools])
    app = HostTree(host, [tools, library])
    with python.compile(imported_modules(_APP)) as compiling:
        count = _add_tools(tools, linker, missing)
        # Stored while the other process compiles.
        yield f"tools: this machine's shell and {count} core tools, with their libraries", tools
        version = ".".join(map(str, sys.version_info[:3]))
        unresolved = add_python(library, python, linker, caches(compiling), version)
    missing += sorted(f"{name} (for {path})" for name, path in unresolved)
    yield f"python: this machine's Python {version}, with its standard library", library
    for name in host.list(str(_APP)):
        if name.endswith(".py") and name != "__init__.py":
            app.data(f"/srv/{name}", (_APP / name).read_bytes())
            host.lstat(str(_APP / name))
    app.folder("/srv")
    yield "app: the demo's programs", app


def _add_tools(tree: HostTree, linker: Linker, missing: list[str]) -> int:
    """Fill the tools' layer; return how many there are."""
    host = tree.host
    tools = _TOOLS.split()
    programs = {name: path for name in tools if (path := host.which(name))}
    for name in _ESSENTIAL:
        if name not in programs:
            raise ImageError(f"no {name!r} in {PATH}: the host image cannot do without it")
    closure = linker.closure(programs.values())
    base_files(tree)
    for path in sorted(closure.files | set(linker.named(_BY_NAME))):
        tree.copy(path)
    for name in _TERMINALS:
        for folder in ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"):
            if host.is_file(f"{folder}/{name[0]}/{name}"):
                tree.copy(f"{folder}/{name[0]}/{name}")
    for name, path in programs.items():
        tree.command(name, path)
    tree.link("/bin/sh", programs["sh"])  # where scripts and shells' own defaults look for it
    missing += [name for name in tools if name not in programs]
    missing += sorted(f"{name} (for {path})" for name, path in closure.missing)
    return len(programs)


def base_files(tree: HostTree) -> None:
    """What every root has: the links of a merged /usr, folders, root's and nobody's names."""
    for link in ("/bin", "/sbin", "/lib", "/lib64"):
        status = tree.host.lstat(link)
        if status is not None and stat.S_ISLNK(status.st_mode):
            tree.copy(link)
    for path, mode in _FOLDERS.items():
        tree.folder(path, mode)
    for path, text in _TEXTS.items():
        tree.data(path, text.encode())


def _settings() -> dict[str, object]:
    return {
        "Env": [f"PATH={PATH}", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"],
        "Cmd": ["python", "app.py"],
        "WorkingDir": "/srv",
    }


def store_layers(
    store: ImageStore,
    reference: str,
    layers: Iterable[tuple[str, HostTree]],
    settings: Callable[[], dict[str, object]],
) -> Image:
    """Store an image of this machine's files, labelled as one. `settings` are asked for last."""
    descriptors, history = [], []
    with staging(store.root / "tmp") as folder:
        for number, (made_by, tree) in enumerate(layers):
            file = HashedFile(folder / str(number))
            try:
                tree.write(file.write)
            finally:
                digest = file.close()
            store.blobs.adopt(folder / str(number), digest)
            descriptors.append(Descriptor(media_type=OCI_LAYER, digest=digest, size=file.size))
            history.append({"created": _EPOCH, "created_by": made_by})
    here = host_platform()
    config = {
        "created": _EPOCH,
        "architecture": here.architecture,
        "os": here.os,
        "config": settings() | {"Labels": {"io.podarium.host": "true"}},
        # Not compressed, so a layer's digest is its diff id.
        "rootfs": {"type": "layers", "diff_ids": [str(d.digest) for d in descriptors]},
        "history": history,
    }
    raw = msgspec.json.encode(config)
    point = Descriptor(media_type=OCI_CONFIG, digest=store.blobs.put(raw), size=len(raw))
    image = store.add(reference, store.blobs.put(manifest_bytes(point, descriptors)))
    store.ready(image)
    return store.resolve(reference)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.images.hostimage")
    parser.add_argument("--root", type=Path, required=True, help="the image store's folder")
    parser.add_argument("--force", action="store_true", help="make it even if nothing changed")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        with contextlib.closing(ImageStore(options.root, apart=False)) as store:
            done = build(store, force=options.force)
    except (ImageError, OSError) as error:
        print(f"host image: {error}", file=sys.stderr)
        return 1
    line = {
        "reference": done.image.reference,
        "digest": str(done.image.digest),
        "built": done.built,
        "missing": done.missing,
        "seconds": round(time.monotonic() - start, 3),
    }
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
