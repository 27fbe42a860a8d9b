"""Programs of the bundle's author that run at certain points of a container's life."""

from __future__ import annotations

import errno
import os
import select

from engine.linux.signals import SIG, set_default, set_mask
from engine.runtime.errors import StartError
from engine.runtime.oci.document import Value

POINTS = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)


class Hook:
    """`timeout` in seconds, None for none."""

    __slots__ = ("args", "env", "path", "timeout")

    def __init__(self, value: Value) -> None:
        self.path = value.get("path").text()
        if not os.path.isabs(self.path):
            raise value.get("path").error(f"{self.path!r} must be absolute")
        self.args = value.get("args").texts() or (self.path,)
        self.env = value.get("env").texts()
        timeout = value.get("timeout")
        self.timeout = timeout.number() if timeout else None
        if self.timeout is not None and self.timeout <= 0:
            raise timeout.error("must be more than 0 seconds")

    def run(self, state: bytes) -> None:
        """With `state` as its input. Raise OSError when it fails, or takes too long."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        failure, failed = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self._execute(reader, failed)
        os.close(reader)
        os.close(failed)
        try:
            # Fits a pipe, so this does not wait for it to be read.
            os.write(writer, state)
        except BrokenPipeError:
            # It does not want to know.
            pass
        finally:
            os.close(writer)
        # Closed by a successful exec.
        with open(failure, "rb") as pipe:
            number = pipe.read()
        if number:
            os.waitpid(pid, 0)
            raise OSError(int(number), os.strerror(int(number)), self.path)
        self._wait(pid)

    def _execute(self, reader: int, failed: int) -> None:
        try:
            os.dup2(reader, 0)
            for number in (SIG.PIPE, SIG.XFSZ, SIG.INT):
                set_default(number)
            set_mask(frozenset())
            env = dict(entry.split("=", 1) for entry in self.env if "=" in entry)
            os.execve(self.path, self.args, env)
        except OSError as error:
            os.write(failed, b"%d" % (error.errno or errno.EIO))
        finally:
            os._exit(127)

    def _wait(self, pid: int) -> None:
        fd = os.pidfd_open(pid)
        try:
            if self.timeout is not None:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                if not poll.poll(self.timeout * 1000):
                    os.kill(pid, SIG.KILL)
                    os.waitpid(pid, 0)
                    text = f"hook was still running after {self.timeout} s"
                    raise OSError(errno.ETIMEDOUT, text, self.path)
            _, status = os.waitpid(pid, 0)
        finally:
            os.close(fd)
        code = os.waitstatus_to_exitcode(status)
        if code:
            raise OSError(errno.EIO, f"hook ended with {code}", self.path)


def hooks(config: Value, point: str) -> tuple[Hook, ...]:
    """Those of one point, in order. Raise ConfigError."""
    return tuple(Hook(value) for value in config.get("hooks", point).items())


def run_hooks(config: Value, point: str, told: bytes) -> None:
    """One after the other. Raise StartError at the first that fails."""
    for hook in hooks(config, point):
        try:
            hook.run(told)
        except OSError as error:
            text = error.strerror or str(error)
            raise StartError(point, hook.path, error.errno or 0, text, "") from None
