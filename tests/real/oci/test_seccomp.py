"""What filters do to programs, and who answers the calls that they leave to somebody."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from engine.linux.table import NR
from engine.runtime import scmp
from tests.real.oci.conftest import Oci, until

# <linux/seccomp.h>: ioctls of a listener, struct seccomp_notif and struct seccomp_notif_resp.
_RECV, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")


class Agent:
    """Who listens, and makes every mkdir fail with EXDEV."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()

    def hear(self) -> tuple[dict[str, Any], int]:
        """The state that was sent, and the listener."""
        connection, _ = self._socket.accept()
        with connection:
            data, fds, _, _ = socket.recv_fds(connection, 65536, 4)
            while more := connection.recv(65536):
                data += more
        (fd,) = fds
        found: dict[str, Any] = json.loads(data)
        return found, fd

    @staticmethod
    def answer(listener: int, error: int) -> tuple[int, int]:
        """The next call: the pid and the number of who made it."""
        buffer = bytearray(_NOTIFICATION.size)
        fcntl.ioctl(listener, _RECV, buffer)
        cookie, pid, _, number, *_ = _NOTIFICATION.unpack(buffer)
        fcntl.ioctl(listener, _SEND, struct.pack("=QqiI", cookie, 0, -error, 0))
        return pid, number

    def close(self) -> None:
        self._socket.close()


def profile(**more: Any) -> dict[str, Any]:
    rule = {"names": ["mkdir", "mkdirat"], "action": scmp.NOTIFY}
    return {"defaultAction": scmp.ALLOW, "syscalls": [rule], **more}


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_listener_answers_for_the_container(oci: Oci, no_new_privileges: bool) -> None:
    agent = Agent(oci.home / "agent")
    output = oci.create(
        "a",
        "sh",
        "-c",
        "mkdir /tmp/x 2>&1; sleep 100",
        linux__seccomp=profile(
            listenerPath=str(oci.home / "agent"),
            listenerMetadata="what=ever",
            flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        ),
        process__noNewPrivileges=no_new_privileges,
        annotations={"a": "b"},
    )
    oci.ok("start", "a")
    told, listener = agent.hear()
    pid = oci.state("a")["pid"]
    assert (told["fds"], told["pid"], told["metadata"]) == (["seccompFd"], pid, "what=ever")
    assert (told["state"]["id"], told["state"]["pid"]) == ("a", pid)
    assert told["state"]["annotations"] == {"a": "b"}
    assert told["ociVersion"] == told["state"]["ociVersion"]
    _, number = agent.answer(listener, errno.EXDEV)
    assert number in (NR["mkdir"], NR["mkdirat"])
    until(lambda: os.strerror(errno.EXDEV) in output.read_text())
    os.close(listener)
    # Another process has a filter, and so a listener, of its own.
    oci.ok("exec", "--detach", "a", "mkdir", "/tmp/y", capture_output=False)
    told, listener = agent.hear()
    assert told["pid"] != pid
    caller, _ = agent.answer(listener, errno.EXDEV)
    assert caller == told["pid"]
    os.close(listener)
    agent.close()


def test_without_anybody_who_listens_nothing_starts(oci: Oci) -> None:
    bundle = oci.bundle("a", "true", linux__seccomp=profile(listenerPath=str(oci.home / "nobody")))
    said = oci.refused("run", "-b", str(bundle), "a")
    assert "seccomp-listener" in said
    assert f"{oci.home / 'nobody'}: No such file or directory" in said


@pytest.mark.parametrize(
    ("action", "ended"),
    [
        (scmp.KILL, -signal.SIGSYS),
        (scmp.KILL_THREAD, -signal.SIGSYS),
        (scmp.TRAP, -signal.SIGSYS),
        (scmp.TRACE, errno.ENOSYS),
        (scmp.LOG, 0),
        (scmp.ERRNO, errno.EPERM),
    ],
)
def test_each_action(oci: Oci, action: str, ended: int) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": action}
    script = "mkdir /tmp/x 2>/tmp/said; echo $?; cat /tmp/said"
    said = oci.run(
        "sh",
        "-c",
        script,
        linux__seccomp={"defaultAction": scmp.ALLOW, "syscalls": [rule]},
    ).splitlines()
    if ended < 0:
        assert int(said[0]) == 128 - ended
    elif ended:
        assert os.strerror(ended) in said[1]
    else:
        assert said == ["0"]
