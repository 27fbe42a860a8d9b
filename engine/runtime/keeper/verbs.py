"""What an engine may ask of a node: verbs on its sandboxes, its containers and their processes."""

from __future__ import annotations

import errno
import os
import signal
import socket
from functools import partial

from engine.linux import netlink
from engine.linux.flags import CLONE
from engine.linux.namespace import setns
from engine.runtime.cgroup.api import Resources
from engine.runtime.keeper.client import Request
from engine.runtime.keeper.container import Container
from engine.runtime.keeper.estate import Estate
from engine.runtime.keeper.prepared import Waiting
from engine.runtime.keeper.process import StartFailure
from engine.runtime.keeper.sandbox import Sandbox
from engine.runtime.keeper.spares import Spares, own_namespaces, trust_no_router
from engine.runtime.keeper.start import Ground
from engine.runtime.ops.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.container import OnExit

_LO = 1

# What a verb returns whose reply follows.
LATER = object()


class Verbs:
    """Each is given the request that asks for it, and gives the answer, or LATER.

    home    descriptors of the keeper's own namespaces
    """

    def __init__(self, ground: Ground, cgroup: bytes, estate: Estate) -> None:
        """`cgroup`: the node's, which shutdown removes with all below."""
        self.home = own_namespaces()
        self.waiting = Waiting(ground)
        self._ground = ground
        self._hierarchy = ground.hierarchy
        self._cgroup = cgroup
        self._estate = estate
        trust_no_router()
        self._node = netlink.connect()
        netlink.request(self._node, netlink.link_up(_LO))
        self._spares = Spares(ground.loop, self.home)

    def create_sandbox(self, request: Request, config: dict[str, Any]) -> object:
        id = config["id"]
        if id in self._estate.sandboxes:
            raise OSError(errno.EEXIST, "there is already a sandbox of that id", id)
        sandbox = Sandbox.made(config, self._spares, self._node, self._hierarchy)
        self._estate.add_sandbox(sandbox)
        return sandbox.state()

    def remove_sandbox(self, request: Request, id: str) -> None:
        sandbox = self._estate.sandboxes.get(id)
        if sandbox is None:
            return
        inside = [c.id for c in self._estate.containers.values() if c.sandbox == id]
        if inside:
            raise OSError(errno.EBUSY, f"it still has containers: {', '.join(inside)}", id)
        self.waiting.drop_all(sandbox=id)
        sandbox.end_processes()
        if sandbox.config["cgroup"]:
            self._hierarchy.remove(sandbox.config["cgroup"], timeout=0.5)
        self._estate.remove_sandbox(id)

    def prepare(self, request: Request, config: dict[str, Any]) -> object:
        """Have a process begin what does not depend on the rest of a container's plan."""
        sandbox = self._estate.sandboxes.get(config["sandbox"])
        if sandbox is None or config["id"] in self._estate.containers:
            return False
        self.waiting.announce(request.client, config, sandbox.namespaces, request.reply)
        return LATER

    def create(self, request: Request, config: dict[str, Any]) -> object:
        """Have everything done but the exec."""
        sandbox = self._estate.sandboxes.get(config["sandbox"])
        if sandbox is None or config["id"] in self._estate.containers:
            return False
        self.waiting.create(request.client, config, sandbox.namespaces, request.reply)
        return LATER

    def unprepare(self, request: Request, id: str) -> None:
        self.waiting.drop(id)

    def go(self, request: Request, id: str) -> object:
        """Start what was created; the answer is False when it is not there any more."""
        container = self.waiting.created(id)
        if container is None:
            return False
        return self._begin(request, container, container.go)

    def start(self, request: Request, config: dict[str, Any]) -> object:
        id, sandbox = config["id"], self._estate.sandboxes.get(config["sandbox"])
        if id in self._estate.containers:
            raise OSError(errno.EEXIST, "there is already a container of that id", id)
        if sandbox is None:
            raise OSError(errno.ENOENT, "there is no such sandbox", config["sandbox"])
        pids = self._pids_of(config["pids"], sandbox)
        prepared = self.waiting.take(config)
        container = Container(config, self._ground, sandbox.namespaces, pids)
        return self._begin(request, container, partial(container.start, prepared))

    def _begin(
        self,
        request: Request,
        container: Container,
        begin: Callable[[Callable[[StartFailure | None], None], OnExit], None],
    ) -> object:
        """Have it run, and tell whoever asked for it; and everybody how it ends."""
        self._estate.containers[container.id] = container

        def started(failure: StartFailure | None) -> None:
            if failure is None:
                self._estate.started(container)
                request.reply(container.state)
            else:
                self._forget(container)
                request.fail("start", *failure.args)

        try:
            begin(started, self._estate.exited)
        except BaseException:
            self._forget(container)
            raise
        return LATER

    def _pids_of(self, whose: str, sandbox: Sandbox) -> int:
        """What to enter before a container is cloned: -1 for nothing. Raise OSError."""
        if not whose:
            return -1
        if whose != "pod":
            return self._container(whose).held()
        if "pids" not in sandbox.namespaces:
            raise OSError(errno.ENOENT, "has no pid namespace to share", sandbox.config["id"])
        return sandbox.namespaces["pids"]

    def _forget(self, container: Container) -> None:
        """One that never ran."""
        del self._estate.containers[container.id]
        try:
            self._hierarchy.remove(container.cgroup, timeout=0.5)
        except OSError:
            # Removing the sandbox, or the node, removes it too.
            return

    def exec(
        self, request: Request, id: str, argv: tuple[bytes, ...], ends: tuple[str, ...]
    ) -> object:
        """`ends` names the descriptors that were passed: stdin, stdout, stderr, or console."""
        context = Context(self._hierarchy)
        for name, fd in zip(ends, request.fds, strict=True):
            setattr(context, name, fd)
        container, estate = self._container(id), self._estate
        running = estate.new_exec(id, request.client, request.number)

        def started(outcome: object) -> None:
            if isinstance(outcome, StartFailure):
                estate.exec_ended(running)
                request.fail("start", *outcome.args)
            else:
                estate.exec_started(running)
                request.reply(None)

        ended = estate.exec_end(running)
        try:
            running.process = container.exec(argv, context, started, ended)
        except BaseException:
            estate.exec_ended(running)
            raise
        return LATER

    def exec_signal(self, request: Request, number: int, signum: int) -> None:
        exec = request.client.execs.get(number)
        if exec is not None:
            exec.running.signal_session(signum)

    def exec_kill(self, request: Request, number: int) -> None:
        exec = request.client.execs.get(number)
        if exec is not None:
            exec.running.kill_session()

    def attach(self, request: Request, id: str, outputs: tuple[str, ...]) -> object:
        """`outputs` names the pipes that were passed; the answer is whether it has a terminal, with
        the descriptor to write to if it has any."""
        passed = dict(zip(outputs, request.fds, strict=True))
        terminal, writer = self._container(id).attach(passed)
        request.reply(terminal, fds=(writer,) if writer >= 0 else ())
        return LATER

    def end_input(self, request: Request, id: str) -> None:
        self._container(id).end_input()
        self._estate.holders.let_go("container", id, "input")

    def signal(self, request: Request, id: str, signum: int) -> None:
        self._container(id).signal(signum)

    def kill(self, request: Request, id: str) -> None:
        self._hierarchy.kill(self._container(id).cgroup)

    def pause(self, request: Request, id: str) -> None:
        self._container(id).pause(True)

    def resume(self, request: Request, id: str) -> None:
        self._container(id).pause(False)

    def update(self, request: Request, id: str, limits: dict[str, Any]) -> None:
        """Set those of its limits that are given."""
        self._hierarchy.limit(self._container(id).cgroup, Resources(**limits))

    def remove(self, request: Request, id: str) -> None:
        container = self._estate.containers.get(id)
        if container is None:
            return
        if container.state["finished_at"] is None:
            raise OSError(errno.EBUSY, "it is still running: kill it first", id)
        self._hierarchy.remove(container.cgroup, timeout=0.5)
        self._estate.remove_container(id)

    def containers(self, request: Request) -> object:
        return [c.state for c in self._estate.containers.values() if c.state["started_at"]]

    def sandboxes(self, request: Request) -> object:
        return [sandbox.state() for sandbox in self._estate.sandboxes.values()]

    def dial(self, request: Request, family: int, sandbox: str) -> object:
        """A TCP socket for the engine to connect, born in the network of a sandbox, or of the node;
        it stays there wherever it goes."""
        if not sandbox:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        elif sandbox in self._estate.sandboxes:
            setns(self._estate.sandboxes[sandbox].namespaces["network"], CLONE.NEWNET)
            try:
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            finally:
                setns(self.home["network"], CLONE.NEWNET)
        else:
            raise OSError(errno.ENOENT, "there is no such sandbox", sandbox)
        with sock:
            request.reply(None, fds=(sock.fileno(),))
        return LATER

    def shutdown(self, request: Request) -> None:
        """End every container and everything else that is the node's; then the keeper ends."""
        for exec in self._estate.execs.values():
            exec.running.kill_session()
        self.waiting.drop_all()
        for container in self._estate.containers.values():
            container.discard()
            if container.running:
                container.signal(signal.SIGKILL)
                if container.state["paused"]:
                    container.pause(False)
        if self._hierarchy.exists(self._cgroup):
            self._hierarchy.kill(self._cgroup)
        _reap_all()
        for container in self._estate.containers.values():
            container.close()
            self._hierarchy.remove(container.cgroup)
        self._hierarchy.remove(self._cgroup)
        self._estate.exits.clear()
        self._ground.loop.running = False

    def hold(self, request: Request) -> None:
        """Send this engine all that another keeper would need, and go on to."""
        self._estate.send_all(request.client)

    def adopt(
        self, request: Request, kind: str, facts: dict[str, Any], names: tuple[str, ...]
    ) -> bool:
        """Another keeper has died, and this is what the engine held; whether it goes on."""
        held = zip(names, request.fds, strict=True)
        return self._estate.adopt(kind, facts, {name: os.dup(fd) for name, fd in held})

    def settle(self, request: Request) -> int:
        """That was all; the answer is how many cgroups of others there were."""
        return self._estate.settle()

    def _container(self, id: str) -> Container:
        container = self._estate.containers.get(id)
        if container is None:
            raise OSError(errno.ENOENT, "there is no such container", id)
        return container


VERBS: dict[str, Callable[..., Any]] = {
    "create-sandbox": Verbs.create_sandbox,
    "remove-sandbox": Verbs.remove_sandbox,
    "prepare": Verbs.prepare,
    "create": Verbs.create,
    "go": Verbs.go,
    "unprepare": Verbs.unprepare,
    "start": Verbs.start,
    "exec": Verbs.exec,
    "exec-signal": Verbs.exec_signal,
    "exec-kill": Verbs.exec_kill,
    "attach": Verbs.attach,
    "end-input": Verbs.end_input,
    "signal": Verbs.signal,
    "kill": Verbs.kill,
    "pause": Verbs.pause,
    "resume": Verbs.resume,
    "update": Verbs.update,
    "remove": Verbs.remove,
    "containers": Verbs.containers,
    "sandboxes": Verbs.sandboxes,
    "dial": Verbs.dial,
    "hold": Verbs.hold,
    "adopt": Verbs.adopt,
    "settle": Verbs.settle,
    "shutdown": Verbs.shutdown,
}


def _reap_all() -> None:
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED)
        except ChildProcessError:
            return
