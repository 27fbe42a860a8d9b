"""What a shell may complete: names of images, pods, clusters and contexts, where they are at hand.

Nothing is started, made or waited for long; whoever may not look gets no proposals.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from engine.home import DEFAULT_CLUSTER, ClusterPaths, default_home
from podarium.failure import Failure

VARIABLE = "_PODARIUM_COMPLETE"
"""By which a shell asks: click's convention."""

_PATIENCE_S = 1.0
_REFERENCE = "org.opencontainers.image.ref.name"


def script(shell: str, command: click.Command) -> str:
    """The shell's own code. Raise Failure for a shell that has none."""
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"{shell}: only bash, zsh and fish can complete", 2)
    return kind(command, {}, "podarium", VARIABLE).source()


def images(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """References in the store: from its OCI index, which reading alone does not change."""
    try:
        index = json.loads((default_home() / "images" / "index.json").read_bytes())
        full = [each["annotations"][_REFERENCE] for each in index["manifests"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    familiar = [
        name.removeprefix("docker.io/").removeprefix("library/")
        if name.startswith("docker.io/")
        else name
        for name in full
    ]
    return _beginning(incomplete, familiar)


def clusters(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Clusters that there ever were in this home."""
    try:
        names = os.listdir(ClusterPaths.of(default_home(), DEFAULT_CLUSTER).state.parent)
    except OSError:
        names = []
    return _beginning(incomplete, [DEFAULT_CLUSTER, *names])


def contexts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Contexts of the kubeconfig that the line names."""
    import yaml

    file = ctx.params.get("kubeconfig") or os.environ.get("KUBECONFIG", "")
    try:
        document = yaml.safe_load(Path(file).read_text())
        names = [str(each["name"]) for each in document["contexts"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []
    return _beginning(incomplete, names)


def objects(kind: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Names of a kind in the cluster and namespace that the line is about."""

    def named(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        paths = ctx.params.get("paths")
        if not isinstance(paths, ClusterPaths):
            try:
                paths = ClusterPaths.of(default_home(), str(paths or DEFAULT_CLUSTER))
            except ValueError:
                return []
        if not os.access(paths.api_socket, os.R_OK | os.W_OK):
            return []
        namespace = ctx.params.get("namespace") or "default"
        return _beginning(incomplete, _ask(paths, f"/api/v1/namespaces/{namespace}/{kind}"))

    return named


pods = objects("pods")


def _ask(paths: ClusterPaths, path: str) -> list[str]:
    from engine.client.client import Client
    from engine.client.errors import Unreachable
    from engine.client.http import HttpTransport
    from engine.types.status import StatusError

    async def names() -> list[str]:
        async with asyncio.timeout(_PATIENCE_S):
            async with HttpTransport(unix=paths.api_socket) as transport:
                answer: dict[str, Any] = json.loads(await Client(transport).raw("GET", path))
        return [item["metadata"]["name"] for item in answer["items"]]

    try:
        return asyncio.run(names())
    except (StatusError, Unreachable, TimeoutError, OSError):
        return []


def _beginning(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(n) for n in sorted(set(names)) if n.startswith(incomplete)]
