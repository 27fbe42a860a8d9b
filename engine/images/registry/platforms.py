"""Which of an index's images is for a machine: os, architecture and variant (image-index.md)."""

import re
from collections.abc import Iterator

from engine.images.archive import host_platform
from engine.images.errors import BadImage, BadReference
from engine.images.types import Descriptor, Platform

_WORD = re.compile(r"[a-z0-9_.-]+")
_VERSION = re.compile(r"v(\d{1,3})")
# A missing variant is the usual one.
_USUAL = {"amd64": "v1", "arm": "v7", "arm64": "v8"}


def parse(text: str) -> Platform:
    """os/architecture[/variant], or an architecture alone. Raise BadReference."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts.insert(0, "linux")
    if len(parts) > 3 or not all(map(_WORD.fullmatch, parts)):
        raise BadReference(f"platform {text!r}: must be OS/ARCHITECTURE[/VARIANT]: linux/arm64/v8")
    return Platform(os=parts[0], architecture=parts[1], variant="".join(parts[2:]))


def shown(platform: Platform | None) -> str:
    if platform is None or not platform.os:
        return "an unnamed platform"
    parts = (platform.os, platform.architecture, platform.variant)
    return "/".join(part for part in parts if part)


def fits(there: Platform, wanted: Platform) -> bool:
    """Whether an image for `there` runs on `wanted`."""
    return _rank(there, wanted) is not None


def choose(entries: list[Descriptor], wanted: Platform | None, what: str) -> Descriptor:
    """The best entry for a platform, this machine's by default; the first of equals.

    Raise BadImage saying what there is.
    """
    platform = wanted or host_platform()
    best: tuple[int, Descriptor] | None = None
    for entry in entries:
        # One that names no platform may be for any; what names a fitting one is better.
        rank = 100 if entry.platform is None else _rank(entry.platform, platform)
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, entry)
    if best is None:
        there = ", ".join(dict.fromkeys(_names(entries))) or "nothing"
        raise BadImage(f"{what}: no image for {shown(platform)}, only for {there}")
    return best[1]


def _names(entries: list[Descriptor]) -> Iterator[str]:
    for entry in entries:
        if entry.platform is None or entry.platform.os != "unknown":  # BuildKit's attestations
            yield shown(entry.platform)


def _rank(there: Platform, wanted: Platform) -> int | None:
    """0 is the very one; larger is less; None does not run."""
    if (there.os, there.architecture) != (wanted.os, wanted.architecture):
        return None
    usual = _USUAL.get(there.architecture, "")
    has, wants = there.variant or usual, wanted.variant or usual
    if has == wants:
        return 0
    # A machine runs what was made for an older one of its kind.
    versions = [_VERSION.fullmatch(variant) for variant in (has, wants)]
    if versions[0] is None or versions[1] is None:
        return None
    newer = int(versions[1][1]) - int(versions[0][1])
    return newer if newer > 0 else None
