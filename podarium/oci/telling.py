"""Commands that only tell."""

from __future__ import annotations

import os
import sys
import time

from podarium.oci.command import CONTAINER, Command, write
from podarium.oci.options import Option, Syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _state(options: Any) -> int:
    from engine.runtime.oci import state

    found = state.load(options.root, options.container)
    status = found.status(found.hierarchy())
    write(found.document(status), "  ")
    return 0


def _list(options: Any) -> int:
    from engine.runtime.oci import telling

    rows = telling.rows(options.root)
    if options.quiet:
        sys.stdout.writelines(row["id"] + "\n" for row in rows)
    elif options.format == "json":
        write(rows)
    else:
        sys.stdout.write(telling.table(rows) + "\n")
    return 0


def _ps(options: Any) -> int:
    from engine.runtime.oci import state, telling

    found = state.load(options.root, options.container)
    if options.format == "json":
        write(telling.pids(found))
    else:
        sys.stdout.write(telling.processes(found, options.args) + "\n")
    return 0


def _events(options: Any) -> int:
    from engine.runtime.oci import state, telling

    found = state.load(options.root, options.container)
    write(telling.event(found))
    while not options.stats and found.alive():
        sys.stdout.flush()
        time.sleep(float(options.interval.removesuffix("s")))
        if found.alive():
            write(telling.event(found))
    return 0


def _spec(options: Any) -> int:
    import site

    # Where the library of records is, that the engine's own specs are made of.
    site.main()
    from engine.runtime.oci.example import config

    with open(os.path.join(options.bundle, "config.json"), "x") as file:
        file.write(config())
    return 0


def _features(options: Any) -> int:
    from engine.runtime.oci.features import features

    write(features(), "  ")
    return 0


_FORMAT = Option("--format", "-f", value="FORMAT", default="table", choices=("table", "json"))

COMMANDS = {
    "state": Command("what is known of a container, as JSON", CONTAINER, _state),
    "list": Command(
        "every container", Syntax((_FORMAT, Option("--quiet", "-q", help="names alone"))), _list
    ),
    "ps": Command(
        "the processes of a container", Syntax((_FORMAT,), ("CONTAINER",), "OPTIONS of ps(1)"), _ps
    ),
    "events": Command(
        "the counters of a container, as JSON",
        Syntax(
            (
                Option("--stats", help="once, and no more"),
                Option("--interval", value="TIME", default="5s", help="between two, as 5s"),
            ),
            ("CONTAINER",),
        ),
        _events,
    ),
    "spec": Command(
        "write an example of a config.json",
        Syntax((Option("--bundle", "-b", value="DIRECTORY", default="."),)),
        _spec,
    ),
    "features": Command("what this runtime can do, as JSON", Syntax(()), _features),
}
