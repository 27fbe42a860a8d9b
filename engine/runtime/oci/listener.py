"""A filter that leaves some calls to somebody else to answer: SCMP_ACT_NOTIFY, seccomp_unotify(2).

The kernel gives the process that loads the filter the descriptor on which such calls are told of.
It has nowhere to send it, being in the container already, and soon no right to; so it names the
descriptor, and whoever started it fetches it and hands it over (config-linux.md, "The Container
Process State").
"""

from __future__ import annotations

import os

from engine.linux.pidfd import pidfd_getfd, pidfd_open
from engine.linux.seccomp import set_mode_filter
from engine.linux.unix import SOCK_STREAM, connect, send_fds
from engine.runtime.errors import StartError
from engine.runtime.oci.document import VERSION, Value
from engine.runtime.oci.gate import ask
from engine.runtime.oci.jsontext import compose
from engine.runtime.ops.base import Context
from engine.runtime.ops.process import Seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.oci.state import State

LISTENER = "listener"


class SeccompListener(Seccomp):
    NAME = "seccomp-listener"

    def apply(self, context: Context) -> None:
        fd = set_mode_filter(self.program, self.flags)
        ask(context, LISTENER, fd)
        os.close(fd)

    def describe(self) -> str:
        return f"{super().describe()}, and have somebody answer others"


def hand_over(seccomp: Value, container: State, status: str, pid: int, fd: int) -> None:
    """Send the listener `fd` of the process `pid` to who waits for it. Raise StartError."""
    path = seccomp.get("listenerPath").text()
    told = {
        "ociVersion": VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": seccomp.get("listenerMetadata").text(""),
        "state": container.document(status),
    }
    held: list[int] = []
    try:
        held.append(pidfd_open(pid))
        held.append(pidfd_getfd(held[0], fd))
        held.append(connect(os.fsencode(path), SOCK_STREAM))
        send_fds(held[2], compose(told).encode(), (held[1],))
    except OSError as error:
        text = error.strerror or str(error)
        raise StartError(SeccompListener.NAME, path, error.errno or 0, text, "") from None
    finally:
        for each in held:
            os.close(each)
