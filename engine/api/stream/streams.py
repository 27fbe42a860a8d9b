"""pods/exec, pods/attach and pods/portforward: what of a pod is meant, and in which protocol."""

from __future__ import annotations

from functools import partial

from engine.api.nodes import Nodes, container_of
from engine.api.request import Request, Response, Upgrade
from engine.api.route import Route
from engine.api.stream.forward import PROTOCOL, forward
from engine.api.stream.session import Wanted, converse
from engine.stream import channel
from engine.stream.socket import Socket
from engine.types.core import Pod
from engine.types.status import BadRequest, MethodNotAllowed

STREAMS = ("exec", "attach", "portforward")
ATTACHED_S = 30.0
"""How long a container waits for somebody who is attached to it and takes nothing."""


class Streams:
    """Begun by GET or POST, as kubectl may; both ask for a WebSocket."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def answer(self, route: Route, request: Request) -> Response:
        """Raise NotFound, BadRequest, MethodNotAllowed, ServiceUnavailable."""
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed
        pod = self._nodes.pod(route.namespace, route.name)
        match route.subresource:
            case "exec":
                return self._exec(pod, request)
            case "attach":
                return self._attach(pod, request)
            case _:
                return self._forward(pod, request)

    def _exec(self, pod: Pod, request: Request) -> Response:
        wanted, command = Wanted.of(request), request.values("command")
        if not command:
            raise BadRequest("you must specify at least one command for the container")
        container = container_of(pod, request.query.get("container", ""))
        protocol = _agreed(pod, request, channel.PROTOCOLS)
        begin = partial(
            self._nodes.reach().exec,
            pod,
            container,
            command,
            terminal=wanted.tty,
            stdin=wanted.stdin,
        )

        async def talk(socket: Socket) -> None:
            await converse(socket, begin, wanted)

        return Response(101, b"", upgrade=Upgrade(protocol, talk))

    def _attach(self, pod: Pod, request: Request) -> Response:
        wanted = Wanted.of(request)
        container = container_of(pod, request.query.get("container", ""))
        protocol = _agreed(pod, request, channel.PROTOCOLS)
        begin = partial(self._nodes.reach().attach, pod, container, stdin=wanted.stdin)

        async def talk(socket: Socket) -> None:
            await converse(socket, begin, wanted, patience_s=ATTACHED_S)

        return Response(101, b"", upgrade=Upgrade(protocol, talk))

    def _forward(self, pod: Pod, request: Request) -> Response:
        protocol = _agreed(pod, request, (PROTOCOL,))
        dial = partial(self._nodes.reach().dial, pod)

        async def talk(socket: Socket) -> None:
            await forward(socket, dial)

        return Response(101, b"", upgrade=Upgrade(protocol, talk))


def _agreed(pod: Pod, request: Request, ours: tuple[str, ...]) -> str:
    """The first of our protocols that the client speaks too. Raise BadRequest."""
    if not pod.spec.node_name:
        raise BadRequest(f"pod {pod.metadata.name} does not have a host assigned")
    if request.protocols is None:
        raise BadRequest(
            f"Upgrade request required: a WebSocket that speaks {ours[0]} (kubectl 1.31 or newer)"
        )
    for protocol in ours:
        if protocol in request.protocols:
            return protocol
    offered = ", ".join(request.protocols) or "none"
    raise BadRequest(f"unable to upgrade: {offered} offered, {', '.join(ours)} spoken here")
