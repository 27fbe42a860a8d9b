"""The keeper's state and its verbs: what an engine may ask of a node.

Engines come and go; what they started stays. Every connection is first told of each container that
has ended and has not been removed, so that an exit is never missed.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
from functools import partial

from engine.linux import netlink
from engine.linux.doorstep import Doorstep
from engine.linux.flags import CLONE
from engine.linux.namespace import setns
from engine.runtime import wire
from engine.runtime.keeper.client import Client, Request
from engine.runtime.keeper.container import Container
from engine.runtime.keeper.loop import Loop
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

    from engine.runtime.cgroup.api import Hierarchy

_LO = 1

# What a verb returns whose reply follows.
_LATER = object()


class Keeper:
    """One node: its sandboxes, its containers, and whoever is connected."""

    def __init__(self, hierarchy: Hierarchy, cgroup: bytes) -> None:
        """`cgroup`: the node's, which shutdown removes with all below."""
        self._loop = Loop()
        self._clients: set[Client] = set()
        self._hierarchy = hierarchy
        self._cgroup = cgroup
        self._containers: dict[str, Container] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._home = own_namespaces()
        self._pid_namespace = os.open(b"/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        trust_no_router()
        self._node = netlink.connect()
        netlink.request(self._node, netlink.link_up(_LO))
        # Each container costs us three descriptors; what it gets itself is what we were given.
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files[1], open_files[1]))
        self._spares = Spares(self._loop, self._home)
        self._ground = Ground(self._loop, hierarchy, open_files, Doorstep())
        self._waiting = Waiting(self._ground)

    def serve(self, listener: socket.socket) -> None:
        """Until shutdown."""
        listener.setblocking(False)
        self._loop.add(listener.fileno(), lambda: self._accept(listener))
        self._loop.run()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            # Gone again, or we have no descriptor left: there is nobody to tell.
            return
        size = struct.calcsize("=iII")
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, uid, _ = struct.unpack("=iII", credentials)
        if uid not in (0, os.geteuid()):
            sock.close()
            return
        client = Client(sock, self._loop, self._handle, self._gone)
        self._clients.add(client)
        client.send(0, "hello", wire.VERSION, os.getpid(), fds=(self._home["network"],))
        for container in self._containers.values():
            if container.state["finished_at"] is not None:
                client.send(0, "exit", container.state)

    def _gone(self, client: Client) -> None:
        """An engine that is new gives its containers new ids."""
        self._clients.discard(client)
        self._waiting.drop_all(client=client)

    def _handle(self, request: Request) -> None:
        try:
            result = _VERBS[request.verb](self, request, *request.arguments)
        except StartFailure as failure:
            request.fail("start", *failure.args)
        except OSError as error:
            name = error.filename
            about = os.fsdecode(name) if isinstance(name, bytes) else str(name or "")
            request.fail("os", error.errno or 0, error.strerror or str(error), about)
        except Exception as error:  # noqa: BLE001 - a keeper that ends takes its node with it
            request.fail("bug", repr(error))
        else:
            if result is not _LATER:
                request.reply(result)

    def create_sandbox(self, request: Request, config: dict[str, Any]) -> object:
        id = config["id"]
        if id in self._sandboxes:
            raise OSError(errno.EEXIST, "there is already a sandbox of that id", id)
        sandbox = Sandbox(config, self._spares, self._node)
        try:
            if config["cgroup"]:
                self._hierarchy.create(config["cgroup"])
        except OSError:
            sandbox.close()
            raise
        self._sandboxes[id] = sandbox
        return sandbox.state()

    def remove_sandbox(self, request: Request, id: str) -> None:
        sandbox = self._sandboxes.get(id)
        if sandbox is None:
            return
        inside = [c.id for c in self._containers.values() if c.sandbox == id]
        if inside:
            raise OSError(errno.EBUSY, f"it still has containers: {', '.join(inside)}", id)
        self._waiting.drop_all(sandbox=id)
        if sandbox.config["cgroup"]:
            self._hierarchy.remove(sandbox.config["cgroup"], timeout=0.5)
        sandbox.close()
        del self._sandboxes[id]

    def prepare(self, request: Request, config: dict[str, Any]) -> object:
        """Have a process begin what does not depend on the rest of a container's plan."""
        sandbox = self._sandboxes.get(config["sandbox"])
        if sandbox is None or config["id"] in self._containers:
            return False
        self._waiting.announce(request.client, config, sandbox.namespaces, request.reply)
        return _LATER

    def create(self, request: Request, config: dict[str, Any]) -> object:
        """Have everything done but the exec."""
        sandbox = self._sandboxes.get(config["sandbox"])
        if sandbox is None or config["id"] in self._containers:
            return False
        self._waiting.create(request.client, config, sandbox.namespaces, request.reply)
        return _LATER

    def unprepare(self, request: Request, id: str) -> None:
        self._waiting.drop(id)

    def go(self, request: Request, id: str) -> object:
        """Start what was created; the answer is False when it is not there any more."""
        container = self._waiting.created(id)
        if container is None:
            return False
        return self._begin(request, container, container.go)

    def start(self, request: Request, config: dict[str, Any]) -> object:
        id, sandbox = config["id"], self._sandboxes.get(config["sandbox"])
        if id in self._containers:
            raise OSError(errno.EEXIST, "there is already a container of that id", id)
        if sandbox is None:
            raise OSError(errno.ENOENT, "there is no such sandbox", config["sandbox"])
        prepared = self._waiting.take(config)
        container = Container(config, self._ground, sandbox.namespaces)
        return self._begin(request, container, partial(container.start, prepared))

    def _begin(
        self,
        request: Request,
        container: Container,
        begin: Callable[[Callable[[StartFailure | None], None], Callable[[], None]], None],
    ) -> object:
        """Have it run, and tell whoever asked for it; and everybody how it ends."""
        self._containers[container.id] = container

        def started(failure: StartFailure | None) -> None:
            if failure is None:
                request.reply(container.state)
            else:
                self._forget(container)
                request.fail("start", *failure.args)

        def exited() -> None:
            for client in list(self._clients):
                client.send(0, "exit", container.state)

        try:
            begin(started, exited)
        except BaseException:
            self._forget(container)
            raise
        return _LATER

    def _forget(self, container: Container) -> None:
        """One that never ran."""
        del self._containers[container.id]
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
        execs, number = request.client.execs, request.number

        def started(outcome: object) -> None:
            if isinstance(outcome, StartFailure):
                execs.pop(number, None)
                request.fail("start", *outcome.args)
            else:
                request.reply(None)

        def exited(code: int, signum: int | None) -> None:
            execs.pop(number, None)
            request.client.send(0, "exec-exit", number, code, signum)

        execs[number] = self._container(id).exec(
            argv, context, self._pid_namespace, started, exited
        )
        return _LATER

    def exec_signal(self, request: Request, number: int, signum: int) -> None:
        process = request.client.execs.get(number)
        if process is not None:
            process.signal_session(signum)

    def exec_kill(self, request: Request, number: int) -> None:
        process = request.client.execs.get(number)
        if process is not None:
            process.kill_session()

    def attach(self, request: Request, id: str, outputs: tuple[str, ...]) -> object:
        """`outputs` names the pipes that were passed; the answer is whether it has a terminal, with
        the descriptor to write to if it has any."""
        passed = dict(zip(outputs, request.fds, strict=True))
        terminal, writer = self._container(id).attach(passed)
        request.reply(terminal, fds=(writer,) if writer >= 0 else ())
        return _LATER

    def end_input(self, request: Request, id: str) -> None:
        self._container(id).end_input()

    def signal(self, request: Request, id: str, signum: int) -> None:
        self._container(id).signal(signum)

    def kill(self, request: Request, id: str) -> None:
        self._hierarchy.kill(self._container(id).cgroup)

    def remove(self, request: Request, id: str) -> None:
        container = self._containers.get(id)
        if container is None:
            return
        if container.state["finished_at"] is None:
            raise OSError(errno.EBUSY, "it is still running: kill it first", id)
        self._hierarchy.remove(container.cgroup, timeout=0.5)
        del self._containers[id]

    def containers(self, request: Request) -> object:
        return [c.state for c in self._containers.values() if c.state["started_at"]]

    def sandboxes(self, request: Request) -> object:
        return [sandbox.state() for sandbox in self._sandboxes.values()]

    def dial(self, request: Request, family: int, sandbox: str) -> object:
        """A TCP socket for the engine to connect, born in the network of a sandbox, or of the node;
        it stays there wherever it goes."""
        if not sandbox:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        elif sandbox in self._sandboxes:
            setns(self._sandboxes[sandbox].namespaces["network"], CLONE.NEWNET)
            try:
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            finally:
                setns(self._home["network"], CLONE.NEWNET)
        else:
            raise OSError(errno.ENOENT, "there is no such sandbox", sandbox)
        with sock:
            request.reply(None, fds=(sock.fileno(),))
        return _LATER

    def shutdown(self, request: Request) -> None:
        """End every container and everything else that is the node's; then the keeper ends."""
        for client in self._clients:
            for process in client.execs.values():
                process.kill_session()
        self._waiting.drop_all()
        for container in self._containers.values():
            container.discard()
            if container.running:
                container.signal(signal.SIGKILL)
        if self._hierarchy.exists(self._cgroup):
            self._hierarchy.kill(self._cgroup)
        _reap_all()
        for container in self._containers.values():
            container.close()
            self._hierarchy.remove(container.cgroup)
        self._hierarchy.remove(self._cgroup)
        self._loop.running = False

    def _container(self, id: str) -> Container:
        container = self._containers.get(id)
        if container is None:
            raise OSError(errno.ENOENT, "there is no such container", id)
        return container


_VERBS: dict[str, Callable[..., Any]] = {
    "create-sandbox": Keeper.create_sandbox,
    "remove-sandbox": Keeper.remove_sandbox,
    "prepare": Keeper.prepare,
    "create": Keeper.create,
    "go": Keeper.go,
    "unprepare": Keeper.unprepare,
    "start": Keeper.start,
    "exec": Keeper.exec,
    "exec-signal": Keeper.exec_signal,
    "exec-kill": Keeper.exec_kill,
    "attach": Keeper.attach,
    "end-input": Keeper.end_input,
    "signal": Keeper.signal,
    "kill": Keeper.kill,
    "remove": Keeper.remove,
    "containers": Keeper.containers,
    "sandboxes": Keeper.sandboxes,
    "dial": Keeper.dial,
    "shutdown": Keeper.shutdown,
}


def _reap_all() -> None:
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED)
        except ChildProcessError:
            return
