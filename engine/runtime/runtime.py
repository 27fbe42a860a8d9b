"""The engine's end of a node's keeper: containers and sandboxes as coroutines.

The keeper holds all state. An engine that starts anew connects, asks what there is, and goes on;
its own end leaves every container running. How it comes to a keeper is in launch.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from engine.home import NodePaths
from engine.linux.pidfd import pidfd_open
from engine.runtime import session as sessions
from engine.runtime.cgroup.api import Resources
from engine.runtime.connection import Connection
from engine.runtime.errors import KeeperLost, KeeperNotStarted, RuntimeFailure, StartError
from engine.runtime.held import Held, Holding
from engine.runtime.keepers import clean_dead_keeper
from engine.runtime.output import Output
from engine.runtime.plan import Preparation
from engine.runtime.session import Session
from engine.runtime.state import (
    Beginning,
    ContainerConfig,
    ContainerState,
    ExecResult,
    Origin,
    SandboxConfig,
    SandboxState,
    beginning,
    whole,
)

__all__ = [
    "Beginning",
    "ContainerConfig",
    "ContainerState",
    "ExecResult",
    "KeeperLost",
    "KeeperNotStarted",
    "Origin",
    "Runtime",
    "RuntimeFailure",
    "SandboxConfig",
    "SandboxState",
    "Session",
    "StartError",
    "clean_dead_keeper",
]

HANG_UP_S = 1.0
"""What an exec whose client has gone has to end by itself."""


class Runtime:
    """A connection to one node's keeper.

    Every method raises KeeperLost when the keeper ends, and OSError for what it could not do.
    """

    def __init__(self, sock: socket.socket) -> None:
        """For launch() and attach(), which wait for the keeper's first words."""
        self.lost = asyncio.Event()
        self.keeper_pid = 0
        self.version = 0
        self.digest = ""
        self.beginning = Beginning(Origin.FOUND)
        self.held = Held()
        self.namespaces: tuple[int, ...] = ()
        self._loop = asyncio.get_running_loop()
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._execs: dict[int, asyncio.Future[int]] = {}
        self._created: dict[str, ContainerConfig] = {}
        self._exits: asyncio.Queue[ContainerState | None] = asyncio.Queue()
        self._connection = Connection(sock, self._happened, self._lose)

    @classmethod
    async def launch(cls, paths: NodePaths, node: str, after: Runtime | None = None) -> Runtime:
        """Connect to the node's keeper, made one of our own program; start one when there is none.

        `after`: the runtime that has lost its keeper. What it holds, the new keeper goes on with,
        and it is closed. Without, what a keeper that died left behind (its containers among it) is
        removed first. Raise KeeperNotStarted, or RuntimeFailure when the living one speaks another
        version and cannot be made to speak ours.
        """
        from engine.runtime.launch import launch  # which is made of this class

        return await launch(paths, node, after)

    @classmethod
    async def attach(cls, paths: NodePaths) -> Runtime | None:
        """Connect to the node's living keeper, None when there is none.

        One of another version can at least be shut down, and asked to become one of ours.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, str(paths.keeper_socket))
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            return None
        except OSError:
            sock.close()
            raise
        runtime = cls(sock)
        await runtime._greeted
        return None if runtime.lost.is_set() else runtime

    def close(self) -> None:
        """Leave the keeper and its containers to the next engine."""
        self._disconnect()
        self.held.close()
        self._hold_namespaces()

    def _disconnect(self) -> None:
        self._connection.close()
        if not self._greeted.done():
            self._greeted.set_result(None)
        for ended in self._execs.values():
            if not ended.done():
                ended.set_exception(KeeperLost("the connection to the keeper is closed"))
        self._exits.put_nowait(None)

    def netns_fd(self) -> int:
        """The node's network namespace, also when the keeper is lost. The descriptor stays ours."""
        return self.namespaces[0] if self.namespaces else -1

    def _hold_namespaces(self, *fds: int) -> None:
        """The network and the mount one of the keeper, ours from now on."""
        for fd in self.namespaces:
            os.close(fd)
        self.namespaces = fds

    async def create_sandbox(self, config: SandboxConfig) -> SandboxState:
        """Raise OSError naming the link, the address or the route that could not be made."""
        fields = {**vars(config), "labels": dict(config.labels)}
        # A pod's uid may be long; a link's name is 15 bytes.
        fields["link"] = "v" + hashlib.sha256(config.id.encode()).hexdigest()[:8]
        return SandboxState(**await self._connection.ask("create-sandbox", config.id, fields))

    async def remove_sandbox(self, id: str) -> None:
        """Fine when there is none. Raise OSError(EBUSY) while it has containers."""
        await self._connection.ask("remove-sandbox", id, id)

    async def prepare(self, preparation: Preparation) -> bool:
        """Have a process begin the start of an announced container, whose sandbox exists, and wait
        for start(). Returns when it waits, or whether it does: a container that is not prepared, or
        whose plan has another beginning, starts all the same. Unless it is started, the process
        ends with unprepare(), with its sandbox, or with this connection. Raise OSError."""
        fields = beginning(preparation)
        return bool(await self._connection.ask("prepare", preparation.container_id, fields))

    async def unprepare(self, id: str) -> None:
        """The announced container will not be started; fine when it was not prepared."""
        self._created.pop(id, None)
        await self._connection.ask("unprepare", id, id)

    async def create(self, config: ContainerConfig) -> bool:
        """Have everything done for a container but the exec of its program, which start() with the
        same config is then, at once. Returns when that is so, or whether it is; what was prepared
        of it is made use of, and what holds for prepare() holds. Raise OSError."""
        created = bool(await self._connection.ask("create", config.id, whole(config)))
        if created:
            self._created[config.id] = config
        return created

    async def start(self, config: ContainerConfig) -> ContainerState:
        """Returns once the container's program runs. Raise StartError, and leave nothing."""
        if self._created.pop(config.id, None) == config:
            state = await self._connection.ask("go", config.id, config.id)
            if state:
                return ContainerState(**state)
        return ContainerState(**await self._connection.ask("start", config.id, whole(config)))

    async def signal(self, id: str, signum: int) -> None:
        """To the container's first process; nothing when that has ended."""
        try:
            await self._connection.ask("signal", id, id, int(signum))
        except ProcessLookupError:
            pass

    async def kill(self, id: str) -> None:
        """SIGKILL to every process of the container."""
        await self._connection.ask("kill", id, id)

    async def pause(self, id: str) -> None:
        """Stop all its processes where they are. Raise OSError(ESRCH) when it does not run."""
        await self._connection.ask("pause", id, id)

    async def resume(self, id: str) -> None:
        """Let them go on; fine when they do."""
        await self._connection.ask("resume", id, id)

    async def update(self, id: str, resources: Resources) -> None:
        """Set, of its limits, those that are given. Raise OSError naming the file and the value."""
        await self._connection.ask("update", id, id, resources.fields())

    async def exec(
        self, id: str, argv: Sequence[str], *, timeout_s: float, limit: int = 64 * 1024
    ) -> ExecResult:
        """Run a command in a container, confined as the container is, and wait for its end.

        Raise StartError when it cannot be executed. After `timeout_s` its process group is killed.
        """
        with Output(limit) as output:
            number = self._connection.number()
            ended: asyncio.Future[int] = self._loop.create_future()
            self._execs[number] = ended
            try:
                words = tuple(os.fsencode(word) for word in argv)
                try:
                    async with asyncio.timeout(timeout_s):
                        await self._connection.ask(
                            "exec",
                            id,
                            id,
                            words,
                            ("stdout", "stderr"),
                            fds=(output.writer, output.writer),
                            number=number,
                        )
                        output.begin()
                        code = await asyncio.shield(ended)
                except TimeoutError:
                    # Ended in `finally`; whoever asked has waited long enough.
                    return ExecResult(128 + signal.SIGKILL, output.finish(), timed_out=True)
                return ExecResult(code, output.finish(), timed_out=False)
            finally:
                del self._execs[number]
                if not ended.done():
                    ended.cancel()
                    self._connection.tell("exec-kill", number)
                elif not ended.cancelled():
                    # Told to whoever awaited the start, if that is where the keeper was lost.
                    ended.exception()

    async def session(
        self, id: str, argv: Sequence[str], *, terminal: bool = False, stdin: bool = False
    ) -> Session:
        """Run a command in a container as exec() does, and talk with it. Raise StartError."""
        number = self._connection.number()
        ended: asyncio.Future[int] = self._loop.create_future()
        self._execs[number] = ended
        ended.add_done_callback(lambda _: self._execs.pop(number, None))

        async def begin(ends: Mapping[str, int]) -> None:
            words = tuple(os.fsencode(word) for word in argv)
            fds = tuple(ends.values())
            await self._connection.ask("exec", id, id, words, tuple(ends), fds=fds, number=number)

        def hang_up() -> None:
            if not ended.done():
                self._connection.tell("exec-signal", number, int(signal.SIGHUP))
                self._loop.call_later(HANG_UP_S, self._connection.tell, "exec-kill", number)

        try:
            ends = await (
                sessions.on_terminal(begin) if terminal else sessions.on_pipes(begin, stdin)
            )
        except BaseException:
            ended.cancel()
            self._connection.tell("exec-kill", number)
            raise
        return Session(ends, ended=ended, on_close=hang_up)

    async def attach_to(self, id: str, *, stdin: bool = False, once: bool = False) -> Session:
        """Join the container's first process: what it says from now on, and with `stdin` its input,
        which ends for good when we end it if that was to happen `once`.

        Raise OSError(ESRCH) when it does not run, OSError(ENXIO) when it has no input.
        """

        async def begin(ends: Mapping[str, int]) -> tuple[bool, list[int]]:
            fds = tuple(ends.values())
            return await self._connection.exchange("attach", id, id, tuple(ends), fds=fds)

        ends = await sessions.on_copies(begin, stdin)

        def end_input() -> None:
            if stdin and once:
                self._connection.tell("end-input", id)

        return Session(ends, on_input_end=end_input, on_close=end_input)

    async def remove(self, id: str) -> None:
        """Forget a container that has ended, and remove its cgroup; fine when there is none."""
        await self._connection.ask("remove", id, id)

    async def containers(self) -> list[ContainerState]:
        """All that were started and not removed, those that have ended among them."""
        return [ContainerState(**state) for state in await self._connection.ask("containers", "")]

    async def sandboxes(self) -> list[SandboxState]:
        return [SandboxState(**state) for state in await self._connection.ask("sandboxes", "")]

    async def exits(self) -> AsyncIterator[ContainerState]:
        """Every exit once for each connection, first those of containers not yet removed.

        Ends when the keeper is lost or the connection closed.
        """
        while (state := await self._exits.get()) is not None:
            yield state

    async def dial(
        self, host: str, port: int, timeout_s: float, *, sandbox: str = ""
    ) -> socket.socket:
        """A TCP connection from inside the node's network, or a sandbox's; not blocking.

        `host` is an address. Raise OSError, TimeoutError.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        _, fds = await self._connection.exchange("dial", host, int(family), sandbox)
        sock = socket.socket(fileno=fds[0])
        sock.setblocking(False)
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def hold(self) -> None:
        """Hold from now on what another keeper will need if this one dies."""
        await self._connection.ask("hold", "")

    async def adopt(self, kept: Holding) -> None:
        """Have the keeper, which is new, go on with what was held for an earlier one. Raise OSError
        when it cannot."""
        fds = tuple(kept.fds.values())
        names = tuple(kept.fds)
        await self._connection.ask("adopt", kept.id, kept.kind, kept.facts, names, fds=fds)

    async def settle(self) -> int:
        """That was all: end whatever else there is on the node. Gives how many containers."""
        return int(await self._connection.ask("settle", ""))

    async def become(self, interpreter: str, words: tuple[str, ...]) -> None:
        """Have the keeper re-execute itself as that program, keeping everything. Raise OSError when
        it cannot and stays what it is."""
        await self._connection.ask("re-exec", "the keeper", interpreter, words)

    async def shutdown(self) -> None:
        """Kill everything of this node, remove its cgroups, and wait for the keeper's end."""
        try:
            held = pidfd_open(self.keeper_pid)
        except ProcessLookupError:
            raise KeeperLost("the keeper has ended already") from None
        gone = asyncio.Event()
        self._loop.add_reader(held, gone.set)
        try:
            await self._connection.ask("shutdown", "")
            await gone.wait()
        finally:
            self._loop.remove_reader(held)
            os.close(held)

    def _happened(self, name: str, facts: list[Any], fds: list[int]) -> None:
        if name == "hello":
            self._hold_namespaces(*fds)
            self._greet(*facts[:3])
        elif name == "exit":
            self.held.ended(facts[0])
            self._exits.put_nowait(ContainerState(**facts[0]))
        elif name == "exec-exit":
            number, code, _ = facts
            ended = self._execs.get(number)
            if ended is not None and not ended.done():
                ended.set_result(code)
        elif name == "keep":
            kind, id, about, names = facts
            self.held.keep(kind, id, about, names, fds)
        elif name == "let-go":
            self.held.let_go(*facts)

    def _greet(self, version: int, pid: int, digest: str = "") -> None:
        """The keeper's first words; said again by the program that it has become."""
        self.version, self.keeper_pid, self.digest = version, pid, digest
        if not self._greeted.done():
            self._greeted.set_result(None)

    def _lose(self) -> None:
        self.lost.set()
        self._disconnect()
