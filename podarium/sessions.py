"""Exec and port-forward from the shell."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import click

from engine.client import forward
from engine.client.client import Client
from engine.client.forward import ForwardError, Tunnel
from engine.client.http import HttpTransport
from engine.client.session import Session, execute
from engine.home import ClusterPaths
from engine.stream.channel import Channel
from podarium import terminal
from podarium.connection import ask
from podarium.failure import Failure

_FDS = {Channel.STDOUT: 1, Channel.STDERR: 2}


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
        opening = execute(
            client.transport,
            namespace,
            pod.removeprefix("pod/"),
            command,
            container=container,
            terminal=tty,
            stdin=interactive,
        )
        async with opening as session:
            return await _converse(session, interactive=interactive, tty=tty)

    sys.exit(ask(paths, talk))


async def _converse(session: Session, *, interactive: bool, tty: bool) -> int:
    with ExitStack() as stack:
        tasks = []
        if tty:
            resize = asyncio.Event()
            resize.set()
            stack.enter_context(terminal.on_resize(resize.set))
            stack.enter_context(terminal.raw())
            tasks.append(asyncio.create_task(_follow_size(session, resize)))
        if interactive:
            tasks.append(asyncio.create_task(_send(session)))
        try:
            async for name, data in session:
                terminal.show(_FDS[name], data)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    try:
        return session.exit_code()
    except ConnectionError as error:
        raise Failure(str(error)) from None


async def _send(session: Session) -> None:
    async for data in terminal.typed():
        await session.write(data)
    await session.end_input()


async def _follow_size(session: Session, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        size = os.get_terminal_size(sys.stdin.fileno())
        await session.resize(size.columns, size.lines)


def port_forward(
    paths: ClusterPaths, pod: str, ports: tuple[str, ...], *, namespace: str, addresses: list[str]
) -> None:
    """Until interrupted, or the pod is gone."""
    pairs = [_pair(text) for text in ports]

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
    try:
        server = await asyncio.start_server(partial(_carry, tunnel, remote), addresses, local)
    except OSError as error:
        raise Failure(f"cannot listen on port {local}: {error.strerror or error}") from None
    for socket in server.sockets:
        host, port = socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Forwarding from {shown}:{port} -> {remote}")
    return server


async def _carry(
    tunnel: Tunnel, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        await tunnel.carry(reader, writer, port)
    except ForwardError as error:
        click.echo(f"podarium: port {port}: {error}", err=True)
    except ConnectionError:
        return  # one end hung up


def _pair(text: str) -> tuple[int, int]:
    """8080:80, 80 (the same here and there), :80 (any free port here)."""
    local, colon, remote = text.rpartition(":")
    local = local if colon else remote
    found = [int(part) if part.isdecimal() else -1 for part in (local or "0", remote)]
    if not (0 <= found[0] < 65536 and 0 < found[1] < 65536):
        raise Failure(f"{text!r}: write LOCAL:REMOTE, as 8080:80, or one port for both", 2)
    return found[0], found[1]
