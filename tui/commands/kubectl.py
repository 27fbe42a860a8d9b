"""The command line that does what a key does: kubectl's, and Podarium's where it has none."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from engine.types import registry

from ..model.place import Place


def words(verb: str, *rest: str, namespace: str = "") -> str:
    """A line of kubectl, quoted for a shell."""
    return shlex.join(["kubectl", verb, *rest, *(("-n", namespace) if namespace else ())])


def about(verb: str, kind: str, keys: Iterable[str], *rest: str) -> str:
    """A line about objects of one kind and one namespace, by their keys."""
    parts = [key.rpartition("/") for key in keys]
    namespace = parts[0][0] if parts else ""
    return words(verb, singular(kind), *(name for _, _, name in parts), *rest, namespace=namespace)


def singular(kind: str) -> str:
    """A plural as kubectl's lines name one object."""
    resource = registry.find(kind)
    return kind if resource is None else resource.singular


def of_place(place: Place, namespace: str, filter: str = "") -> str:
    """What shows the same as a place does; empty when no command line does."""
    match place.view:
        case "overview":
            return words("get", "nodes,pods,events", "-A")
        case "list" if place.kind == "images":
            return "podarium images"
        case "list":
            return _list(place, namespace, filter)
        case "image" | "files" | "waste" | "which" | "diff" if place.kind == "images":
            return _image(place)
        case "pod" | "node" | "describe":
            return about("describe", place.kind, [place.key])
        case "container":
            return shlex.join(["podarium", "plan", f"{place.name}/{place.part}"])
        case "yaml":
            return about("get", place.kind, [place.key], "-o", "yaml")
        case "logs":
            return _logs(place)
    return ""


def _list(place: Place, namespace: str, filter: str) -> str:
    resource = registry.find(place.kind)
    rest = [place.kind]
    if resource is None or resource.namespaced:
        rest += ["-n", namespace] if namespace else ["-A"]
    within = place.within
    if within is not None and within.relation == "node":
        rest.append(f"--field-selector=spec.nodeName={within.value}")
    if within is not None and within.relation == "about":
        rest.append(f"--field-selector=involvedObject.uid={within.value}")
    if filter.startswith("-l "):
        rest += ["-l", filter[3:].strip()]
    return words("get", *rest)


def _image(place: Place) -> str:
    verb = {"image": "history", "files": "tree"}.get(place.view, place.view)
    name = place.name.replace("sha256-", "sha256:")
    rest = [place.part] if place.view in ("which", "diff") else []
    if rest and place.part.startswith("pod:"):
        namespace, pod, container = place.part.removeprefix("pod:").split("/")
        rest = [f"pod/{pod}/{container}", "-n", namespace]
    return shlex.join(["podarium", "image", verb, name, *rest])


def _logs(place: Place) -> str:
    rest = ["-c", place.part] if place.part else ["--all-containers", "--prefix"]
    if place.previous:
        rest.append("--previous")
    elif place.range.follow:
        rest.append("-f")
    target = place.name if place.kind == "pods" else f"{singular(place.kind)}/{place.name}"
    return words("logs", target, *rest, namespace=place.namespace)
