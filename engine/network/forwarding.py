"""Whether a link of the host passes on what is not for the host: conf/<link>/forwarding of sysctl.

It is switched for the links concerned, not for the whole machine. The uplink's setting was there
before us. What it was is noted as text in every cluster's nftables table, which lasts exactly as
long as the setting, until the next reboot: the first cluster notes what it found, later ones copy
that, and the last to leave puts it back.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CONF = Path("/proc/sys/net/ipv4/conf")
_NOTE = re.compile(r"(\S+) forwarding was ([01])")


@contextmanager
def alone() -> Iterator[None]:
    """Keep every other cluster of this machine from reading notes and settings meanwhile."""
    # flock(2) works on any file; this one is there for all, and is what it is about.
    with (_CONF / "all/forwarding").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def enable(link: str) -> None:
    """Needs /proc/sys writable."""
    _write(link, "1")


def note(link: str, texts: Iterable[str]) -> str:
    """What a link's setting was before any cluster came: as a text has it, or else as it is now."""
    for text in texts:
        for noted, value in _NOTE.findall(text):
            if noted == link:
                return _line(noted, value)
    return _line(link, (_CONF / link / "forwarding").read_text().strip())


def put_back(text: str, others: Iterable[str]) -> None:
    """Undo enable() for every link noted in `text` and in no other; fine when a link is gone."""
    kept = {link for other in others for link, _ in _NOTE.findall(other)}
    for link, value in _NOTE.findall(text):
        if link not in kept and (_CONF / link).exists():
            _write(link, value)


def add(text: str, line: str) -> str:
    """`text` with one more note."""
    return text if line in text else f"{text}; {line}".removeprefix("; ")


def _line(link: str, value: str) -> str:
    return f"{link} forwarding was {value}"


def _write(link: str, value: str) -> None:
    (_CONF / link / "forwarding").write_text(value)
