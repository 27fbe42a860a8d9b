"""Commands that only tell."""

from __future__ import annotations

import argparse
import os
import sys
import time

from podarium.oci.command import Command, container, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _state(options: Any) -> int:
    from engine.runtime.oci import state

    found = state.load(options.root, options.id)
    status = found.status(found.hierarchy())
    write(found.document(status), indent=2)
    return 0


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", "-f", choices=("table", "json"), default="table")
    parser.add_argument("--quiet", "-q", action="store_true", help="names alone")


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


def _ps_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", "-f", choices=("table", "json"), default="table")
    container(parser)
    parser.add_argument("ps", nargs=argparse.REMAINDER, metavar="OPTIONS", help="of ps(1)")


def _ps(options: Any) -> int:
    from engine.runtime.oci import state, telling

    found = state.load(options.root, options.id)
    if options.format == "json":
        write(telling.pids(found))
    else:
        sys.stdout.write(telling.processes(found, options.ps) + "\n")
    return 0


def _events_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stats", action="store_true", help="once, and no more")
    parser.add_argument("--interval", default="5s", help="between two, as 5s")
    container(parser)


def _events(options: Any) -> int:
    from engine.runtime.oci import state, telling

    found = state.load(options.root, options.id)
    write(telling.event(found))
    while not options.stats and found.alive():
        sys.stdout.flush()
        time.sleep(float(options.interval.removesuffix("s")))
        if found.alive():
            write(telling.event(found))
    return 0


def _spec_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", "-b", default=".", metavar="DIRECTORY")


def _spec(options: Any) -> int:
    from engine.runtime.oci.example import config

    with open(os.path.join(options.bundle, "config.json"), "x") as file:
        file.write(config())
    return 0


def _features(options: Any) -> int:
    from engine.runtime.oci.features import features

    write(features(), indent=2)
    return 0


def _nothing(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


COMMANDS = {
    "state": Command("what is known of a container, as JSON", container, _state),
    "list": Command("every container", _list_arguments, _list),
    "ps": Command("the processes of a container", _ps_arguments, _ps),
    "events": Command("the counters of a container, as JSON", _events_arguments, _events),
    "spec": Command("write an example of a config.json", _spec_arguments, _spec),
    "features": Command("what this runtime can do, as JSON", _nothing, _features),
}
