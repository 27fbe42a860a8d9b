"""The process that keeps a cluster's namespaces while engines come and go.

    python -I -S anchor.py PACKAGE-ROOT RUN-FOLDER CLUSTER-NAME READY-FD [outside]

It enters a user namespace, in that mount, network, uts, ipc and cgroup namespaces, furnishes them,
starts the way out if it is to have one, writes down who it is, and then only waits. Every engine of
the cluster enters by its pidfd. It says on READY-FD what it writes down, or {"error": ...}.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OUTSIDE_S = 5.0
_LOOPBACK = 1


def main() -> None:
    root, run, name, ready, *outside = sys.argv[1:]
    engine = os.getppid()
    # The parent ends at once: the anchor outlives the engine that starts it.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.path.insert(0, root)
    # The way out would keep it open.
    os.set_inheritable(int(ready), False)
    told = open(int(ready), "w")  # noqa: SIM115 - closed when there is nothing more to tell
    try:
        facts, way_out = _make(run, name, engine, bool(outside))
    except OSError as error:
        about = os.fsdecode(error.filename) if error.filename else ""
        words = f"{about}: {error.strerror}" if about else str(error)
        json.dump({"error": words, "errno": error.errno or 0}, told)
        told.close()
        os._exit(1)
    json.dump(facts, told)
    told.close()
    _wait(way_out)


def _make(run: str, name: str, engine: int, outside: bool) -> tuple[dict[str, Any], int]:
    """The facts, and a pidfd of the way out or -1. Raise OSError naming what is not permitted."""
    from engine.linux import netlink
    from engine.linux.flags import CLONE, MS
    from engine.linux.mount import mount
    from engine.linux.namespace import mapped, unshare
    from engine.linux.process import set_name, start_time
    from engine.runtime.rootless import delegated, ids

    set_name(b"anchor")
    cgroup = delegated.take(os.fsencode(name), engine)
    facts: dict[str, Any] = {
        "pid": os.getpid(),
        "start": start_time(os.getpid()),
        "ids": 1,
        "one_id": "",
        "cgroup": os.fsdecode(cgroup),
        "cgroups": "",
        "outside": "",
        "outside_pid": 0,
        "outside_start": 0,
    }
    # Now, so that whatever happens next the cgroup is found again, and removed.
    _note(run, facts)
    helper = _Helper(run) if outside else None
    one_id = ids.own_user_namespace(ids.of_user())
    unshare(CLONE.NEWNS | CLONE.NEWNET | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWCGROUP)
    mount(None, b"/", None, MS.REC | MS.SLAVE)
    with netlink.connect() as sock:
        netlink.request(sock, netlink.link_up(_LOOPBACK))
    cgroups = delegated.show(cgroup, os.fsencode(run) + b"/processes")
    way, pid, why = helper.lead_out() if helper else (-1, 0, "not asked for")
    facts |= {
        "ids": min(sum(count for _, count in mapped(kind)) for kind in ("uid", "gid")),
        "one_id": one_id,
        "cgroups": cgroups,
        "outside": why,
        "outside_pid": pid,
        "outside_start": start_time(pid) if pid else 0,
    }
    _note(run, facts)
    return facts, way


def _note(run: str, facts: dict[str, Any]) -> None:
    with open(run + "/anchor.new", "w") as file:
        json.dump(facts, file)
    os.rename(run + "/anchor.new", run + "/anchor.json")


class _Helper:
    """A child that stays in the machine's namespaces, to become the way out of ours."""

    def __init__(self, run: str) -> None:
        from engine.runtime.rootless.outside import command

        self._run = run
        self._names = _text("/etc/resolv.conf")
        waiting, self._go_on = os.pipe()
        exit_fd, self._held = os.pipe()
        self._words, self._name = command(os.getpid(), exit_fd, self._names)
        self._pid = os.fork() if self._words else 0
        if self._words and self._pid == 0:
            self._become(waiting, exit_fd)
        os.close(waiting)
        os.close(exit_fd)

    def _become(self, waiting: int, exit_fd: int) -> None:
        """Once told to."""
        try:
            os.close(self._go_on)
            os.close(self._held)
            if not os.read(waiting, 1):
                os._exit(0)
            log = os.open(self._run + "/outside.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            null = os.open("/dev/null", os.O_RDONLY)
            for source, target in ((null, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os.set_inheritable(exit_fd, True)
            # Ignored, as Python has it, pasta takes it for a failure of signal(2).
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execv(self._words[0], self._words)
        finally:
            os._exit(127)

    def lead_out(self) -> tuple[int, int, str]:
        """Its pidfd, pid and name, once there is a default route; or why there is none."""
        if not self._pid:
            return -1, 0, self._name
        os.write(self._go_on, b"x")
        os.close(self._go_on)
        from engine.runtime.rootless.outside import leads_out, resolver

        ended = os.pidfd_open(self._pid)
        deadline = time.monotonic() + _OUTSIDE_S
        while not leads_out():
            if select.select([ended], [], [], 0.005)[0] or time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                return -1, 0, f"{self._name} does not work: {self._last_words()}"
        inside = resolver(self._names)
        if inside != self._names:
            self._show(inside)
        return ended, self._pid, self._name

    def _show(self, text: str) -> None:
        """Put a resolv.conf in the machine's place, if it has one."""
        from engine.linux.flags import MS
        from engine.linux.mount import mount

        there, ours = os.path.realpath("/etc/resolv.conf"), self._run + "/resolv.conf"
        if os.path.exists(there):
            with open(ours, "w") as file:
                file.write(text)
            mount(os.fsencode(ours), os.fsencode(there), None, MS.BIND)

    def _last_words(self) -> str:
        with open(self._run + "/outside.log", errors="replace") as file:
            lines = file.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _wait(way_out: int) -> None:
    """Until SIGTERM, with which the way out (a pidfd) ends too."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # What ends is reaped by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.sigwait({signal.SIGTERM})
    if way_out >= 0:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(way_out, signal.SIGKILL)


if __name__ == "__main__":
    main()
