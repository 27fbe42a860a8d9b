"""What is known of a container between two commands: a directory for each below the state root.

    state.json      what `state` prints, and what only we need; replaced whole
    config.json     the bundle's, as it was when the container was created
    start           the socket that its process waits on, until it is started

The directory's name is the container's, so that mkdir(2) decides who creates it; a lock in it lets
commands on the same container take turns. What a process is doing is never stored:
it is asked of the kernel, by a pid and the moment that pid began.
"""

from __future__ import annotations

import fcntl
import os
import time

from engine.linux.namespace import in_user_namespace
from engine.linux.process import pid_alive
from engine.runtime.cgroup.api import Hierarchy, detect
from engine.runtime.oci.document import VERSION
from engine.runtime.oci.jsontext import compose, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.")


class StateError(Exception):
    """A container that is not there, or is not in a state in which this can be done."""


def default_root() -> str:
    if os.geteuid() == 0:
        return "/run/podarium-oci"
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR", "/tmp"), "podarium-oci")


def hierarchy(root: str, also: frozenset[bytes]) -> Hierarchy:
    """The machine's. In a user namespace that was not given a part of it, what stands for one (see
    cgroup/none.py), beside the state root. Raise OSError(EOPNOTSUPP)."""
    found = detect(also=also)
    if not in_user_namespace() or all(
        os.access(os.path.dirname(directory), os.W_OK) for directory in found.directories(b"any")
    ):
        return found
    from engine.runtime.cgroup import none

    below = os.fsencode(root) + b".processes"
    none.make(below)
    return none.NoCgroups(below)


class State:
    """One container's. Fields are those of state.json."""

    def __init__(self, root: str, id: str, fields: dict[str, Any]) -> None:
        self.id = id
        self.directory = os.path.join(root, id)
        self.fields = fields

    @property
    def pid(self) -> int:
        pid: int = self.fields["pid"]
        return pid

    @property
    def cgroup(self) -> bytes:
        return os.fsencode(self.fields["cgroup"])

    @property
    def controllers(self) -> frozenset[bytes]:
        """Beyond the usual, for detect()."""
        return frozenset(name.encode() for name in self.fields["controllers"])

    @property
    def config_path(self) -> str:
        return os.path.join(self.directory, "config.json")

    @property
    def socket(self) -> str:
        return os.path.join(self.directory, "start")

    def alive(self) -> bool:
        return self.pid > 0 and pid_alive(self.pid, self.fields["pidStart"])

    def status(self, hierarchy: Hierarchy) -> str:
        if not self.pid:
            return CREATING
        if not self.alive():
            return STOPPED
        try:
            if hierarchy.is_frozen(self.cgroup):
                return PAUSED
        except OSError:
            # Without a freezer there, nobody froze it.
            pass
        return CREATED if os.path.exists(self.socket) else RUNNING

    def document(self, status: str) -> dict[str, Any]:
        """The state of the specification (runtime.md, "State")."""
        found: dict[str, Any] = {"ociVersion": VERSION, "id": self.id, "status": status}
        if status != STOPPED:
            found["pid"] = self.pid
        found["bundle"] = self.fields["bundle"]
        if self.fields["annotations"]:
            found["annotations"] = self.fields["annotations"]
        return found

    def save(self) -> None:
        temporary = os.path.join(self.directory, ".state.json")
        with open(temporary, "w") as file:
            file.write(compose(self.fields))
        os.rename(temporary, os.path.join(self.directory, "state.json"))

    def locked(self) -> _Locked:
        """Commands that change the container, one after the other. Raise StateError when gone."""
        return _Locked(self)

    def hierarchy(self) -> Hierarchy:
        return hierarchy(os.path.dirname(self.directory), self.controllers)

    def told(self, status: str) -> bytes:
        """What a hook reads."""
        return compose(self.document(status)).encode()

    def at_socket(self, do: Callable[[bytes], int]) -> int:
        """listen() or connect() at its socket, whose path may be longer than an address can be."""
        directory = os.open(self.directory, os.O_PATH | os.O_CLOEXEC)
        try:
            return do(b"/proc/self/fd/%d/start" % directory)
        finally:
            os.close(directory)

    def keep_config(self, bundle: str) -> None:
        """As it is now: what is changed in the bundle later changes nothing."""
        with (
            open(os.path.join(bundle, "config.json"), "rb") as file,
            open(self.config_path, "wb") as copy,
        ):
            copy.write(file.read())

    def remove(self) -> None:
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        os.rmdir(self.directory)


class _Locked:
    def __init__(self, container: State) -> None:
        self._container = container
        self._fd = -1

    def __enter__(self) -> None:
        path = os.path.join(self._container.directory, "lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise missing(self._container.id) from None
        # Not flock(2), which the container's process would inherit.
        fcntl.lockf(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def missing(id: str) -> StateError:
    return StateError(f"container {id!r} does not exist")


def _is_name(id: str) -> bool:
    return _LETTERS.issuperset(id) and id not in ("", ".", "..")


def write_pid(path: str, pid: int) -> None:
    """Whole or not at all: others watch for it."""
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    with open(temporary, "w") as file:
        file.write(str(pid))
    os.rename(temporary, path)


def create(root: str, id: str, fields: dict[str, Any]) -> State:
    """Claim the name. Raise StateError when it is taken, or is none."""
    if not _is_name(id):
        raise StateError(f"container id {id!r}: letters, digits and any of _+-. make one")
    state = State(root, id, fields)
    os.makedirs(root, 0o711, exist_ok=True)
    try:
        os.mkdir(state.directory, 0o700)
    except FileExistsError:
        raise StateError(f"container {id!r} exists already") from None
    fields.setdefault("created", now())
    state.save()
    return state


def load(root: str, id: str) -> State:
    """Raise StateError when there is none of that name."""
    if not _is_name(id):
        raise missing(id)
    try:
        with open(os.path.join(root, id, "state.json"), "rb") as file:
            return State(root, id, parse(file.read()))
    except FileNotFoundError:
        raise missing(id) from None


def every(root: str) -> list[State]:
    """All containers, by name."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            found.append(load(root, name))
        except StateError:
            # Deleted meanwhile, or something that is not ours.
            continue
    return found


def now() -> str:
    """RFC 3339, UTC."""
    seconds = time.time()
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{int(seconds % 1 * 1e6):06d}Z"
