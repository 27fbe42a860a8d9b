"""Commands on ports of pods: reach one from here, see which are reached, end that."""

from __future__ import annotations

import os

from engine.client import forward
from engine.client.errors import Unreachable
from engine.types.core import Pod
from engine.types.status import StatusError

from ..model.place import FORWARDS
from . import kubectl
from .command import command
from .desk import Desk
from .objects import PODS, pod_of


@command(
    "port-forward",
    "F",
    title="Port-forward",
    help="Reach a port of the pod on 127.0.0.1",
    hint="forward",
    rank=14,
    on=PODS,
    group="Ports",
    changes=True,
)
async def port_forward(desk: Desk) -> None:
    if (found := pod_of(desk)) is None:
        return
    pod = found[1]
    ports = _ports(pod)
    words = "LOCAL:REMOTE; :REMOTE takes any port that is free here"
    words += f". The pod names {', '.join(ports)}" if ports else ""
    usual = f":{ports[0]}" if ports else ""
    text = await desk.ask_text(f"Port of {pod.metadata.name}", words, usual)
    if not text:
        return
    try:
        local, remote = forward.pair(text)
    except ValueError as error:
        desk.flash(str(error), "warn")
    else:
        await _start(desk, pod, local, remote)


def _ports(pod: Pod) -> list[str]:
    """What its containers say they listen on."""
    return [
        str(port.container_port)
        for container in pod.spec.containers
        for port in container.ports or ()
        if port.protocol in ("", "TCP")
    ]


async def _start(desk: Desk, pod: Pod, local: int, remote: int) -> None:
    meta = pod.metadata
    pair = f"{local or ''}:{remote}"
    line = kubectl.words("port-forward", f"pod/{meta.name}", pair, namespace=meta.namespace)
    try:
        made = await desk.forwards.start(meta.namespace, meta.name, local, remote, meta.uid)
    except OSError as error:
        # asyncio's own words are long, and end in these.
        why = os.strerror(error.errno) if error.errno else str(error)
        problem = f"port {local}: {why}; choose another, or :{remote}"
    except (StatusError, Unreachable) as error:
        problem = str(error)
    else:
        desk.record(line)
        desk.flash(f"{made.url} is port {remote} of {meta.name}; f lists them", "ok")
        return
    desk.record(line, problem)
    desk.flash(problem, "bad")


@command(
    "forwards",
    "f",
    title="Port-forwards",
    help="Which ports of pods are reached from here",
    on=(*PODS, "node"),
    group="Ports",
)
def forwards(desk: Desk) -> None:
    desk.go(FORWARDS)


@command(
    "stop-forward",
    "ctrl+d",
    title="Stop",
    help="Let the port go",
    hint="stop",
    rank=1,
    on=("forwards",),
    group="Ports",
)
async def stop_forward(desk: Desk) -> None:
    made = desk.forward()
    if made is None:
        desk.flash("no port is reached from here", "text")
        return
    await desk.forwards.stop(made)
    desk.flash(f"port {made.local} is free again", "ok")


@command(
    "browse",
    "w",
    title="Browser",
    help="Open the port in a browser; its address goes to the clipboard, too",
    hint="browser",
    rank=2,
    on=("forwards",),
    group="Ports",
)
def browse(desk: Desk) -> None:
    made = desk.forward()
    if made is None:
        desk.flash("no port is reached from here", "text")
        return
    opened = desk.browse(made.url)
    desk.flash(f"{made.url} is {'open, and ' if opened else ''}in the clipboard", "ok")
