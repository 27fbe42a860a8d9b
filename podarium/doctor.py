"""`podarium doctor`: this machine, looked over; told for a person, or as JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import textwrap
from collections import Counter
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

import click

from engine.network.probe import nat_fails
from engine.runtime.checks import ONLY_ROOT, Check, State, want
from engine.runtime.doctor import examine, runs
from engine.runtime.features import probe
from engine.runtime.machine import look
from engine.runtime.rootless.enter import own_namespaces

# Glyph, what stands for it where the terminal has no Unicode, colour.
_SHOWN = {
    State.OK: ("✔", "+", "green"),
    State.DEGRADED: ("▲", "!", "yellow"),
    State.MISSING: ("✘", "x", "red"),
    State.UNKNOWN: ("?", "?", "cyan"),
}
_DISKS = "filesystems"
_WORD, _NAME = 10, 28
_INDENT = " " * 4
_WIDEST = 110


def doctor(home: Path, *, as_json: bool) -> None:
    """Print every check; exit 1 when clusters cannot run."""
    # In namespaces like those of a cluster, an ordinary user can try what root can.
    ordinary = own_namespaces() if os.geteuid() else None
    found = replace(probe(), ordinary=ordinary)
    machine = look(home, root=found.root, nat=nat_fails)
    if ordinary is not None:
        machine = replace(machine, capabilities=0, subordinate=ordinary.ids > 1)
    checks = examine(found, machine)
    last = max(n for n, check in enumerate(checks) if check.group == _DISKS)
    checks.insert(last + 1, _layers(home))
    if as_json:
        click.echo(document(checks))
    else:
        click.echo(report(checks, width=min(_WIDEST, shutil.get_terminal_size().columns)))
    sys.exit(0 if runs(checks) else 1)


def _layers(home: Path) -> Check:
    """How image layers are made ready where the home is, or will be: found by trying."""
    from engine.images.layers.drivers import choose

    there = next(folder for folder in (home, *home.absolute().parents) if folder.is_dir())
    good, why = None, ONLY_ROOT
    if not os.geteuid():
        try:
            with tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as folder:
                choice = choose(Path(folder))
                good, why = choice.name == "erofs", choice.why
        except OSError as error:
            good, why = False, f"nothing can be made in {there}: {error.strerror}"
    return want(
        _DISKS,
        "image layers in place",
        good,
        why,
        "a layer is unpacked, file by file: on a disk that takes many times as long as to keep it",
        "Linux 6.12 with CONFIG_EROFS_FS (6.4 with loop devices), and a home on a disk of its own",
    )


def document(checks: list[Check]) -> str:
    """As JSON: {"runs": bool, "checks": [...]}."""
    return json.dumps({"runs": runs(checks), "checks": [asdict(c) for c in checks]}, indent=2)


def report(checks: list[Check], *, width: int, encoding: str = sys.stdout.encoding) -> str:
    """As lines of at most `width` columns, where the words allow it."""
    lines = []
    for group, members in groupby(checks, key=lambda check: check.group):
        lines.append(click.style(group, bold=True))
        for check in members:
            lines += _lines(check, width, encoding)
        lines.append("")
    return "\n".join([*lines, _verdict(checks)])


def _lines(check: Check, width: int, encoding: str) -> list[str]:
    glyph, plain, colour = _SHOWN[check.state]
    mark = f"{glyph if _can_show(glyph, encoding) else plain} {check.state:{_WORD}}"
    lines = [f"  {click.style(mark, fg=colour)}{check.name:{_NAME}} {check.found}"]
    if check.state is not State.OK:
        lines += _told("costs", check.cost, width) + _told("mend", check.cure, width)
    return lines


def _told(word: str, text: str, width: int) -> list[str]:
    head = f"{_INDENT}{word:{_WORD}}"
    # Commands are to be copied: never cut inside a word.
    lines = textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [click.style(line, dim=True) for line in lines]


def _can_show(glyph: str, encoding: str) -> bool:
    try:
        glyph.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _verdict(checks: list[Check]) -> str:
    counts = Counter(check.state for check in checks)
    told = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    if runs(checks):
        return click.style("Clusters can run here", fg="green", bold=True) + f": {told}."
    return click.style("Clusters cannot run here", fg="red", bold=True) + f": {told}."
