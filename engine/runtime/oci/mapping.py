"""Which ids of a user namespace, or of a mount, are which of the machine: user_namespaces(7)."""

from __future__ import annotations

import os

from engine.linux.flags import CLONE
from engine.linux.namespace import clone3
from engine.runtime.oci.document import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    Mapping = tuple[tuple[int, int, int], ...]
    """(first id inside, first id outside, how many) each."""

_IDS = 2**32


def mapping(value: Value) -> Mapping:
    """Raise ConfigError."""
    found = []
    for item in value.items():
        inside, outside, size = (
            item.get(name).number() for name in ("containerID", "hostID", "size")
        )
        for name, first in (("containerID", inside), ("hostID", outside)):
            if not 0 <= first < _IDS:
                raise item.get(name).error(f"{first} is no id")
        if not 0 < size <= _IDS - max(inside, outside):
            raise item.get("size").error(f"{size} ids from {max(inside, outside)} on there are not")
        found.append((inside, outside, size))
    return tuple(found)


def has(mapped: Mapping, id: int) -> bool:
    """Whether an id of the inside is somebody outside."""
    return any(inside <= id < inside + size for inside, _, size in mapped)


def write(pid: int, uids: Mapping, gids: Mapping) -> None:
    """Map the ids of the user namespace that a process is in. Raise OSError."""
    for file, mapped in (("uid_map", uids), ("gid_map", gids)):
        lines = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in mapped)
        path = f"/proc/{pid}/{file}"
        try:
            with open(path, "wb", buffering=0) as out:
                out.write(lines.encode())
        except OSError as error:
            text = error.strerror or str(error)
            raise OSError(error.errno, text, f"{path} <- {lines.rstrip()}") from None


def namespace(uids: Mapping, gids: Mapping) -> int:
    """A descriptor of a new user namespace with these ids, in which nobody is. Raise OSError."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = clone3(CLONE.NEWUSER)
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        write(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(pid, 0)
        os.close(pidfd)
