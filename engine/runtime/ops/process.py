"""What the process gives up, and what it becomes."""

from __future__ import annotations

import errno
import os
import resource

from engine.linux.flags import CAP, cap_name
from engine.linux.flags import PR as _PR
from engine.linux.process import (
    ambient_raise,
    capset,
    close_range,
    drop_bounding,
    prctl,
    set_no_new_privs,
)
from engine.linux.seccomp import set_mode_filter
from engine.linux.signals import SIG, set_default, set_mask
from engine.runtime.ops.base import Context, Op, quoted, shown


class OomScore(Op):
    NAME = "oom-score"
    PHASE = "confine"
    value: int

    @property
    def about(self) -> str:
        return str(self.value)

    def apply(self, context: Context) -> None:
        try:
            with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
                file.write(b"%d" % self.value)
        except PermissionError:
            # Lowering it takes CAP_SYS_RESOURCE, which the engine itself may lack.
            context.warnings.append(f"oom_score_adj {self.value}: not permitted, left as it was")

    def describe(self) -> str:
        return f"be the OOM killer's choice with a bias of {self.value}"

    def shell(self) -> str:
        return f"echo {self.value} > /proc/self/oom_score_adj"


class Rlimits(Op):
    """(name as "RLIMIT_NOFILE", soft, hard), -1 for no limit."""

    NAME = "rlimits"
    PHASE = "confine"
    limits: tuple[tuple[str, int, int], ...]

    @property
    def about(self) -> str:
        return ", ".join(name for name, _, _ in self.limits)

    def apply(self, context: Context) -> None:
        for name, soft, hard in self.limits:
            which = getattr(resource, name)
            try:
                resource.setrlimit(which, (soft, hard))
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.EPERM:
                    raise OSError(error.errno, error.strerror, name) from None
                # A raise beyond our own hard limit, without CAP_SYS_RESOURCE: as far as we may.
                most = resource.getrlimit(which)[1]
                given = min(soft, most) if soft >= 0 else most
                resource.setrlimit(which, (given, most))
                context.warnings.append(
                    f"{name}: {soft}:{hard} is beyond what this engine may give, {given}:{most}"
                )

    def describe(self) -> str:
        return "limit " + ", ".join(f"{name} to {soft}:{hard}" for name, soft, hard in self.limits)

    def shell(self) -> str:
        words = (
            f"--{name.removeprefix('RLIMIT_').lower()}={soft}:{hard}"
            for name, soft, hard in self.limits
        )
        return "prlimit --pid $$ " + " ".join(words)


class User(Op):
    """After the bounding set, which takes CAP_SETPCAP to drop; before the other sets."""

    NAME = "user"
    PHASE = "confine"
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int

    @property
    def about(self) -> str:
        return f"{self.uid}:{self.gid}"

    def apply(self, context: Context) -> None:
        os.umask(self.umask)
        # Else the kernel empties every set when the last of our ids stops being root's.
        prctl(_PR.SET_KEEPCAPS, 1)
        try:
            os.setgroups(self.groups)
        except PermissionError:
            # A namespace of a single id has given it up: user_namespaces(7), "setgroups".
            if self.groups:
                groups = ", ".join(map(str, self.groups))
                context.warnings.append(f"groups {groups}: there is one id only, so none was given")
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)

    def describe(self) -> str:
        more = f" with groups {', '.join(map(str, self.groups))}" if self.groups else ""
        return f"become user {self.uid}, group {self.gid}{more}"

    def shell(self) -> str:
        groups = f"--groups {','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        return f"setpriv --reuid {self.uid} --regid {self.gid} {groups}"


class Bounding(Op):
    """The mask of what this process and all it will ever execute can have at most."""

    NAME = "bounding"
    PHASE = "confine"
    mask: int

    @property
    def about(self) -> str:
        return f"{self.mask:#x}"

    def apply(self, context: Context) -> None:
        drop_bounding(self.mask)

    def describe(self) -> str:
        return f"give up for ever every capability but {_names(self.mask)}"

    def shell(self) -> str:
        return f"setpriv --bounding-set -all,{_signed(self.mask)}".rstrip(",")


class Capabilities(Op):
    NAME = "capabilities"
    PHASE = "confine"
    effective: int
    permitted: int
    inheritable: int
    ambient: int

    @property
    def about(self) -> str:
        return f"{self.permitted:#x}"

    def apply(self, context: Context) -> None:
        capset(self.effective, self.permitted, self.inheritable)
        for capability in range(self.ambient.bit_length()):
            if self.ambient >> capability & 1:
                ambient_raise(capability)

    def describe(self) -> str:
        return f"hold the capabilities {_names(self.permitted)}"

    def shell(self) -> str:
        return f"# capset(2): effective {self.effective:#x}, permitted {self.permitted:#x}"


def _names(mask: int) -> str:
    return ", ".join(cap_name(c) for c in CAP if mask >> c & 1) or "none"


def _signed(mask: int) -> str:
    return ",".join(f"+{c.name.lower()}" for c in CAP if mask >> c & 1)


class NoNewPrivileges(Op):
    NAME = "no-new-privileges"
    PHASE = "confine"

    def apply(self, context: Context) -> None:
        set_no_new_privs()

    def describe(self) -> str:
        return "gain nothing from set-user-ID programs"

    def shell(self) -> str:
        return "setpriv --no-new-privs"


class Seccomp(Op):
    """`program`: an array of struct sock_filter; `flags` of SECCOMP_FILTER_FLAG."""

    NAME = "seccomp"
    PHASE = "confine"
    program: bytes
    flags: int = 0

    @property
    def about(self) -> str:
        return f"{len(self.program) // 8} instructions"

    def apply(self, context: Context) -> None:
        set_mode_filter(self.program, self.flags)

    def describe(self) -> str:
        return f"answer only the allowed system calls ({self.about})"

    def shell(self) -> str:
        return f"# seccomp(2): SECCOMP_SET_MODE_FILTER, {self.about}"


class Signals(Op):
    """Python ignores SIGPIPE and SIGXFSZ, which an executed program would inherit."""

    NAME = "signals"
    PHASE = "exec"

    def apply(self, context: Context) -> None:
        for number in (SIG.PIPE, SIG.XFSZ, SIG.INT, SIG.HUP):
            set_default(number)
        set_mask(frozenset())

    def describe(self) -> str:
        return "let every signal do what it does by default"

    def shell(self) -> str:
        return "trap - PIPE XFSZ INT HUP"


class CloseDescriptors(Op):
    """Truly closed, not only at exec: until then /proc/self/fd would lead out (CVE-2024-21626).

    `keep`: how many of those from 3 on the program is given.
    """

    NAME = "close-descriptors"
    PHASE = "exec"
    keep: int

    def apply(self, context: Context) -> None:
        first = 3 + self.keep
        if context.report != first:
            os.dup2(context.report, first, inheritable=False)
            context.report = first
        close_range(first + 1, ~0)

    def describe(self) -> str:
        return "close every other descriptor"

    def shell(self) -> str:
        return f"# close_range({3 + self.keep}, ~0U, 0)"


class Exec(Op):
    """`argv[0]` is a path, or a name to look for in the PATH of `env`."""

    NAME = "exec"
    PHASE = "exec"
    argv: tuple[bytes, ...]
    env: tuple[bytes, ...]

    @property
    def about(self) -> str:
        return shown(self.argv[0])

    def places(self) -> tuple[list[bytes], OSError]:
        """The paths to try, and what to say when none is there."""
        name = self.argv[0]
        if b"/" in name:
            return [name], OSError(errno.ENOENT, "no such file", name)
        paths = [e.partition(b"=")[2] for e in self.env if e.startswith(b"PATH=")]
        path = paths[-1] if paths else b""
        where = path.decode(errors="replace")
        missing = OSError(errno.ENOENT, f"executable not found in PATH ({where})", name)
        return [os.path.join(folder or b".", name) for folder in path.split(b":")], missing

    def find(self) -> bytes:
        """The first of these paths that this process may execute. Raise OSError."""
        paths, failure = self.places()
        for path in paths:
            if os.access(path, os.X_OK):
                return path
        raise failure

    def variables(self) -> dict[bytes, bytes]:
        """Of two of one name the last."""
        return dict(entry.split(b"=", 1) for entry in self.env)

    def apply(self, context: Context) -> None:
        env = self.variables()
        paths, failure = self.places()
        for path in paths:
            try:
                os.execve(path, self.argv, env)
            except (FileNotFoundError, NotADirectoryError):
                if os.path.exists(path):
                    text = "is there, but the interpreter or dynamic loader that it names is not"
                    raise OSError(errno.ENOENT, text, path) from None
            except PermissionError as error:
                failure = OSError(error.errno, error.strerror, path)
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
        raise failure

    def describe(self) -> str:
        return "execute " + " ".join(quoted(word) for word in self.argv)

    def shell(self) -> str:
        return "exec env -i " + " ".join(quoted(word) for word in (*self.env, *self.argv))
