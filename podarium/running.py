"""`podarium run`: a pod of one program, made, attended and taken away."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import click

from engine.client.client import Client
from engine.client.http import HttpTransport
from engine.client.session import attach
from engine.client.terminal import converse
from engine.home import ClusterPaths
from engine.types import clock
from engine.types.containers import Container, EnvVar
from engine.types.meta import ObjectMeta
from engine.types.pods import Pod, PodSpec
from engine.types.podstatus import pod_summary
from engine.types.status import StatusError
from podarium.connection import ask
from podarium.failure import Failure
from podarium.output import Screen, tame, write_line

_MAIN = "main"


@dataclass(frozen=True)
class Wanted:
    """How the program is attended."""

    interactive: bool = False
    tty: bool = False
    detach: bool = False
    remove: bool = True


def run(
    paths: ClusterPaths,
    image: str,
    words: tuple[str, ...],
    *,
    name: str,
    namespace: str,
    env: tuple[str, ...],
    wanted: Wanted,
) -> None:
    """A pod that is not restarted; its code becomes ours."""
    pairs = [pair.partition("=") for pair in env]
    unnamed = [pair for pair, equals, _ in pairs if not equals or not pair]
    if unnamed:
        raise Failure(f"--env {unnamed[0]!r}: write NAME=VALUE", 2)
    if wanted.tty and not sys.stdin.isatty():
        raise Failure("-t: the input is not a terminal; -i alone passes it on", 2)
    pod = Pod(
        metadata=ObjectMeta(
            name=name or f"run-{secrets.token_hex(3)}",
            namespace=namespace,
            labels={"run": "podarium"},
        ),
        spec=PodSpec(
            restart_policy="Never",
            containers=[
                Container(
                    name=_MAIN,
                    image=image,
                    # What is loaded here is meant, whatever a registry has under that name.
                    image_pull_policy="IfNotPresent",
                    args=list(words),
                    env=[EnvVar(name=key, value=value) for key, _, value in pairs],
                    stdin=wanted.interactive,
                    # A file's end is the end; a person may leave, and come back.
                    stdin_once=wanted.interactive and not wanted.tty,
                    tty=wanted.tty,
                )
            ],
        ),
    )
    if wanted.detach:
        created = ask(paths, lambda client: client.create(pod))
        click.echo(created.metadata.name)
        return
    sys.exit(ask(paths, lambda client: _attend(client, pod, wanted)))


async def _attend(client: Client, pod: Pod, wanted: Wanted) -> int:
    """Create the pod, be with it to its end, delete it; give its exit code."""
    created = await client.create(pod)
    name, namespace = created.metadata.name, created.metadata.namespace
    left = False
    try:
        await _until_started(client, created)
        if wanted.interactive or wanted.tty:
            left = await _talk(client, created, wanted)
        else:
            async for line in client.logs(namespace, name, _MAIN, follow=True):
                write_line(line)
                sys.stdout.buffer.flush()
        return 0 if left else await _exit_code(client, created)
    finally:
        if wanted.remove and not left:
            await asyncio.shield(client.delete(Pod, name, namespace, grace_period=1))


async def _talk(client: Client, pod: Pod, wanted: Wanted) -> bool:
    """With the program, after what it had said before; whether the person left it."""
    assert isinstance(client.transport, HttpTransport)
    name, namespace = pod.metadata.name, pod.metadata.namespace
    opening = attach(
        client.transport,
        namespace,
        name,
        container=_MAIN,
        terminal=wanted.tty,
        stdin=wanted.interactive,
    )
    joined = 0.0
    try:
        async with opening as session:
            joined = time.time()
            await _said(client, pod, 0.0, joined, raw=wanted.tty)
            code = await converse(
                session,
                interactive=wanted.interactive,
                tty=wanted.tty,
                detach=wanted.tty,
                show=Screen(raw=wanted.tty).show,
            )
    except StatusError as error:
        if error.code != 404:
            raise
        # It has ended already: what it said is in its log.
        await _said(client, pod, joined, float("inf"), raw=wanted.tty)
        return False
    if code is None:
        again = f"podarium attach {name}" + (f" -n {namespace}" * (namespace != "default"))
        click.echo(f"\npodarium: pod {name} goes on; to come back: {again}", err=True)
    return code is None


async def _said(client: Client, pod: Pod, since: float, until: float, *, raw: bool) -> None:
    """The lines of its log from between these times."""
    name, namespace = pod.metadata.name, pod.metadata.namespace
    async for line in client.logs(namespace, name, _MAIN, timestamps=True):
        stamp, _, text = line.partition(b" ")
        if not since <= clock.parse(stamp.decode()) < until:
            continue
        if raw:
            sys.stdout.buffer.write(text + b"\n")
        else:
            write_line(text)
    sys.stdout.buffer.flush()


async def _until_started(client: Client, pod: Pod) -> None:
    """Return when the container runs or has run; raise Failure when it never will."""
    async for now in _states(client, pod):
        if now.status.phase in ("Running", "Succeeded", "Failed"):
            return
        for container in now.status.container_statuses:
            waiting = container.state.waiting
            if waiting and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
                why = tame(waiting.message)
                raise Failure(f"pod {now.metadata.name}: {waiting.reason}: {why}")
        for condition in now.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                raise Failure(f"pod {now.metadata.name}: {condition.reason}: {condition.message}")


async def _exit_code(client: Client, pod: Pod) -> int:
    async for now in _states(client, pod):
        for container in now.status.container_statuses:
            ended = container.state.terminated
            if ended:
                if ended.message:
                    click.echo(f"podarium: {ended.reason}: {tame(ended.message)}", err=True)
                return ended.exit_code
    raise Failure(f"pod {pod.metadata.name}: gone before it ended: {pod_summary(pod).status}")


async def _states(client: Client, pod: Pod) -> AsyncIterator[Pod]:
    """The pod now and at every change, until it is deleted."""
    name, namespace = pod.metadata.name, pod.metadata.namespace
    fields = f"metadata.name={name}"
    listing = await client.list(Pod, namespace, fields=fields)
    for item in listing.items:
        yield item
    version = listing.resource_version
    async for event in client.watch(Pod, namespace, resource_version=version, fields=fields):
        if event.type == "DELETED":
            return
        if event.type != "BOOKMARK":
            yield event.object
