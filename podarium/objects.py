"""Objects from the shell: apply, get, delete, logs, run."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import yaml

from engine.client.apply import apply as apply_one
from engine.client.client import Client
from engine.home import ClusterPaths
from engine.types.registry import Resource, find
from podarium import documents
from podarium.connection import ask
from podarium.failure import Failure
from podarium.output import write_line
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
