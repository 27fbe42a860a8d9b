"""A container's root filesystem: the stack that an overlay mounts, top first.

    upper     what this container writes init      empty mount points, so that the container's own
    files never land in a layer of the image layers    the image's, shared by everyone

The init layer is made once for each stack. It must look as if it were not there: its /etc and /dev
carry the image's own owner and mode, and when the image's /etc is a symlink the mount points are
where it leads, inside the image. The files to be mounted on them (hosts, hostname, resolv.conf) are
in the container's folder, and so are never part of what it changed.

A container's folder is known to its layers (see layers/pool.py), which stay as long as it is there.
"""

import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.images.erase import erase_path
from engine.images.errors import ImageError
from engine.images.layers.attributes import own
from engine.images.layers.view import StackView
from engine.images.tar import Parts

_MOUNT_POINTS = (b"dev", b"dev/pts", b"dev/shm", b"dev/mqueue", b"proc", b"sys")
_FILES = (b"hosts", b"hostname", b"resolv.conf")
_LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Rootfs:
    """What to mount: an overlay of these, with the three files bound over /etc's."""

    lowerdirs: tuple[Path, ...]
    upper: Path
    work: Path
    hosts: Path
    hostname: Path
    resolv_conf: Path


def create_rootfs(
    lowerdirs: Sequence[Path], container_dir: Path, *, hostname: str, hosts: bytes, resolv: bytes
) -> Rootfs:
    """Make a container's folder ready; `lowerdirs` are from ImageStore.prepare().

    Raise ImageError when a layer has been removed since, FileExistsError when the folder is in use.
    """
    if not lowerdirs:
        raise ImageError("an image without layers has nothing to run")
    init = _init_layer(lowerdirs)
    container_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack = [init, *lowerdirs]
    # The list goes first: with it, whatever happens next can be taken back.
    (container_dir / _LOWER).write_bytes(b"\n".join(os.fsencode(path) for path in stack))
    for lowerdir in lowerdirs:
        _hold(lowerdir, container_dir)
    rootfs = open_rootfs(container_dir)
    rootfs.upper.mkdir(mode=0o755)
    rootfs.work.mkdir(mode=0o700)
    rootfs.hosts.write_bytes(hosts)
    rootfs.hostname.write_text(f"{hostname}\n")
    rootfs.resolv_conf.write_bytes(resolv)
    for path in (rootfs.upper, rootfs.hosts, rootfs.hostname, rootfs.resolv_conf):
        path.chmod(0o755 if path is rootfs.upper else 0o644)  # whatever the umask
    return rootfs


def open_rootfs(container_dir: Path) -> Rootfs:
    """The root filesystem that was made in this folder. Raise FileNotFoundError when none was."""
    lower = (container_dir / _LOWER).read_bytes().split(b"\n")
    return Rootfs(
        lowerdirs=tuple(Path(os.fsdecode(path)) for path in lower),
        upper=container_dir / "upper",
        work=container_dir / "work",
        hosts=container_dir / "hosts",
        hostname=container_dir / "hostname",
        resolv_conf=container_dir / "resolv.conf",
    )


def remove_rootfs(container_dir: Path) -> None:
    """Remove a container's folder, however deep its tree is, and let go of its layers."""
    try:
        for lowerdir in open_rootfs(container_dir).lowerdirs[1:]:
            _use(lowerdir, container_dir).unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # it never came so far
    erase_path(os.fsencode(container_dir))


def _use(lowerdir: Path, container_dir: Path) -> Path:
    name = hashlib.sha256(os.fsencode(container_dir.absolute())).hexdigest()[:16]
    return lowerdir.parent / "uses" / name


def _hold(lowerdir: Path, container_dir: Path) -> None:
    use, layer = _use(lowerdir, container_dir), lowerdir.parent
    try:
        descriptor = os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _gone(lowerdir) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not lowerdir.exists():
            raise _gone(lowerdir)
        use.parent.mkdir(mode=0o700, exist_ok=True)
        use.unlink(missing_ok=True)
        use.symlink_to(container_dir.absolute())
    finally:
        os.close(descriptor)


def _gone(lowerdir: Path) -> ImageError:
    return ImageError(f"layer {lowerdir.parent.name}: was removed while a container was made")


# The init layer


def _init_layer(lowerdirs: Sequence[Path]) -> Path:
    for lowerdir in lowerdirs:
        if not lowerdir.exists():
            raise _gone(lowerdir)
    key = hashlib.sha256(b"\n".join(os.fsencode(path) for path in lowerdirs)).hexdigest()[:16]
    folder = lowerdirs[0].parent / "init"
    path = folder / key
    if path.exists():
        return path
    folder.mkdir(mode=0o700, exist_ok=True)
    temporary = folder / f".{secrets.token_hex(8)}"
    temporary.mkdir(mode=0o755)
    try:
        with StackView(lowerdirs) as view:
            _mount_points(view, temporary)
        try:
            temporary.rename(path)
        except OSError:
            if not path.exists():  # else somebody was faster, with the same result
                raise
    finally:
        erase_path(os.fsencode(temporary))
    return path


def _mount_points(view: StackView, root: Path) -> None:
    etc = view.resolve((b"etc",))
    folders = [tuple(name.split(b"/")) for name in _MOUNT_POINTS] + [etc]
    made: set[Parts] = set()
    for folder in folders:
        made.update(folder[:depth] for depth in range(1, len(folder) + 1))
    base = os.fsencode(root)
    for parts in sorted(made):
        os.mkdir(_join(base, parts), 0o755)
    for name in _FILES:
        path = _join(base, (*etc, name))
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        os.chmod(path, 0o644)  # whatever the umask
    if view.lookup((*etc, b"mtab")) is None:
        os.symlink(b"/proc/mounts", _join(base, (*etc, b"mtab")))
    for parts in sorted(made, key=len, reverse=True):
        _dress(view, parts, _join(base, parts))
    root.chmod(0o755)


def _dress(view: StackView, parts: Parts, path: bytes) -> None:
    found = view.lookup(parts)
    if found is None or not stat.S_ISDIR(found.status.st_mode):
        os.chmod(path, 0o755)
        return
    status = found.status
    own(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _join(base: bytes, parts: Iterable[bytes]) -> bytes:
    return b"/".join((base, *parts))
