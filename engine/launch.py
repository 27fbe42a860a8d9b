"""The engine's own process: is there one for this cluster, and how to start one.

Invariant: the living engine of a cluster keeps a write lock (fcntl(2), F_OFD_SETLK) on
`engine_pid`, the file with its pid. The lock goes with the process, however it dies, so a stale
file never looks alive.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from engine.home import ClusterPaths


class AlreadyRunning(RuntimeError):
    """Another engine holds this cluster."""


@dataclass(frozen=True)
class EngineOptions:
    """What `python -m engine serve` is told; None leaves the choice to the cluster."""

    nodes: int | None = None
    node_cpu: str | None = None
    node_memory: str | None = None
    apply: tuple[Path, ...] = ()

    def arguments(self) -> list[str]:
        words: list[str] = []
        if self.nodes is not None:
            words += ["--nodes", str(self.nodes)]
        if self.node_cpu is not None:
            words += ["--node-cpu", self.node_cpu]
        if self.node_memory is not None:
            words += ["--node-memory", self.node_memory]
        for path in self.apply:
            words += ["--apply", str(path)]
        return words


# struct flock of fcntl(2): l_type, l_whence, l_start, l_len, l_pid, in native alignment.
_FLOCK = struct.Struct("@hhqqi4x")
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def running(paths: ClusterPaths) -> int | None:
    """The pid of the cluster's living engine, None when there is none.

    F_OFD_GETLK only asks: a lock taken to look would make an engine that starts just then give up.
    """
    try:
        descriptor = os.open(paths.engine_pid, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE_FILE))
        pid = os.pread(descriptor, 32, 0)
    finally:
        os.close(descriptor)
    return int(pid) if found[0] != fcntl.F_UNLCK and pid.strip() else None


class EngineLock:
    """Held by the engine for as long as it lives; raises AlreadyRunning naming the other's pid."""

    def __init__(self, paths: ClusterPaths) -> None:
        self._paths = paths
        self._descriptor = -1

    def __enter__(self) -> EngineLock:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._paths.engine_pid, flags, 0o600)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        except OSError as error:
            os.close(self._descriptor)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            holder = running(self._paths)
            raise AlreadyRunning(
                f"cluster {self._paths.name}: its engine already runs as pid {holder}"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._paths.engine_pid.unlink(missing_ok=True)
        os.close(self._descriptor)


def spawn(paths: ClusterPaths, options: EngineOptions) -> subprocess.Popen[bytes]:
    """Start the engine in a session of its own, so that it outlives the terminal.

    Its words go to `engine_log`, its progress to `boot_log`, which is empty when this returns.
    """
    for folder in (paths.run, paths.state):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.boot_log.write_bytes(b"")
    command = [sys.executable, "-P", "-m", "engine", "serve"]
    command += ["--home", str(paths.home), "--cluster", paths.name, *options.arguments()]
    with paths.engine_log.open("ab") as log:
        return subprocess.Popen(
            [*_in_a_scope(), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def _in_a_scope() -> list[str]:
    """What has an ordinary user's engine executed in a cgroup that his systemd gives him whole
    (systemd-run(1)); nothing where there is no such manager, or it does not do so."""
    manager = os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), "systemd", "private")
    if os.geteuid() == 0 or not os.path.exists(manager) or shutil.which("systemd-run") is None:
        return []
    scope = ["systemd-run", "--user", "--scope", "--quiet", "--property=Delegate=yes", "--"]
    tried = subprocess.run([*scope, "true"], stdin=subprocess.DEVNULL, capture_output=True)
    return scope if tried.returncode == 0 else []


def stop(paths: ClusterPaths, *, timeout_s: float = 10.0) -> None:
    """Ask the engine to end and wait for it; after timeout_s it is killed. Containers go on."""
    pid = running(paths)
    if pid is None:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not _ended(descriptor, timeout_s):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _ended(descriptor, timeout_s)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _ended(pidfd: int, timeout_s: float) -> bool:
    """A pidfd becomes readable when its process ends (pidfd_open(2))."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
