"""Mount namespaces: entering one's own, and working in another's."""

import os
import threading
from collections.abc import Callable

from engine.linux.flags import CLONE, MS
from engine.linux.mount import mount
from engine.linux.namespace import setns, unshare


def in_mount_namespace(pid: int, work: Callable[[], None]) -> None:
    """Run `work` in the mount namespace of a process, in a thread of its own; raise what it raises.

    A thread may change its mount namespace once it shares its root and working directory with no
    other thread (setns(2)), and then it alone has changed it.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            unshare(CLONE.FS)
            namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                setns(namespace, CLONE.NEWNS)
            finally:
                os.close(namespace)
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failures.append(error)

    thread = threading.Thread(target=run, name="mounts")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def own_mount_namespace() -> None:
    """Enter a new mount namespace: what is mounted on the machine later is seen in it, and what is
    mounted in it is not seen on the machine. To be called before there are threads."""
    unshare(CLONE.NEWNS)
    mount(None, b"/", None, MS.REC | MS.SLAVE)
