"""`podarium plan`: every operation that a pod's containers would be, or have been, started by.

Of a file nothing is done, and what only a node knows is shown by its name in capitals: the layers
of an image that is not looked up, the pod's address, the folders of a container that does not exist
yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from engine.client.client import Client
from engine.home import ClusterPaths
from engine.kubelet import qos
from engine.kubelet.container import Surroundings, container_spec
from engine.kubelet.downward import ConfigError
from engine.kubelet.volumes import Mountable
from engine.runtime.cgroup.api import detect
from engine.runtime.plan import Plan, PlanError, Target, compile
from engine.types import codec
from engine.types.containers import Container
from engine.types.meta import Object
from engine.types.pods import Pod, PodTemplateSpec
from engine.types.status import NotFound
from podarium import documents
from podarium.connection import ask
from podarium.failure import Failure
from podarium.output import tame

_NODE_MILLI, _NODE_MEMORY = 1000, 4 << 30


class _Workload(Object, kw_only=True):
    """Any object that makes pods, read for its template alone."""

    class Spec(msgspec.Struct):
        template: PodTemplateSpec

    spec: Spec


class _UnknownImage(msgspec.Struct, frozen=True):
    """An image seen from outside: it adds nothing to what the pod says."""

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ("CMD-OF-THE-IMAGE",)
    working_dir: str = ""
    user: str = ""


def running(paths: ClusterPaths, word: str, namespace: str) -> None:
    """Print what the start of each container of a pod did, and how long each step took; `word` is
    POD or POD/CONTAINER."""
    name, _, only = word.removeprefix("pod/").partition("/")

    async def talk(client: Client) -> None:
        pod = await client.get(Pod, name, namespace)
        spec = pod.spec
        every = (*spec.init_containers, *spec.containers, *spec.ephemeral_containers)
        names = [only] if only else [each.name for each in every]
        for container in names:
            path = f"/podarium/v1/namespaces/{namespace}/pods/{name}/containers/{container}/trace"
            try:
                trace = msgspec.json.decode(await client.raw("GET", path))
            except NotFound:
                click.echo(f"podarium: container {container} has not been started", err=True)
                continue
            _print_trace(name, trace)

    ask(paths, talk)


def _print_trace(pod: str, trace: dict[str, Any]) -> None:
    steps, spent = trace["steps"], trace["microseconds"] / 1000
    title = f"pod {pod}, container {trace['container']}: {len(steps)} steps, {spent:.1f} ms"
    click.secho(title, bold=True)
    phase = ""
    for number, step in enumerate(steps, 1):
        if step.get("phase", phase) != phase:
            phase = step["phase"]
            click.secho(f"\n  {phase}", fg="cyan")
        took = f"{step['microseconds']:>7} µs" if "microseconds" in step else "     ahead"
        click.echo(f"  {number:3} {took}  {tame(step.get('text') or step['op'])}")
        if "shell" in step:
            click.secho(f"                  {tame(step['shell'])}", dim=True)
    for warning in trace["warnings"]:
        click.echo(f"  warning: {tame(warning)}")
    click.echo()


def plan(filename: str) -> None:
    """Print the steps of every container of every pod, or pod template, in the file."""
    for manifest in documents.read([filename]):
        pod = _pod(manifest.body)
        for container in (*pod.spec.init_containers, *pod.spec.containers):
            try:
                _print(pod, container, _plan(pod, container))
            except (ConfigError, PlanError) as error:
                raise Failure(f"{filename}: {manifest.name}: {container.name}: {error}") from None


def _pod(body: dict[str, object]) -> Pod:
    try:
        if body["kind"] == "Pod":
            return codec.from_dict(Pod, body)
        workload = codec.from_dict(_Workload, body)
    except msgspec.ValidationError as error:
        raise Failure(f"{body['kind']}: no pod and no pod template in it: {error}") from None
    template = workload.spec.template
    pod = Pod(metadata=template.metadata, spec=template.spec)
    pod.metadata.name = workload.metadata.name
    return pod


def _plan(pod: Pod, container: Container) -> Plan:
    folder = Path("/CONTAINER")
    around = Surroundings(
        hostname=pod.spec.hostname or pod.metadata.name,
        environment=_variables(container),
        node_memory=_NODE_MEMORY,
        volumes={each.name: Mountable(Path("/VOLUME") / each.name) for each in pod.spec.volumes},
    )
    target = Target(
        container_id="CONTAINER-ID",
        sandbox="POD-UID",
        lowerdirs=(Path("/INIT-LAYER"), Path("/IMAGE-LAYERS")),
        upper=folder / "upper",
        work=folder / "work",
        hosts=folder / "hosts",
        hostname=folder / "hostname",
        resolv_conf=folder / "resolv.conf",
        cgroup=b"podarium-CLUSTER/NODE/podUID/CONTAINER-ID",
        hierarchy=detect(),
        resources=qos.container_resources(container, _NODE_MILLI),
    )
    return compile(container_spec(pod, container, _UnknownImage(), around), target)


def _variables(container: Container) -> dict[str, str]:
    return {each.name: each.value or each.name.upper() for each in container.env}


def _print(pod: Pod, container: Container, found: Plan) -> None:
    steps = found.describe()
    title = f"pod {pod.metadata.name}, container {container.name}: {len(steps)} steps"
    click.secho(title, bold=True)
    phase = ""
    for number, step in enumerate(steps, 1):
        if step.phase != phase:
            phase = step.phase
            click.secho(f"\n  {phase}", fg="cyan")
        click.echo(f"  {number:3}  {step.text}")
        click.secho(f"       {step.shell}", dim=True)
    click.echo()
