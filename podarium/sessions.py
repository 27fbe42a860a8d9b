"""Exec, attach and port-forward from the shell."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

import click

from engine.client import forward
from engine.client import session as sessions
from engine.client.client import Client
from engine.client.forward import Tunnel
from engine.client.http import HttpTransport
from engine.client.terminal import converse
from engine.home import ClusterPaths
from engine.types.containers import Container, EphemeralContainer
from engine.types.core import Pod
from podarium.connection import ask
from podarium.failure import Failure
from podarium.output import Screen

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def exec(
    paths: ClusterPaths,
    pod: str,
    command: tuple[str, ...],
    *,
    container: str,
    namespace: str,
    interactive: bool,
    tty: bool,
) -> None:
    """Run a command in a container; its code becomes ours."""
    if tty and not sys.stdin.isatty():
        click.echo("podarium: -t: the input is not a terminal; going on without one", err=True)
        tty = False

    async def talk(client: Client) -> int:
        assert isinstance(client.transport, HttpTransport)
        name = pod.removeprefix("pod/")
        opening = sessions.execute(
            client.transport,
            namespace,
            name,
            command,
            container=container or default_container(await client.get(Pod, name, namespace)),
            terminal=tty,
            stdin=interactive,
        )
        async with opening as session:
            try:
                show = Screen(raw=tty).show
                code = await converse(session, interactive=interactive, tty=tty, show=show)
            except ConnectionError as error:
                raise Failure(str(error)) from None
        assert code is not None
        return code

    sys.exit(ask(paths, talk))


def attach(
    paths: ClusterPaths, pod: str, *, container: str, namespace: str, interactive: bool
) -> None:
    """Join a container's first process, with its input and terminal where it has them."""

    async def talk(client: Client) -> None:
        assert isinstance(client.transport, HttpTransport)
        name = pod.removeprefix("pod/")
        found = await client.get(Pod, name, namespace)
        chosen = container or default_container(found)
        spec = next((c for c in _containers(found) if c.name == chosen), None)
        if spec is None:
            raise Failure(f"pod {name} has no container {chosen}")
        typing = interactive and spec.stdin
        tty = typing and spec.tty and sys.stdin.isatty()
        opening = sessions.attach(
            client.transport, namespace, name, container=chosen, terminal=spec.tty, stdin=typing
        )
        async with opening as session:
            try:
                show = Screen(raw=tty).show
                code = await converse(
                    session, interactive=typing, tty=tty, detach=typing, show=show
                )
            except ConnectionError as error:
                raise Failure(str(error)) from None
        if code is None:
            click.echo(f"\npodarium: left; pod {name} goes on", err=True)

    ask(paths, talk)


def _containers(pod: Pod) -> list[Container | EphemeralContainer]:
    spec = pod.spec
    return [*spec.init_containers, *spec.containers, *spec.ephemeral_containers]


def default_container(pod: Pod) -> str:
    """The container meant by who names none: the annotated one, or the first."""
    names = [container.name for container in pod.spec.containers]
    chosen = pod.metadata.annotations.get(_DEFAULT_CONTAINER)
    if chosen in names or len(names) == 1:
        return chosen or names[0]
    click.echo(f"podarium: in container {names[0]}, the first of {', '.join(names)}", err=True)
    return names[0]


def port_forward(
    paths: ClusterPaths, pod: str, ports: tuple[str, ...], *, namespace: str, addresses: list[str]
) -> None:
    """Until interrupted, or the pod is gone."""
    try:
        pairs = [forward.pair(text) for text in ports]
    except ValueError as error:
        raise Failure(str(error), 2) from None

    async def talk(client: Client) -> None:
        assert isinstance(client.transport, HttpTransport)
        async with forward.tunnel(client.transport, namespace, pod.removeprefix("pod/")) as tunnel:
            async with AsyncExitStack() as servers:
                for local, remote in pairs:
                    server = await _listen(tunnel, addresses, local, remote)
                    await servers.enter_async_context(server)
                await tunnel.lost.wait()
        raise Failure(f"lost connection to pod {pod}")

    ask(paths, talk)


async def _listen(tunnel: Tunnel, addresses: list[str], local: int, remote: int) -> asyncio.Server:
    def failed(why: str) -> None:
        click.echo(f"podarium: {why}", err=True)

    try:
        server = await forward.listen(tunnel, addresses, local, remote, failed)
    except OSError as error:
        raise Failure(f"cannot listen on port {local}: {error.strerror or error}") from None
    for socket in server.sockets:
        host, port = socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Forwarding from {shown}:{port} -> {remote}")
    return server
