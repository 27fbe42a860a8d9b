"""Commands that lend the terminal: to a shell in a container, to a command, to its own process."""

from __future__ import annotations

import shlex

from engine.types.containers import Container

from . import kubectl
from .command import command
from .desk import Desk
from .objects import PODS, part_of, pod_of

USUAL = "sh -c 'id; ls -la'"


def _running(desk: Desk) -> tuple[str, Container] | None:
    """The pod's key and the container that is chosen; None, after telling why, if it is not up."""
    if (found := pod_of(desk)) is None:
        return None
    key, pod = found
    part = part_of(desk, pod)
    if not any(s.name == part and s.state.running for s in pod.status.container_statuses or ()):
        desk.flash(f"{part} of {key} does not run", "warn")
        return None
    return key, next(c for c in pod.spec.containers if c.name == part)


def _line(key: str, part: str, *rest: str) -> str:
    namespace, _, name = key.rpartition("/")
    verb, *words = rest
    return kubectl.words(verb, "-it", name, "-c", part, *words, namespace=namespace)


@command(
    "shell",
    "s",
    "x",
    title="Shell",
    help="A shell in its container: bash, else sh",
    hint="shell",
    rank=3,
    on=PODS,
    group="Object",
    changes=True,
)
async def shell(desk: Desk) -> None:
    if (found := _running(desk)) is not None:
        key, container = found
        desk.record(_line(key, container.name, "exec") + " -- sh")
        await desk.shell(key, container.name)


@command(
    "run",
    "exclamation_mark",
    title="Run a command",
    help="Any command in its container: another shell, a tool",
    on=PODS,
    group="Object",
    changes=True,
)
async def run(desk: Desk) -> None:
    if (found := _running(desk)) is None:
        return
    key, container = found
    words = "a command and its words, as a shell splits them"
    text = await desk.ask_text(f"Run in {container.name} of {key}", words, USUAL)
    if not text:
        return
    try:
        argv = shlex.split(text)
    except ValueError as error:
        desk.flash(f"{text!r}: {error}", "warn")
        return
    desk.record(_line(key, container.name, "exec") + f" -- {shlex.join(argv)}")
    await desk.run(key, container.name, argv)


@command(
    "attach",
    "a",
    title="Attach",
    help="Sit at the terminal of its own process; ctrl-p ctrl-q comes back",
    on=PODS,
    group="Object",
    changes=True,
)
async def attach(desk: Desk) -> None:
    if (found := _running(desk)) is None:
        return
    key, container = found
    if not (container.tty and container.stdin):
        desk.flash(f"{container.name} has no terminal (tty, stdin): l shows what it says", "warn")
        return
    desk.record(_line(key, container.name, "attach"))
    await desk.attach(key, container.name)
