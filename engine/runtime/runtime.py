"""The engine's end of a node's keeper: containers and sandboxes as coroutines.

The keeper holds all state. An engine that starts anew connects, asks what there is, and goes on;
its own end leaves every container running.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.home import NodePaths
from engine.linux.pidfd import pidfd_open
from engine.runtime import keepers, wire
from engine.runtime.errors import (
    KeeperLost,
    KeeperNotStarted,
    RuntimeFailure,
    StartError,
    failed,
)
from engine.runtime.keepers import clean_dead_keeper
from engine.runtime.output import Output
from engine.runtime.plan import Plan

__all__ = [
    "ContainerConfig",
    "ContainerState",
    "ExecResult",
    "KeeperLost",
    "KeeperNotStarted",
    "Runtime",
    "RuntimeFailure",
    "SandboxConfig",
    "SandboxState",
    "StartError",
    "clean_dead_keeper",
]


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """A pod's shared namespaces. Without `ip` it has a loopback only; `mtu` 0 is the kernel's.

    `cgroup`: the pod's, to be made and removed with the sandbox; b"" when others see to that.
    """

    id: str
    hostname: str
    ip: str = ""
    prefix: int = 24
    gateway: str = ""
    bridge: str = "br0"
    mtu: int = 0
    cgroup: bytes = b""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SandboxState:
    """`link` and `index` are the node's end of its cable, by which its traffic is counted."""

    id: str
    hostname: str
    ip: str
    prefix: int
    gateway: str
    bridge: str
    mtu: int
    cgroup: bytes
    labels: dict[str, str]
    link: str
    index: int


@dataclass(frozen=True, kw_only=True)
class ContainerConfig:
    """What to start. The labels come back in every state, also to an engine that is new."""

    id: str
    sandbox: str
    plan: Plan
    log_path: Path
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """Times in Unix seconds. `exit_code` is 128 + `signal` for a process that a signal ended.

    trace       (operation, its object, microseconds) of its start, in order
    warnings    what was asked and could be done only in part
    """

    id: str
    sandbox: str
    labels: dict[str, str]
    log_path: str
    cgroup: bytes
    pid: int
    started_at: float
    finished_at: float | None
    exit_code: int | None
    signal: int | None
    oom_killed: bool
    trace: list[tuple[str, str, int]]
    warnings: list[str]

    @property
    def running(self) -> bool:
        return self.finished_at is None


@dataclass(frozen=True)
class ExecResult:
    """`output`: both outputs as they came, cut at the limit. Timed out, the code is 137."""

    exit_code: int
    output: bytes
    timed_out: bool


class Runtime:
    """A connection to one node's keeper.

    Every method raises KeeperLost when the keeper ends, and OSError for what it could not do.
    """

    def __init__(self, sock: socket.socket) -> None:
        """For launch() and attach(), which wait for the keeper's first words."""
        self.lost = asyncio.Event()
        self.keeper_pid = 0
        self._netns = -1
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._replies: dict[int, tuple[str, str, asyncio.Future[tuple[Any, list[int]]]]] = {}
        self._execs: dict[int, asyncio.Future[int]] = {}
        self._exits: asyncio.Queue[ContainerState | None] = asyncio.Queue()
        self._waiting: list[wire.Packet] = []
        self._greeted: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), self._read)

    @classmethod
    async def launch(cls, paths: NodePaths, *, node: str) -> Runtime:
        """Connect to the node's keeper; start one when there is none.

        What a keeper that died left behind (its containers among it) is removed first. Raise
        KeeperNotStarted, or RuntimeFailure when the living one speaks another version.
        """
        found = await cls.attach(paths)
        if found is not None:
            return found
        await asyncio.to_thread(clean_dead_keeper, paths)
        await keepers.start(paths, node)
        found = await cls.attach(paths)
        if found is None:
            raise KeeperNotStarted(f"node {node}: its keeper ended at once; see {paths.keeper_log}")
        return found

    @classmethod
    async def attach(cls, paths: NodePaths) -> Runtime | None:
        """Connect to the node's living keeper, None when there is none."""
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
        try:
            version = await runtime._greeted
        except KeeperLost:
            return None
        if version != wire.VERSION:
            runtime.close()
            raise RuntimeFailure(
                f"node {paths.name}: its keeper is of another version of Podarium"
                f" ({version}, not {wire.VERSION}); take the cluster down and up again"
            )
        return runtime

    def close(self) -> None:
        """Leave the keeper and its containers to the next engine."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()
        if self._netns >= 0:
            os.close(self._netns)
            self._netns = -1
        for packet in self._waiting:
            packet.close()
        self._waiting.clear()
        lost = KeeperLost("the connection to the keeper is closed")
        for future in [self._greeted, *self._execs.values()]:
            _fail(future, lost)
        for _, _, reply in self._replies.values():
            _fail(reply, lost)
        self._exits.put_nowait(None)

    def netns_fd(self) -> int:
        """The node's network namespace. The descriptor stays ours."""
        return self._netns

    async def create_sandbox(self, config: SandboxConfig) -> SandboxState:
        """Raise OSError naming the link, the address or the route that could not be made."""
        fields = {**vars(config), "labels": dict(config.labels)}
        # A pod's uid may be long; a link's name is 15 bytes.
        fields["link"] = "v" + hashlib.sha256(config.id.encode()).hexdigest()[:8]
        return SandboxState(**await self._ask("create-sandbox", config.id, fields))

    async def remove_sandbox(self, id: str) -> None:
        """Fine when there is none. Raise OSError(EBUSY) while it has containers."""
        await self._ask("remove-sandbox", id, id)

    async def start(self, config: ContainerConfig) -> ContainerState:
        """Returns once the container's program runs. Raise StartError, and leave nothing."""
        plan = config.plan
        fields = {
            "id": config.id,
            "sandbox": config.sandbox,
            "labels": dict(config.labels),
            "log_path": str(config.log_path),
            "cgroup": plan.cgroup,
            "born": plan.born,
            "clone_flags": int(plan.clone_flags),
            "host_ops": [op.encode() for op in plan.host_ops],
            "child_ops": [op.encode() for op in plan.child_ops],
        }
        return ContainerState(**await self._ask("start", config.id, fields))

    async def signal(self, id: str, signum: int) -> None:
        """To the container's first process; nothing when that has ended."""
        try:
            await self._ask("signal", id, id, int(signum))
        except ProcessLookupError:
            pass

    async def kill(self, id: str) -> None:
        """SIGKILL to every process of the container."""
        await self._ask("kill", id, id)

    async def exec(
        self, id: str, argv: Sequence[str], *, timeout_s: float, limit: int = 64 * 1024
    ) -> ExecResult:
        """Run a command in a container, confined as the container is, and wait for its end.

        Raise StartError when it cannot be executed. After `timeout_s` its process group is killed.
        """
        with Output(limit) as output:
            ended: asyncio.Future[int] = self._loop.create_future()
            number = self._number + 1
            self._execs[number] = ended
            try:
                words = tuple(os.fsencode(word) for word in argv)
                await self._ask("exec", id, id, words, fds=(output.writer,))
                output.begin()
                timed_out = False
                done, _ = await asyncio.wait([ended], timeout=timeout_s)
                if not done:
                    timed_out = True
                    await self._ask("exec-kill", id, number)
                return ExecResult(await ended, output.finish(), timed_out)
            finally:
                del self._execs[number]
                if not ended.done():
                    ended.cancel()
                    self._tell("exec-kill", number)

    async def remove(self, id: str) -> None:
        """Forget a container that has ended, and remove its cgroup; fine when there is none."""
        await self._ask("remove", id, id)

    async def containers(self) -> list[ContainerState]:
        """All that were started and not removed, those that have ended among them."""
        return [ContainerState(**state) for state in await self._ask("containers", "")]

    async def sandboxes(self) -> list[SandboxState]:
        return [SandboxState(**state) for state in await self._ask("sandboxes", "")]

    async def exits(self) -> AsyncIterator[ContainerState]:
        """Every exit once for each connection, first those of containers not yet removed.

        Ends when the keeper is lost or the connection closed.
        """
        while (state := await self._exits.get()) is not None:
            yield state

    async def dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection from inside the node's network, not blocking.

        `host` is an address. Raise OSError, TimeoutError.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        _, fds = await self._exchange("dial", host, (int(family),))
        sock = socket.socket(fileno=fds[0])
        sock.setblocking(False)
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def shutdown(self) -> None:
        """Kill everything of this node, remove its cgroups, and wait for the keeper's end."""
        held = pidfd_open(self.keeper_pid)
        gone = asyncio.Event()
        self._loop.add_reader(held, gone.set)
        try:
            await self._ask("shutdown", "")
            await gone.wait()
        finally:
            self._loop.remove_reader(held)
            os.close(held)

    async def _ask(
        self, verb: str, about: str, *arguments: object, fds: tuple[int, ...] = ()
    ) -> Any:
        result, _ = await self._exchange(verb, about, arguments, fds)
        return result

    async def _exchange(
        self, verb: str, about: str, arguments: tuple[object, ...], fds: tuple[int, ...] = ()
    ) -> tuple[Any, list[int]]:
        if self._sock.fileno() < 0:
            raise KeeperLost("the connection to the keeper is closed")
        self._number += 1
        number = self._number
        future: asyncio.Future[tuple[Any, list[int]]] = self._loop.create_future()
        self._replies[number] = (verb, about, future)
        self._send(number, verb, *arguments, fds=fds)
        try:
            return await future
        finally:
            self._replies.pop(number, None)

    def _tell(self, verb: str, *arguments: object) -> None:
        """Ask without waiting for the answer."""
        self._number += 1
        self._send(self._number, verb, *arguments)

    def _send(self, *message: object, fds: tuple[int, ...] = ()) -> None:
        if self._sock.fileno() >= 0:
            self._waiting.append(wire.Packet(message, fds))
            self._flush()

    def _flush(self) -> None:
        fileno = self._sock.fileno()
        try:
            while self._waiting:
                self._waiting[0].send(self._sock)
                del self._waiting[0]
        except BlockingIOError:
            self._loop.add_writer(fileno, self._flush)
            return
        except OSError:
            self._ended()
            return
        self._loop.remove_writer(fileno)

    def _read(self) -> None:
        while self._sock.fileno() >= 0:
            try:
                received = wire.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._ended()
                return
            (number, *facts), fds = received
            if number:
                self._replied(number, facts, fds)
            else:
                self._happened(facts, fds)

    def _replied(self, number: int, facts: list[Any], fds: list[int]) -> None:
        verb, about, future = self._replies.pop(number, ("", "", None))
        succeeded, result = facts
        if future is None or future.done():
            for fd in fds:
                os.close(fd)
        elif succeeded:
            future.set_result((result, fds))
        else:
            future.set_exception(failed(verb, about, result))

    def _happened(self, facts: list[Any], fds: list[int]) -> None:
        name, *details = facts
        if name == "hello":
            version, self.keeper_pid = details
            (self._netns,) = fds
            self._greeted.set_result(version)
        elif name == "exit":
            self._exits.put_nowait(ContainerState(**details[0]))
        elif name == "exec-exit":
            number, code, _ = details
            ended = self._execs.get(number)
            if ended is not None and not ended.done():
                ended.set_result(code)

    def _ended(self) -> None:
        self.lost.set()
        self.close()


def _fail(future: asyncio.Future[Any], error: KeeperLost) -> None:
    if not future.done():
        future.set_exception(error)
        # Whoever waits is told; nobody may be waiting.
        future.exception()
