"""Where a container's first process stops and waits: for its parent, for hooks, for `start`.

The report of child.py is a seqpacket socket here, so the parent can answer. At the gate the process
tells that it is created, lets the parent go, and listens in the state directory; `start` connects,
and that connection is then what the report goes to: closed by a successful exec, or the failure.
"""

from __future__ import annotations

import marshal
import os

from engine.linux.unix import accept
from engine.runtime.ops.base import Context, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.oci.hooks import Hook

GO = b"."


def ask(context: Context, what: str, *facts: int) -> None:
    """Have the parent do something, and wait until it is done; should it fail, we are done."""
    os.write(context.report, marshal.dumps((what, *facts)))
    if os.read(context.report, 1) != GO:
        os._exit(127)


class RuntimeHooks(Op):
    NAME = "runtime-hooks"
    PHASE = "hooks"

    def apply(self, context: Context) -> None:
        ask(context, "hooks")

    def describe(self) -> str:
        return "wait for the hooks prestart and createRuntime"

    def shell(self) -> str:
        return "# hooks"


class ContainerHooks(Op):
    """Run by the process itself, in the container's namespaces. `state` as they are told it."""

    NAME = "container-hooks"
    PHASE = "hooks"
    point: str
    hooks: tuple[Hook, ...]
    state: bytes

    @property
    def about(self) -> str:
        return self.point

    def apply(self, context: Context) -> None:
        for hook in self.hooks:
            hook.run(self.state)

    def describe(self) -> str:
        return f"run the hooks {self.point}"

    def shell(self) -> str:
        return "# hooks"


class Gate(Op):
    """`listener`: the descriptor of a listening socket."""

    NAME = "gate"
    PHASE = "exec"
    listener: int

    def apply(self, context: Context) -> None:
        # From then on nobody hears of a failure, until `start` comes: as of too few descriptors.
        os.close(os.dup(self.listener))
        os.write(context.report, marshal.dumps(("created", context.warnings)))
        os.close(context.report)
        context.report = accept(self.listener)
        os.close(self.listener)

    def describe(self) -> str:
        return "be created, and wait to be started"

    def shell(self) -> str:
        return "read < GATE"
