"""What a bundle sets once its namespaces exist: names, sysctls, terminal, scheduling."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

from engine.linux import terminal
from engine.linux.call import syscall
from engine.linux.namespace import setdomainname, sethostname
from engine.runtime.oci.document import Value
from engine.runtime.ops.base import Context, Op, quoted, shown
from engine.runtime.ops.process import Exec
from engine.runtime.ops.stdio import Terminal


class Names(Op):
    NAME = "names"
    PHASE = "namespaces"
    hostname: str
    domainname: str

    @property
    def about(self) -> str:
        return self.hostname or self.domainname

    def apply(self, context: Context) -> None:
        if self.hostname:
            sethostname(os.fsencode(self.hostname))
        if self.domainname:
            setdomainname(os.fsencode(self.domainname))

    def describe(self) -> str:
        return f"be called {self.hostname} {self.domainname}".rstrip()

    def shell(self) -> str:
        return f"hostname {quoted(self.hostname)}"


class Sysctls(Op):
    """(file below /proc/sys, value). Written while /proc is still the machine's: a container's
    image has no say in where they go (CVE-2025-52881)."""

    NAME = "sysctl"
    PHASE = "namespaces"
    values: tuple[tuple[bytes, bytes], ...]

    @property
    def about(self) -> str:
        return ", ".join(shown(name) for name, _ in self.values)

    def apply(self, context: Context) -> None:
        for name, value in self.values:
            path = b"/proc/sys/" + name
            try:
                with open(path, "wb", buffering=0) as file:
                    file.write(value)
            except OSError as error:
                about = f"{shown(path)} <- {shown(value)}"
                raise OSError(error.errno, error.strerror, about) from None

    def describe(self) -> str:
        return "set " + ", ".join(f"{shown(name)}={shown(value)}" for name, value in self.values)

    def shell(self) -> str:
        return "; ".join(f"echo {quoted(v)} > /proc/sys/{shown(k)}" for k, v in self.values)


class OwnStdio(Op):
    """What it reads and writes is what we were given; its user may open that again."""

    NAME = "stdio"
    PHASE = "confine"
    uid: int

    def apply(self, context: Context) -> None:
        null = os.makedev(1, 3)
        for number in range(3):
            try:
                found = os.fstat(number)
                device = stat.S_ISCHR(found.st_mode) and found.st_rdev
                if found.st_uid == self.uid or device == null:
                    continue
                os.fchown(number, self.uid, -1)
            except OSError as error:
                # Closed, on a read-only filesystem, or not ours to give away.
                if error.errno not in (errno.EBADF, errno.EROFS, errno.EPERM, errno.EINVAL):
                    raise

    def describe(self) -> str:
        return "read and write what we do"

    def shell(self) -> str:
        return "# stdin, stdout and stderr are inherited"


class Console(Terminal):
    """Of `size` (columns, rows) unless that is (0, 0)."""

    NAME = "console"
    uid: int
    console: bool
    size: tuple[int, int]

    def _prepare(self, root: int, master: int, slave: int) -> None:
        # Others hold it now, who may not expect what openat2() needed.
        flags = fcntl.fcntl(master, fcntl.F_GETFL)
        fcntl.fcntl(master, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
        if any(self.size):
            terminal.resize(master, *self.size)
        super()._prepare(root, master, slave)


class FindExecutable(Op):
    """While whoever creates the container still listens: a program that is not there."""

    NAME = "find"
    PHASE = "exec"
    exec: Exec

    @property
    def about(self) -> str:
        return self.exec.about

    def apply(self, context: Context) -> None:
        paths, _ = self.exec.places()
        if b"/" not in self.exec.argv[0]:
            # By these words podman knows what to say, and to end with 127.
            text = "executable file not found in $PATH"
            failure = OSError(errno.ENOENT, text, self.exec.argv[0])
        else:
            failure = OSError(errno.ENOENT, os.strerror(errno.ENOENT), self.exec.argv[0])
        for path in paths:
            try:
                found = os.stat(path)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    failure = OSError(error.errno, error.strerror, path)
                continue
            if stat.S_ISREG(found.st_mode) and found.st_mode & 0o111:
                return
            failure = OSError(errno.EACCES, "permission denied: not an executable file", path)
        raise failure

    def describe(self) -> str:
        return f"look for {self.about}"

    def shell(self) -> str:
        return f"command -v {quoted(self.exec.argv[0])}"


class Personality(Op):
    NAME = "personality"
    PHASE = "confine"
    value: int

    def apply(self, context: Context) -> None:
        syscall("personality", self.value, about=f"personality {self.value:#x}")

    def describe(self) -> str:
        return f"have the personality {self.value:#x}"

    def shell(self) -> str:
        return "setarch linux32"


class Affinity(Op):
    """`words` as "0-3,7", `cpus` what they mean."""

    NAME = "cpu-affinity"
    PHASE = "confine"
    words: str
    cpus: tuple[int, ...]

    @property
    def about(self) -> str:
        return self.words

    def apply(self, context: Context) -> None:
        try:
            os.sched_setaffinity(0, self.cpus)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"CPUs {self.words}") from None

    def describe(self) -> str:
        return f"run on the CPUs {self.words}"

    def shell(self) -> str:
        return f"taskset --cpu-list --pid {self.words} $$"


def cpus(field: Value) -> list[int]:
    """As cpuset(7) lists them: "0-3,7". Raise ConfigError."""
    found: list[int] = []
    for part in field.text().split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise field.error(f"{field.text()!r} is not a list of CPUs, as 0-3,7")
        found += range(int(first), int(last or first) + 1)
    return found


_IOPRIO_CLASS_SHIFT = 13
_IOPRIO_WHO_PROCESS = 1


class IoPriority(Op):
    """`class_`: 1 real time, 2 best effort, 3 idle."""

    NAME = "io-priority"
    PHASE = "confine"
    class_: int
    priority: int

    def apply(self, context: Context) -> None:
        value = self.class_ << _IOPRIO_CLASS_SHIFT | self.priority
        syscall("ioprio_set", _IOPRIO_WHO_PROCESS, 0, value, about=f"class {self.class_}")

    def describe(self) -> str:
        return f"read and write with priority {self.priority} in class {self.class_}"

    def shell(self) -> str:
        return f"ionice -c {self.class_} -n {self.priority} -p $$"


class Scheduling(Op):
    """sched_setattr(2): `times` are the runtime, deadline and period of SCHED_DEADLINE, in ns."""

    NAME = "scheduler"
    PHASE = "confine"
    policy: int
    nice: int
    priority: int
    flags: int
    times: tuple[int, int, int]

    def apply(self, context: Context) -> None:
        size = 48
        attr = struct.pack(
            "=IIQiI3Q", size, self.policy, self.flags, self.nice, self.priority, *self.times
        )
        syscall("sched_setattr", 0, attr, 0, about=self.about)

    @property
    def about(self) -> str:
        return f"policy {self.policy}, nice {self.nice}, priority {self.priority}"

    def describe(self) -> str:
        return f"be scheduled by {self.about}"

    def shell(self) -> str:
        return f"chrt --pid {self.priority} $$"
