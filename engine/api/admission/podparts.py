"""Checks of what changes a pod by its parts: containers to look into it, and new resources."""

from __future__ import annotations

from engine.api.admission.causes import Causes, Path
from engine.api.admission.container import check_containers
from engine.types.pods import Pod, PodSpec

RESIZABLE = frozenset(("cpu", "memory"))


def check_ephemeral(spec: PodSpec, path: Path, causes: Causes, names: set[str]) -> None:
    """Those of a spec by themselves; `names` are of its other containers."""
    known = {container.name for container in spec.containers}
    volumes = {volume.name: volume for volume in spec.volumes}
    check_containers(spec.ephemeral_containers, path, causes, volumes=volumes, names=names)
    for index, container in enumerate(spec.ephemeral_containers):
        place, target = path.at(index), container.target_container_name
        if target and target not in known:
            causes.not_found(place / "targetContainerName", target)
        for name, value in (
            ("ports", container.ports),
            ("livenessProbe", container.liveness_probe),
            ("readinessProbe", container.readiness_probe),
            ("startupProbe", container.startup_probe),
            ("lifecycle", container.lifecycle),
            ("resources", container.resources.limits or container.resources.requests),
            ("resizePolicy", container.resize_policy),
            ("restartPolicy", container.restart_policy),
        ):
            if value:
                causes.forbidden(place / name, "cannot be set for an Ephemeral Container")


def check_ephemeral_change(new: Pod, old: Pod, causes: Causes) -> None:
    """They may be added, and then stay as they are."""
    path = Path("spec") / "ephemeralContainers"
    now = {container.name: container for container in new.spec.ephemeral_containers}
    for container in old.spec.ephemeral_containers:
        if container.name not in now:
            what = f'existing ephemeral containers "{container.name}" may not be removed'
            causes.forbidden(path, what)
        elif now[container.name] != container:
            what = f'existing ephemeral containers "{container.name}" may not be changed'
            causes.forbidden(path, what)


def check_resize(new: Pod, old: Pod, causes: Causes) -> None:
    """CPU and memory of containers may change, and nothing else."""
    for field, mine, its in (
        ("containers", new.spec.containers, old.spec.containers),
        ("initContainers", new.spec.init_containers, old.spec.init_containers),
    ):
        for index, (container, before) in enumerate(zip(mine, its, strict=True)):
            place = (Path("spec") / field).at(index) / "resources"
            for side in ("limits", "requests"):
                after: dict[str, object] = getattr(container.resources, side)
                known: dict[str, object] = getattr(before.resources, side)
                others = {
                    name
                    for name in after.keys() | known.keys()
                    if name not in RESIZABLE and after.get(name) != known.get(name)
                }
                if others:
                    causes.forbidden(place / side, "only cpu and memory resources are mutable")
                if side == "limits" and (known.keys() - after.keys()) & RESIZABLE:
                    causes.forbidden(place / side, "resource limits cannot be removed")
