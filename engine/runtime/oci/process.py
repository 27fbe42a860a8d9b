"""A process of a bundle, the container's first or one that joins it, as operations. Pure but for
what this machine may give."""

from __future__ import annotations

import os
import posixpath
import resource

from engine.linux.flags import cap_number
from engine.runtime.oci.document import Value
from engine.runtime.oci.labels import labels
from engine.runtime.oci.seccomp import confinement
from engine.runtime.oci.settings import (
    Console,
    FindExecutable,
    IoPriority,
    OwnStdio,
    Scheduling,
)
from engine.runtime.ops.base import Op
from engine.runtime.ops.order import confine
from engine.runtime.ops.process import (
    Bounding,
    Capabilities,
    Exec,
    OomScore,
    Rlimits,
    User,
)
from engine.runtime.ops.rootfs import Workdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_UNLIMITED = 2**64 - 1
_POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_IO_LOWEST = 7
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}


def oom_score(process: Value) -> Iterator[Op]:
    """Before the root is changed, while /proc is the machine's."""
    score = process.get("oomScoreAdj")
    if score:
        yield OomScore(score.number())


def become(
    process: Value,
    seccomp: Value,
    *,
    held: int,
    own_console: bool,
    gate: tuple[Op, ...] = (),
    keep: int = 0,
) -> Iterator[Op]:
    """Everything from its terminal to the exec.

    held    the capabilities that there are to give, as a mask
    own_console     its terminal is /dev/console too
    """
    exec_ = _exec(process, keep)
    user = process.get("user")
    uid, gid = _id(user.get("uid")), _id(user.get("gid"))
    if process.get("terminal").flag():
        size = process.get("consoleSize")
        yield Console(uid, own_console, (size.get("width").number(0), size.get("height").number(0)))
    else:
        yield OwnStdio(uid)
    cwd = process.get("cwd").text()
    if not posixpath.isabs(cwd):
        raise process.get("cwd").error(f"{cwd!r} must be an absolute path")
    yield Workdir(os.fsencode(posixpath.normpath(cwd)))
    yield from _scheduling(process)
    rlimits = tuple(_rlimit(item) for item in process.get("rlimits").items())
    if rlimits:
        yield Rlimits(rlimits)
    yield FindExecutable(exec_)
    sets = {
        name: _mask(process.get("capabilities", name)) & held
        for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    # The kernel refuses any other, and runc and crun pass over them.
    sets["ambient"] &= sets["permitted"] & sets["inheritable"]
    bounding = sets.pop("bounding")
    yield from confine(
        bounding=Bounding(bounding),
        user=User(uid, gid, user.get("additionalGids").numbers(), user.get("umask").number(0o022)),
        capabilities=Capabilities(**sets),
        no_new_privileges=process.get("noNewPrivileges").flag(),
        seccomp=confinement(seccomp),
        exec=exec_,
        gate=(*gate, *labels(process)),
        keep=keep,
    )


def _exec(process: Value, keep: int) -> Exec:
    args = process.get("args").texts()
    if not args or not args[0]:
        raise process.get("args").error("names no command")
    env = []
    for item in process.get("env").items():
        entry = item.text()
        if entry.find("=") < 1:
            raise item.error(f"{entry!r} is not NAME=VALUE")
        env.append(os.fsencode(entry))
    if process.get("terminal").flag() and not any(e.startswith(b"TERM=") for e in env):
        env.append(b"TERM=xterm")
    if not any(entry.startswith(b"HOME=") for entry in env):
        env.append(b"HOME=/" + (b"root" if not process.get("user", "uid").number(0) else b""))
    if keep and "LISTEN_FDS" in os.environ:
        # sd_listen_fds(3): for the first process, which has this pid in its own namespace.
        env += [b"LISTEN_FDS=" + os.fsencode(os.environ["LISTEN_FDS"]), b"LISTEN_PID=1"]
    return Exec(tuple(os.fsencode(word) for word in args), tuple(env))


def _id(value: Value) -> int:
    number = value.number(0)
    if not 0 <= number < 2**32 - 1:
        raise value.error(f"{number} is no id")
    return number


def _mask(value: Value) -> int:
    bits = 0
    for item in value.items():
        name = item.text()
        try:
            bits |= 1 << cap_number(name)
        except ValueError as error:
            raise item.error(str(error)) from None
    return bits


def _rlimit(value: Value) -> tuple[str, int, int]:
    name = value.get("type").text()
    if not name.startswith("RLIMIT_") or not hasattr(resource, name):
        raise value.get("type").error(f"{name!r} is not a limit of setrlimit(2)")
    soft, hard = (_limit(value.get(which)) for which in ("soft", "hard"))
    if hard != -1 and (soft == -1 or soft > hard):
        raise value.get("soft").error("is more than the hard limit")
    return name, soft, hard


def _limit(value: Value) -> int:
    number = value.number()
    return -1 if number in (_UNLIMITED, -1) else number


def _scheduling(process: Value) -> Iterator[Op]:
    asked = process.get("scheduler")
    if asked:
        policy = _POLICIES[asked.get("policy").choice(tuple(_POLICIES))]
        flags = 0
        for item in asked.get("flags").items():
            flags |= _SCHED_FLAGS[item.choice(tuple(_SCHED_FLAGS))]
        runtime, deadline, period = (
            asked.get(name).number(0) for name in ("runtime", "deadline", "period")
        )
        nice, priority = asked.get("nice").number(0), asked.get("priority").number(0)
        yield Scheduling(policy, nice, priority, flags, (runtime, deadline, period))
    asked = process.get("ioPriority")
    if asked:
        class_ = _IO_CLASSES[asked.get("class").choice(tuple(_IO_CLASSES))]
        priority = asked.get("priority").number(0)
        if not 0 <= priority <= _IO_LOWEST:
            raise asked.get("priority").error(f"{priority} is not between 0 and {_IO_LOWEST}")
        yield IoPriority(class_, priority)
