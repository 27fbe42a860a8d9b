"""A cgroup filesystem: directories without files of ours, and files that take one write."""

import errno
import os
import time

_RETRY_FIRST, _RETRY_MAX = 0.001, 0.02


def relative(path: bytes) -> bytes:
    """`path`, when it can only mean something below the root it is joined to; else ValueError."""
    if not path or any(part in (b"", b".", b"..") for part in path.split(b"/")) or b"\0" in path:
        raise ValueError(
            f"cgroup path {path!r}: must be relative, without empty, '.' or '..' parts"
        )
    return path


def write(file: bytes, value: bytes) -> None:
    """One write(2), which is how a cgroup file takes a value. An OSError names file and value."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value)
        finally:
            os.close(fd)
    except OSError as error:
        about = os.fsdecode(file) + " <- " + os.fsdecode(value)
        raise OSError(error.errno, error.strerror, about) from None


def read(file: bytes) -> bytes:
    """The whole of a small file."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while chunk := os.read(fd, 65536):
            data += chunk
        return data
    finally:
        os.close(fd)


def children(directory: bytes) -> list[bytes]:
    """The names of the cgroups right below; none when there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            return [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def procs(directory: bytes) -> list[int]:
    """The processes of a cgroup and of all below; of one that is gone, none."""
    try:
        found = [int(pid) for pid in read(directory + b"/cgroup.procs").split()]
    except OSError as error:
        # ENODEV: removed between open and read. EOPNOTSUPP: a threaded cgroup of v2, whose
        # processes are those of an ancestor.
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            raise
        return []
    for name in children(directory):
        found += procs(directory + b"/" + name)
    return found


def remove(directory: bytes, deadline: float) -> None:
    """rmdir(2) a cgroup and all below, until `deadline` (time.monotonic()) while it is busy."""
    pause = _RETRY_FIRST
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            below = children(directory)
            for name in below:
                remove(directory + b"/" + name, deadline)
            if not below:
                if time.monotonic() >= deadline:
                    busy = ", ".join(map(str, procs(directory))) or "no process"
                    text = f"cgroup is busy, with {busy} in it"
                    raise OSError(error.errno, text, directory) from None
                time.sleep(pause)
                pause = min(2 * pause, _RETRY_MAX)
