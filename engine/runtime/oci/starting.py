"""start: the container's process executes its program."""

from __future__ import annotations

import os

from engine.linux.unix import connect
from engine.runtime.oci import state
from engine.runtime.oci.document import read
from engine.runtime.oci.hooks import run_hooks
from engine.runtime.oci.listener import LISTENER, hand_over
from engine.runtime.oci.report import Report
from engine.runtime.oci.state import CREATED, RUNNING, StateError


def start(root: str, id: str) -> None:
    """Let it execute its program. Raise StateError, StartError."""
    container = state.load(root, id)
    with container.locked():
        status = container.status(container.hierarchy())
        if status != CREATED:
            raise StateError(f"container {id!r} is {status}, and only a created one can be started")
        gate = container.at_socket(connect)
        os.unlink(container.socket)
        steps = [(str(name), str(about)) for name, about in container.fields["steps"]]
        config = read(container.config_path, "container")

        def listener(fd: int) -> None:
            hand_over(config.get("linux", "seccomp"), container, RUNNING, container.pid, fd)

        Report(gate, steps).listen("ready", {LISTENER: listener})
        run_hooks(config, "poststart", container.told(RUNNING))
