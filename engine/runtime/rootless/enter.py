"""Entering the namespaces in which an ordinary user's cluster lives, and ending them.

One process, the anchor, keeps them; who wants to work in them enters by its pidfd, as a process
with a single thread. So an engine may come and go as one of root's may.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.home import ClusterPaths
from engine.linux.flags import CLONE
from engine.linux.namespace import setns, unshare
from engine.linux.process import pid_alive
from engine.runtime.cgroup.none import NoCgroups
from engine.runtime.features import Ordinary
from engine.runtime.keepers import end_keeper
from engine.runtime.program import interpreter
from engine.runtime.rootless import delegated, ids

_ROOT = Path(__file__).parents[3]
_ANCHOR = Path(__file__).with_name("anchor.py")
_END_MS = 10_000
_ALL = CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWNET | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWCGROUP


class NotEntered(RuntimeError):
    """No user namespace can be had; the message says what forbids it and what would help."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What the anchor wrote down of itself and of what it keeps.

    start       of the process `pid`, in clock ticks; the same of the way out
    ids         how many user and group ids there are
    one_id      why there is one only, "" when there are more
    cgroup      the directory of the machine's tree that is the cluster's, "" for none
    cgroups     what that is called, "" for none
    outside     pasta or slirp4netns, or why there is no way out
    """

    pid: int
    start: int
    ids: int
    one_id: str
    cgroup: str
    cgroups: str
    outside: str
    outside_pid: int
    outside_start: int

    @property
    def alive(self) -> bool:
        return pid_alive(self.pid, self.start)

    def described(self) -> str:
        """For a person, in one line, with what is missing and why."""
        known = f"{self.ids} ids" if self.ids > 1 else f"a single id ({self.one_id})"
        way = f"outside by {self.outside}" if self.outside_pid else f"no outside ({self.outside})"
        return f"{known}; cgroups {self.cgroups or 'none: no limits but of memory'}; {way}"


def ordinary() -> bool:
    """Whether this process is an ordinary user's, who needs a user namespace for everything."""
    return os.geteuid() != 0


def read(paths: ClusterPaths) -> Anchor | None:
    """What the cluster's anchor wrote down, be it alive or dead."""
    try:
        return Anchor(**json.loads(paths.anchor.read_text()))
    except FileNotFoundError:
        return None


def enter(paths: ClusterPaths, *, outside: bool = True) -> Anchor:
    """Become root of the cluster's namespaces, which are made if there are none.

    With `outside` they get a way out when they are made. For a process with a single thread; its
    working directory is then the root. Raise NotEntered.
    """
    paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = read(paths)
    if found is None or not found.alive:
        end(paths)
        found = _start(paths, outside)
    elif found.cgroup:
        with contextlib.suppress(OSError):
            # From a session's scope, which is not the user's, it may not go there; then what it
            # starts has no limits. Told by needs.
            delegated.join(os.fsencode(found.cgroup), os.getpid())
    held = os.pidfd_open(found.pid)
    try:
        setns(held, _ALL)
    except OSError as error:
        raise NotEntered(f"cluster {paths.name}: its namespaces: {error}") from None
    finally:
        os.close(held)
    return found


def _start(paths: ClusterPaths, outside: bool) -> Anchor:
    ready, told = os.pipe()
    words = [_ROOT, paths.run, os.fsdecode(paths.cgroup), told, *(["outside"] if outside else [])]
    try:
        subprocess.run(
            [interpreter(), "-I", "-S", str(_ANCHOR), *map(str, words)],
            stdin=subprocess.DEVNULL,
            pass_fds=(told,),
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        os.close(ready)
        raise NotEntered(f"cluster {paths.name}: its anchor did not start: {error}") from None
    finally:
        os.close(told)
    with open(ready) as file:
        facts = json.loads(file.read() or '{"error": "it ended without a word", "errno": 0}')
    if "error" in facts:
        raise NotEntered(f"{facts['error']}{_cure(facts['errno'])}")
    return Anchor(**facts)


def end(paths: ClusterPaths) -> None:
    """End the anchor and whatever else of the cluster is left; fine when nothing is.

    For the machine's namespaces: who owns a user namespace may end all that is in it.
    """
    found = read(paths)
    NoCgroups(os.fsencode(paths.processes)).kill(paths.cgroup)
    for file in set(paths.run.glob("*.pid")) - {paths.engine_pid}:
        end_keeper(paths.node(file.stem))
    if found is None:
        return
    # The way out first: killed, the anchor would leave it behind.
    if found.outside_pid:
        _end(found.outside_pid, found.outside_start)
    _end(found.pid, found.start)
    delegated.remove(os.fsencode(found.cgroup))
    paths.anchor.unlink(missing_ok=True)


def _end(pid: int, start: int) -> None:
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if pid_alive(pid, start):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(held, signal.SIGKILL)
            gone = select.poll()
            gone.register(held, select.POLLIN)
            gone.poll(_END_MS)
    finally:
        os.close(held)


def own_ids() -> None:
    """Become root of a user namespace of our own, for work on files that belong to the user's
    subordinate ids. For a process with a single thread. Raise NotEntered."""
    try:
        ids.own_user_namespace(ids.of_user())
    except OSError as error:
        raise NotEntered(f"{error.strerror}{_cure(error.errno or 0)}") from None


def own_namespaces() -> Ordinary:
    """Become root of such namespaces as a cluster has, which end with this process; with what there
    is to say of them. For a process with a single thread: then it is told what it may not have."""
    granted, forbidden = ids.of_user(), obstacle()
    delegated_ = bool(delegated.find(os.getpid()))
    one_id = granted.why
    if not forbidden:
        one_id = ids.own_user_namespace(granted)
        unshare(_ALL & ~CLONE.NEWUSER)
    return Ordinary(
        forbidden=forbidden,
        ids=1 if one_id else granted.count,
        one_id=one_id,
        delegated=delegated_,
    )


def obstacle() -> str:
    """Why an ordinary user can have no namespaces here, with the cure; "" when he can."""
    reader, told = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            ids.own_user_namespace(ids.Ids([], [], "a trial"))
            unshare(_ALL & ~CLONE.NEWUSER)
        except OSError as error:
            os.write(told, f"{error.strerror}{_cure(error.errno or 0)}".encode())
        finally:
            os._exit(0)
    os.close(told)
    with open(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


_SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user/max_user_namespaces", "0", "65536"),
)


def _cure(number: int) -> str:
    """The setting that forbids user namespaces, as words after what the kernel said."""
    for name, forbids, allows in _SETTINGS:
        with contextlib.suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == forbids:
                return f": sudo sysctl {name.replace('/', '.')}={allows}"
    if number == errno.ENOSPC:
        return ": all are taken: sudo sysctl user.max_user_namespaces=65536"
    if number in (errno.EPERM, errno.EACCES):
        return ": user namespaces are forbidden here; is this a container itself?"
    return ""
