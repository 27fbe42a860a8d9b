"""Objects from the shell: apply, get, delete, logs, run."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import click
import yaml

from engine.client.apply import apply as apply_one
from engine.client.client import Client
from engine.home import ClusterPaths
from engine.types.containers import Container, EnvVar
from engine.types.meta import ObjectMeta
from engine.types.pods import Pod, PodSpec
from engine.types.podstatus import pod_summary
from engine.types.registry import Resource, find
from podarium import documents
from podarium.connection import ask
from podarium.failure import Failure
from podarium.output import tame, write_line
from tui.render.text import inert

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def resource_named(word: str) -> Resource:
    """Raise Failure with what there is when nothing is called so."""
    found = find(word)
    if found is None:
        raise Failure(f'the server doesn\'t have a resource type "{word}"')
    return found


def apply(paths: ClusterPaths, files: tuple[str, ...], namespace: str) -> None:
    manifests = documents.read(files)

    async def talk(client: Client) -> None:
        for manifest in manifests:
            outcome = await apply_one(client, manifest, namespace)
            click.echo(f"{manifest.resource.singular}/{manifest.name} {outcome}")

    ask(paths, talk)


def get(
    paths: ClusterPaths,
    kind: str,
    names: tuple[str, ...],
    namespace: str | None,
    selector: str,
    output: str | None,
) -> None:
    resource = resource_named(kind)
    where = namespace if resource.namespaced else None
    wanted = [resource.path(where, name) for name in names] or [resource.path(where)]
    query = {"labelSelector": selector} if selector else {}
    accept = "application/json" if output in ("yaml", "json", "name") else _TABLE

    async def talk(client: Client) -> list[Any]:
        return [
            json.loads(await client.raw("GET", path, query=query, accept=accept)) for path in wanted
        ]

    answers = ask(paths, talk)
    if accept == _TABLE:
        spaces = namespace is None and resource.namespaced
        _print_table(answers, wide=output == "wide", namespaces=spaces)
    else:
        _print_objects(resource, answers, output or "json", one=len(names) == 1)


def _print_table(tables: list[dict[str, Any]], *, wide: bool, namespaces: bool) -> None:
    columns = tables[0]["columnDefinitions"]
    shown = [i for i, column in enumerate(columns) if wide or not column.get("priority")]
    lines = [["NAMESPACE"] * namespaces + [columns[i]["name"].upper() for i in shown]]
    for table in tables:
        for row in table["rows"] or []:
            space = [row["object"]["metadata"].get("namespace", "")] * namespaces
            lines.append(space + [inert(str(row["cells"][i])) for i in shown])
    if len(lines) == 1:
        click.echo("No resources found", err=True)
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(cells).rstrip())


def _print_objects(resource: Resource, answers: list[Any], output: str, *, one: bool) -> None:
    items = [item for answer in answers for item in answer.get("items", [answer])]
    if output == "name":
        for item in items:
            click.echo(f"{resource.singular}/{item['metadata']['name']}")
        return
    whole = items[0] if one else {"apiVersion": "v1", "kind": "List", "items": items}
    if output == "json":
        click.echo(json.dumps(whole, indent=4))
    else:
        click.echo(yaml.safe_dump(whole, sort_keys=False), nl=False)


def delete(paths: ClusterPaths, kind: str, names: tuple[str, ...], namespace: str) -> None:
    resource = resource_named(kind)

    async def talk(client: Client) -> None:
        for name in names:
            await client.delete(resource.cls, name, namespace if resource.namespaced else None)
            click.echo(f'{resource.singular} "{name}" deleted')

    ask(paths, talk)


def logs(
    paths: ClusterPaths,
    pod: str,
    container: str,
    namespace: str,
    *,
    follow: bool,
    previous: bool,
    tail: int | None,
    timestamps: bool,
) -> None:
    async def talk(client: Client) -> None:
        lines = client.logs(
            namespace,
            pod.removeprefix("pod/"),
            container,
            follow=follow,
            previous=previous,
            tail=tail,
            timestamps=timestamps,
        )
        async for line in lines:
            write_line(line)
            if follow:
                sys.stdout.buffer.flush()

    ask(paths, talk)


def run(
    paths: ClusterPaths,
    image: str,
    words: tuple[str, ...],
    *,
    name: str,
    namespace: str,
    env: tuple[str, ...],
    detach: bool,
) -> None:
    """A pod that is not restarted; its code becomes ours, and it is deleted when it has ended."""
    pairs = [pair.partition("=") for pair in env]
    unnamed = [pair for pair, equals, _ in pairs if not equals or not pair]
    if unnamed:
        raise Failure(f"--env {unnamed[0]!r}: write NAME=VALUE", 2)
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
                    name="main",
                    image=image,
                    # What is loaded here is meant, whatever a registry has under that name.
                    image_pull_policy="IfNotPresent",
                    args=list(words),
                    env=[EnvVar(name=key, value=value) for key, _, value in pairs],
                )
            ],
        ),
    )
    if detach:
        created = ask(paths, lambda client: client.create(pod))
        click.echo(created.metadata.name)
        return
    sys.exit(ask(paths, lambda client: _attend(client, pod)))


async def _attend(client: Client, pod: Pod) -> int:
    """Create the pod, show its output as it comes, delete it; give its exit code."""
    created = await client.create(pod)
    name, namespace = created.metadata.name, created.metadata.namespace
    try:
        await _until_started(client, created)
        async for line in client.logs(namespace, name, "main", follow=True):
            write_line(line)
            sys.stdout.buffer.flush()
        return await _exit_code(client, created)
    finally:
        await asyncio.shield(client.delete(Pod, name, namespace, grace_period=1))


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
