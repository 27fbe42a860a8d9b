"""Processes that are ready to become a container, in one of two ways.

Announced: cloned, in its cgroup and namespaces, with what the kernel gives every container set up
beside its root; it waits for the rest of the plan. All of it can be done while the image is being
looked for. Created: its whole plan is known, and only the exec is missing.

Both are made for one container, not for any: a v2 cgroup is entered by being born there, since to
move there takes an RCU grace period (11 ms), which is more than all of this saves.
"""

from __future__ import annotations

from engine.runtime import child
from engine.runtime.keeper.container import Container
from engine.runtime.keeper.process import Process, StartFailure
from engine.runtime.ops.base import Context
from engine.runtime.ops.codec import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.client import Client
    from engine.runtime.keeper.start import Ground

_MOST_ANNOUNCED = 8
"""How many wait at once: more than can be started at once would only take memory."""
_MOST_CREATED = 64
"""Each is a process of a few pages, and its mounts."""


class Prepared:
    """A process that has done what was announced. `config`: what runtime.py sends to announce it"""

    def __init__(self, ground: Ground, config: dict[str, Any], namespaces: dict[str, int]) -> None:
        """Raise OSError when it cannot be cloned."""
        self.config = config
        self.process = Process(ground.loop)
        context = Context(ground.hierarchy)
        context.namespaces = namespaces
        for op in map(decode, config["host_ops"]):
            op.apply(context)
        self.process.clone(
            config["clone_flags"],
            ground.hierarchy.directory_fd(config["cgroup"]) if config["born"] else None,
            context,
            lambda: child.begin(
                map(decode, config["child_ops"]), context, ground.open_files, ground.doorstep
            ),
        )

    def serves(self, config: dict[str, Any]) -> bool:
        """Whether what it has done is the beginning of that start."""
        for key, value in self.config.items():
            given = config[key][: len(value)] if key == "child_ops" else config[key]
            if given != value:
                return False
        return True

    def hand_over(self, config: dict[str, Any]) -> Process:
        """Have it go on with the rest of that start; it is the caller's."""
        self.process.send(*config["child_ops"][len(self.config["child_ops"]) :])
        return self.process

    def discard(self) -> None:
        """Nobody will need it."""
        self.process.end()


class _Entry:
    """Something that waits, for whom, and whom to tell once whether it is ready."""

    def __init__(
        self,
        client: Client,
        config: dict[str, Any],
        what: Prepared | Container,
        told: Callable[[bool], None],
    ) -> None:
        self.client = client
        self.sandbox: str = config["sandbox"]
        self.cgroup: bytes = config["cgroup"]
        self.what = what
        self._told: Callable[[bool], None] | None = told

    def tell(self, ready: bool) -> None:
        if self._told is not None:
            self._told(ready)
            self._told = None


class Waiting:
    """Those of a node, each for the client that asked for it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._all: dict[str, _Entry] = {}

    def announce(
        self,
        client: Client,
        config: dict[str, Any],
        namespaces: dict[str, int],
        told: Callable[[bool], None],
    ) -> None:
        """`told` is, once: whether there is one that is ready. There is none when enough are
        waiting. Raise OSError."""
        id = config["id"]
        if id in self._all or self._count(Prepared) >= _MOST_ANNOUNCED:
            told(False)
            return
        prepared = Prepared(self._ground, config, namespaces)
        self._all[id] = entry = _Entry(client, config, prepared, told)
        prepared.process.on_begun = lambda: entry.tell(True)
        prepared.process.on_start = lambda _: self.drop(id)

    def create(
        self,
        client: Client,
        config: dict[str, Any],
        namespaces: dict[str, int],
        told: Callable[[bool], None],
    ) -> None:
        """The same for the whole of a container, from what was announced of it, if that was."""
        id = config["id"]
        prepared = self.take(config)
        if id in self._all or self._count(Container) >= _MOST_CREATED:
            if prepared is not None:
                prepared.discard()
            told(False)
            return
        container = Container(config, self._ground, namespaces)
        self._all[id] = entry = _Entry(client, config, container, told)

        def ready(is_so: bool) -> None:
            if is_so:
                entry.tell(True)
            else:
                self.drop(id)

        try:
            container.create(prepared, ready)
        except StartFailure:
            # The start itself will say why it cannot be.
            self.drop(id)

    def _count(self, kind: type[Prepared | Container]) -> int:
        return sum(isinstance(entry.what, kind) for entry in self._all.values())

    def take(self, config: dict[str, Any]) -> Prepared | None:
        """The announced one that serves this start, ready or soon; the caller's from now on. What
        else waits under its name is discarded."""
        entry = self._all.pop(config["id"], None)
        if entry is None:
            return None
        if isinstance(entry.what, Prepared) and entry.what.serves(config):
            entry.tell(True)
            return entry.what
        entry.what.discard()
        entry.tell(False)
        return None

    def created(self, id: str) -> Container | None:
        """The created one of that name, the caller's from now on; None when there is none."""
        entry = self._all.get(id)
        if entry is None or isinstance(entry.what, Prepared):
            return None
        del self._all[id]
        entry.tell(True)
        return entry.what

    def drop(self, id: str) -> None:
        """End it, and remove its cgroup; fine when there is none."""
        entry = self._all.pop(id, None)
        if entry is None:
            return
        entry.what.discard()
        try:
            self._ground.hierarchy.remove(entry.cgroup, timeout=0.5)
        except OSError:
            # Removing the sandbox, or the node, removes it too.
            pass
        entry.tell(False)

    def drop_all(self, *, client: Client | None = None, sandbox: str | None = None) -> None:
        """Those of a client, of a sandbox, or all."""
        for id, entry in list(self._all.items()):
            if client in (None, entry.client) and sandbox in (None, entry.sandbox):
                self.drop(id)
