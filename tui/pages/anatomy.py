"""A container taken apart, as the engine reads it: layers, changes, namespaces, cgroup."""

from __future__ import annotations

from typing import Any

from ..render.numbers import plural, size
from ..render.spans import Block, Line, Span, crop, crop_middle, pad, rule, wrapped
from ..render.text import inert
from .layers import colour, slab

CHANGES_SHOWN = 4
_SIGNS = {"added": ("+", "ok"), "changed": ("~", "warn"), "deleted": ("-", "bad")}

Anatomy = dict[str, Any]


def stack_of(anatomy: Anatomy, width: int, *, changes: int = CHANGES_SHOWN) -> Block:
    """The root file system: read-write layer with so many changes, init layer, image layers."""
    layers = anatomy.get("layers") or []
    if not layers:
        return []
    block: Block = [rule(width, (("root file system ", "text bold"), ("top first", "faint")))]
    images = [layer for layer in layers if layer.get("kind") == "image"]
    for layer in layers:
        kind = layer.get("kind")
        right = size(float(layer["size"])) if "size" in layer else ""
        if kind == "rw":
            block += slab(
                "read-write layer", "accent", width, right, _changes(anatomy, width - 4, changes)
            )
        elif kind == "init":
            files: Line = (("/etc/hosts /etc/hostname /etc/resolv.conf", "faint"),)
            block += slab("init layer", "warn", width, right, [files])
        else:
            at = len(images) - 1 - images.index(layer)
            name = inert(str(layer.get("createdBy") or "image layer"))
            block += slab(
                crop(name, width - 12), colour(at, len(images)), width, right, [_image_words(layer)]
            )
    return block


def _image_words(layer: Anatomy) -> Line:
    spans: list[Span] = [("read only", "faint")]
    if "entries" in layer:
        spans.append((f"  {layer['entries']} entries", "dim"))
    shared = layer.get("sharedWith") or []
    if shared:
        spans.append((f"  shared with {inert(', '.join(map(str, shared[:2])))}", "accent"))
    return tuple(spans)


def _changes(anatomy: Anatomy, width: int, most: int) -> list[Line]:
    """What the container has written, changed and deleted: copy-on-write as it happens."""
    changes = anatomy.get("changes") or []
    if not changes:
        return [(("untouched: every file comes from the layers below", "faint"),)]
    rows: list[Line] = []
    # What the engine was seen to find since the last look comes first, and stands out.
    for change in sorted(changes, key=lambda change: not change.get("fresh"))[:most]:
        fresh = bool(change.get("fresh"))
        sign, role = _SIGNS.get(str(change.get("kind")), ("·", "dim"))
        path = crop_middle(inert(str(change.get("path", ""))), width - 12)
        amount = change.get("size") or 0
        rows.append(
            pad(
                (
                    (f"{sign} ", role),
                    (path, "bright bold" if fresh else "dim"),
                    (f"  {size(amount)}" if amount else "", "faint"),
                ),
                width,
            )
        )
    if len(changes) > most:
        rows.append(((f"  and {plural(len(changes) - most, 'change')} more", "faint"),))
    return rows


def inside(anatomy: Anatomy, width: int) -> Block:
    """The process: its pid on this machine, its namespaces, its cgroup, what it may do."""
    if not anatomy.get("pid") and not anatomy.get("cgroup"):
        return []
    block: Block = [rule(width, (("inside", "text bold"),))]
    if anatomy.get("pid"):
        block.append(
            ((" pid        ", "faint"), (f"{anatomy['pid']}", "text"), (" on this machine", "dim"))
        )
    namespaces = anatomy.get("namespaces") or {}
    words = "  ".join(f"{inert(str(name))}:{number}" for name, number in namespaces.items())
    for index, row in enumerate(wrapped(words, width - 12) if words else []):
        block.append(((" namespaces " if index == 0 else " " * 12, "faint"), (row, "dim")))
    cgroup = anatomy.get("cgroup") or {}
    if cgroup.get("path"):
        path = crop_middle(inert(str(cgroup["path"])), width - 13)
        block.append(((" cgroup     ", "faint"), (path, "dim")))
    bounding = (anatomy.get("capabilities") or {}).get("bounding") or []
    if bounding:
        names = " ".join(inert(str(name)).removeprefix("CAP_").lower() for name in bounding)
        for index, row in enumerate(wrapped(names, width - 12)[:3]):
            block.append(((" may        " if index == 0 else " " * 12, "faint"), (row, "dim")))
    return block
