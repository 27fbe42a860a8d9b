"""Processes that are ready to become a container: cloned, in its cgroup and namespaces, with what
the kernel gives every container set up beside its root; they wait for the rest of the plan.

It pays because the whole of it can be done while the image is being looked for. It is done for one
announced container, not for any: a v2 cgroup is entered by being born there, since to move there
takes an RCU grace period (11 ms), which is more than all of this saves.
"""

from __future__ import annotations

import os
import signal
import socket

from engine.linux.namespace import clone3
from engine.linux.pidfd import pidfd_send_signal
from engine.runtime import child, wire
from engine.runtime.ops.base import Context
from engine.runtime.ops.codec import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.cgroup.api import Hierarchy
    from engine.runtime.keeper.client import Client
    from engine.runtime.keeper.loop import Loop

_MOST = 8
"""How many wait at once: more than can be started at once would only take memory."""


class Prepared:
    """One such process, a child of ours.

    config  what runtime.py sends to announce it
    done    how many operations of the keeper, and how many of its own, a start can leave out
    sock    has something to read when it is ready, and an end when it has died
    """

    def __init__(
        self,
        config: dict[str, Any],
        context: Context,
        cgroup: int | None,
        open_files: tuple[int, int],
    ) -> None:
        """`cgroup`: the v2 one to be born in. Raise OSError when it cannot be cloned."""
        self.config = config
        self.done = len(config["host_ops"]), len(config["child_ops"])
        ops = [decode(op) for op in config["child_ops"]]
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.pid, self.pidfd = clone3(config["clone_flags"], cgroup=cgroup)
            if self.pid == 0:
                child.wait(ops, context, open_files, theirs)
        except OSError:
            self.sock.close()
            raise
        finally:
            theirs.close()

    def serves(self, config: dict[str, Any]) -> bool:
        """Whether what it has done is the beginning of that start."""
        for key, value in self.config.items():
            given = config[key][: len(value)] if key in ("host_ops", "child_ops") else config[key]
            if given != value:
                return False
        return True

    def hand_over(self, context: Context, ops: list[tuple[Any, ...]]) -> tuple[int, int]:
        """Have it go on with `ops`, with the descriptors in `context`. Gives its pid and its pidfd,
        now the caller's, who closes the socket once it has what it was sent. Raise OSError when it
        is gone."""
        ends = {name: getattr(context, name) for name in child.ENDS}
        passed = {name: fd for name, fd in ends.items() if fd >= 0}
        packet = wire.Packet((tuple(passed), ops), tuple(passed.values()))
        try:
            packet.send(self.sock)
        finally:
            packet.close()
        pidfd, self.pidfd = self.pidfd, -1
        return self.pid, pidfd

    def end(self) -> None:
        """Kill it and wait; nothing when it was handed over."""
        if self.pidfd < 0:
            return
        pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.pidfd = -1
        self.sock.close()


class _Entry:
    """One that waits, for whom, and whom to tell once whether it is ready."""

    def __init__(self, client: Client, prepared: Prepared, told: Callable[[bool], None]) -> None:
        self.client = client
        self.prepared = prepared
        self._told: Callable[[bool], None] | None = told

    def tell(self, ready: bool) -> None:
        if self._told is not None:
            self._told(ready)
            self._told = None


class Waiting:
    """Those of a node, each for the client that announced it."""

    def __init__(self, loop: Loop, hierarchy: Hierarchy, open_files: tuple[int, int]) -> None:
        """`open_files`: their RLIMIT_NOFILE."""
        self._loop = loop
        self._hierarchy = hierarchy
        self._open_files = open_files
        self._all: dict[str, _Entry] = {}

    def add(
        self,
        client: Client,
        config: dict[str, Any],
        namespaces: dict[str, int],
        told: Callable[[bool], None],
    ) -> None:
        """`told` is, once: whether there is one that is ready. There is none when enough are
        waiting. Raise OSError."""
        id, cgroup = config["id"], config["cgroup"]
        if id in self._all or len(self._all) >= _MOST:
            told(False)
            return
        context = Context(self._hierarchy)
        context.namespaces = namespaces
        for op in map(decode, config["host_ops"]):
            op.apply(context)
        born = self._hierarchy.directory_fd(cgroup) if config["born"] else None
        try:
            prepared = Prepared(config, context, born, self._open_files)
        finally:
            if born is not None:
                os.close(born)
        self._all[id] = _Entry(client, prepared, told)
        self._loop.add(prepared.sock.fileno(), lambda: self._heard(id))

    def _heard(self, id: str) -> None:
        """Of one that it is ready, or that it has died."""
        entry = self._all[id]
        try:
            ready = bool(entry.prepared.sock.recv(1))
        except ConnectionResetError:
            ready = False
        if ready:
            entry.tell(True)
        else:
            self.drop(id)

    def _pop(self, id: str) -> _Entry | None:
        entry = self._all.pop(id, None)
        if entry is not None:
            self._loop.remove(entry.prepared.sock.fileno())
        return entry

    def take(self, config: dict[str, Any]) -> Prepared | None:
        """The one that serves this start, ready or soon; the caller's from now on."""
        entry = self._pop(config["id"])
        if entry is None:
            return None
        serves = entry.prepared.serves(config)
        entry.tell(serves)
        if not serves:
            entry.prepared.end()
            return None
        return entry.prepared

    def drop(self, id: str) -> None:
        """End it, and remove its cgroup; fine when there is none."""
        entry = self._pop(id)
        if entry is None:
            return
        entry.prepared.end()
        entry.tell(False)
        try:
            self._hierarchy.remove(entry.prepared.config["cgroup"], timeout=0.5)
        except OSError:
            # Removing the sandbox, or the node, removes it too.
            return

    def drop_all(self, *, client: Client | None = None, sandbox: str | None = None) -> None:
        """Those of a client, of a sandbox, or all."""
        for id, entry in list(self._all.items()):
            whose, where = entry.client, entry.prepared.config["sandbox"]
            if client in (None, whose) and sandbox in (None, where):
                self.drop(id)
