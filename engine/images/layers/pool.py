"""The layers that are ready: each unpacked once, then shared by every image and container.

    layers/<key>/fs          the lower directory of overlays, or where `image` is mounted as one
    layers/<key>/image       the archive, mountable (see erofs.py); only of some
    layers/<key>/index       what is in it (see index.py)
    layers/<key>/layer.json  what was found out while unpacking
    layers/<key>/init/       the init layers of stacks whose top this is (see rootfs.py)
    layers/<key>/uses/       links to the containers that stand on it

A layer appears by rename, complete. That its thousands of files are on the disk, too, is not waited
for: after the machine has been started anew, a layer is unpacked again from its blob, which is. It
goes only when no image needs it and every link in `uses` leads nowhere, so a container that
outlives its image keeps its files; a container that is gone without a word holds nothing.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import msgspec

from engine.images.erase import erase_path
from engine.images.errors import ImageError
from engine.images.layers import index
from engine.images.layers.apart import Maker
from engine.images.layers.base import FS
from engine.images.layers.drivers import Choice, choose
from engine.images.layers.erofs import IMAGE
from engine.images.layers.index import LayerIndex
from engine.images.layers.making import Job
from engine.images.layers.mounts import LayerMounts, trees
from engine.images.layers.verify import verify_archive, verify_tree
from engine.images.staging import locked, staging
from engine.images.tar import Limits
from engine.images.types import Digest

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Facts(msgspec.Struct, frozen=True):
    """layer.json: what was found out about a layer (see Unpacked), and in which boot. `mounted`
    says that there is an image to mount."""

    diff_id: str
    entries: int
    size: int
    dependent: bool
    opaque: bool
    boot: str
    mounted: bool = False
    archive: int = 0  # bytes of the plain archive


class LayerPool:
    """The ready layers of the store at `root`, made by the driver that `wanted` says."""

    def __init__(self, root: Path, wanted: str, limits: Limits) -> None:
        self._folder = root / "layers"
        self._tmp = root / "tmp"
        self._locks = root / "locks"
        self._wanted = wanted
        self._limits = limits
        self._facts: dict[str, Facts] = {}
        self._mounts = LayerMounts(self._folder, self._locks)
        self.boot = _BOOT_ID.read_text().strip()

    @cached_property
    def choice(self) -> Choice:
        """How layers are made ready; tried when it is first asked for. Raise ImageError."""
        return choose(self._tmp, self._wanted)

    def close(self) -> None:
        """Let go of what is mounted."""
        self._mounts.close()

    def find(self, diff_id: Digest, chain_id: Digest) -> Path | None:
        """The ready layer's folder, for this place in a stack."""
        if self._read(chain_id.hex) is not None:
            return self._folder / chain_id.hex
        facts = self._read(diff_id.hex)
        if facts is None or facts.dependent:
            return None
        return self._folder / diff_id.hex

    def mount(self, layers: Sequence[Path], keeper: int | None = None) -> list[Path]:
        """The layers' trees, mounted where they have to be: here, and where a keeper's containers
        begin. Raise ImageError."""
        images = [layer for layer in layers if (layer / IMAGE).exists()]
        if images:
            assert self.choice.way is not None
            try:
                self._mounts.need(images, self.choice.way, keeper)
            except OSError as error:
                raise ImageError(f"layers cannot be mounted: {error}") from error
        return [layer / FS for layer in layers]

    @contextmanager
    def tree(self, layer: Path) -> Iterator[Path]:
        """A ready layer's tree, to be read while the context lasts. Raise ImageError."""
        way = self.choice.way if (layer / IMAGE).exists() else None
        with trees([layer], way) as (found,):
            yield found

    def used(self) -> list[Path]:
        """The layers that containers stand on."""
        return [path for path in self._folder.iterdir() if _uses(path)]

    def facts(self, diff_id: Digest, chain_id: Digest) -> Facts | None:
        path = self.find(diff_id, chain_id)
        return self._read(path.name) if path else None

    def index(self, diff_id: Digest, chain_id: Digest) -> LayerIndex:
        """What is in a ready layer. Raise ImageError when it is not ready."""
        path = self.find(diff_id, chain_id)
        if path is None:
            raise ImageError(f"layer {diff_id}: is not ready")
        return LayerIndex.open(path / index.NAME)

    def prepare(
        self,
        diff_id: Digest,
        chain_id: Digest,
        below: Sequence[Path],
        packed: Callable[[], Iterable[bytes]],
        maker: Maker,
    ) -> Path:
        """The ready layer's folder; `maker` makes it of a blob's bytes when it is not there yet.

        `below` are the ready lower layers, top first. Raise BadLayer as the driver does.
        """
        path = self.find(diff_id, chain_id)
        if path is not None:
            return path
        # One at a time for each layer (and its namesakes): who waits finds the other's work done.
        with locked(self._locks / f"unpack-{diff_id.hex[:2]}"):
            found = self.find(diff_id, chain_id)
            return found or self._make(diff_id, chain_id, below, packed(), maker)

    def _make(
        self,
        diff_id: Digest,
        chain_id: Digest,
        below: Sequence[Path],
        packed: Iterable[bytes],
        maker: Maker,
    ) -> Path:
        choice = self.choice
        with staging(self._tmp) as folder:
            layer = folder / "layer"
            for name in ("", "init", "uses"):
                (layer / name).mkdir(mode=0o700)
            with trees(below, choice.way) as lower:
                done = maker.make(Job(choice.name, layer, lower, diff_id, self._limits), packed)
            facts = Facts(
                diff_id=str(diff_id),
                entries=done.entries,
                size=done.size,
                dependent=done.dependent,
                opaque=done.opaque,
                boot=self.boot,
                mounted=(layer / IMAGE).exists(),
                archive=done.archive,
            )
            (layer / "layer.json").write_bytes(msgspec.json.encode(facts))
            target = self._folder / (chain_id if done.dependent else diff_id).hex
            if target.exists():  # of an earlier boot, or of a driver that is no longer there
                self._mounts.drop(target)
                target.rename(folder / "stale")
            layer.rename(target)
        return target

    def all(self) -> list[str]:
        """The keys of all ready layers: the hex digits of a diff id or a chain id."""
        return os.listdir(self._folder)

    def size(self, key: str) -> int:
        """The bytes of a layer's files; 0 when it is none that can be relied upon."""
        facts = self._read(key)
        return facts.size if facts else 0

    def in_use(self, key: str) -> bool:
        """Whether a container stands on a layer."""
        return _uses(self._folder / key)

    def verify(self, key: str) -> None:
        """Read a layer through. Raise ImageError saying what is not as it was made."""
        layer, facts = self._folder / key, self._read(key)
        if facts is None:
            raise ImageError("was made in an earlier boot, or is not whole; it is made again")
        with LayerIndex.open(layer / index.NAME) as entries:
            if facts.mounted:
                verify_archive(layer, Digest(facts.diff_id), facts.archive)
            else:
                verify_tree(layer / FS, entries)

    def discard(self, key: str) -> int | None:
        """Remove a layer; return its size, or None when a container still stands on it."""
        path = self._folder / key
        with staging(self._tmp) as folder:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _uses(path):
                    return None
                facts = self._read(key)
                self._mounts.drop(path)
                path.rename(folder / "layer")
                self._facts.pop(key, None)
            finally:
                os.close(lock)
            erase_path(os.fsencode(folder / "layer"))
        return facts.size if facts else 0

    def _read(self, key: str) -> Facts | None:
        """The facts of a layer that is there and can be relied upon."""
        facts = self._facts.get(key)
        path = self._folder / key / "layer.json"
        if facts is not None:
            return facts if path.exists() else None
        try:
            facts = msgspec.json.decode(path.read_bytes(), type=Facts)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # not there, or cut short when the machine went down
        if facts.boot != self.boot or (facts.mounted and self.choice.way is None):
            return None
        self._facts[key] = facts
        return facts


def _uses(layer: Path) -> bool:
    """Whether a container stands on it."""
    return any(link.exists() for link in (layer / "uses").iterdir())
