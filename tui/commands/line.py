"""The `:` command line: names of views and kinds, with completion."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import registry

from ..model.columns import LISTINGS

QUIT = ("q", "q!", "quit", "exit")
OVERVIEW = ("overview", "home", "pulses", "pu", "all")
HELP = ("help", "h", "?")
FORWARDS = ("forwards", "pf", "portforward")
JOURNAL = ("log", "journal", "commands")


@dataclass(frozen=True)
class Order:
    """What a line asks for."""

    do: str
    """overview, journal, forwards, list, quit, help or nothing."""
    kind: str = ""
    namespace: str | None = None
    filter: str = ""
    problem: str = ""


def parse(text: str) -> Order:
    """Read `pods`, `po kube-system`, `pods /regex`, `ns`, `q`."""
    words = text.strip().split()
    if not words:
        return Order("nothing")
    name, *rest = words
    if name in QUIT:
        return Order("quit")
    if name in OVERVIEW:
        return Order("overview")
    if name in FORWARDS:
        return Order("forwards")
    if name in JOURNAL:
        return Order("journal")
    if name in HELP:
        return Order("help")
    resource = registry.find(name)
    if resource is None:
        return Order("nothing", problem=f"there is no view or kind {name!r}")
    namespace: str | None = None
    wanted = ""
    for word in rest:
        if word.startswith("/"):
            wanted = word[1:]
        elif "=" in word:
            wanted = f"-l {word}"
        elif word in ("all", "*"):
            namespace = ""
        else:
            namespace = word
    return Order("list", resource.plural, namespace, wanted)


def completions() -> list[str]:
    """Every word the line knows, the most useful first."""
    words = ["overview", *LISTINGS, "log", "forwards", "quit", "help"]
    for resource in registry.RESOURCES:
        words += [resource.singular, *resource.short_names]
    return list(dict.fromkeys(words))


def complete(text: str, namespaces: list[str]) -> str | None:
    """The whole line that `text` is the beginning of."""
    head, space, tail = text.partition(" ")
    if not space:
        return next((word for word in completions() if head and word.startswith(head)), None)
    found = next((name for name in sorted(namespaces) if tail and name.startswith(tail)), None)
    return f"{head} {found}" if found else None
