"""`podarium`: paint something at once, then see what was asked.

The first paint must not wait for an import (a terminal toolkit takes 0.2 s): the skeleton is
written before anything else is loaded, when the words typed lead to the dashboard.
"""

from __future__ import annotations

import os
import sys
import time

STARTED = time.monotonic()

_DASHBOARD_OPTIONS_WITH_VALUE = {"--cluster", "--nodes", "--node-cpu", "--node-memory"}


def dashboard_of(words: list[str]) -> str | None:
    """The cluster whose dashboard `podarium` or `podarium demo` with their options opens; None when
    the words ask for anything else: another command, a picture, help."""
    rest = list(words)
    cluster, named = "default", False
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if word in _DASHBOARD_OPTIONS_WITH_VALUE and (equals or rest):
            value = value if equals else rest.pop(0)
            cluster = value if word == "--cluster" else cluster
        elif word == "demo" and not named:
            named = True
        else:
            return None
    return cluster


def main() -> None:
    """The console script."""
    if sys.argv[1:2] == ["oci"]:
        from podarium.oci import main as oci

        oci.main(sys.argv[2:])
    # A shell that completes a line (podarium/completion.py) gives no words, and wants no picture.
    completing = "_PODARIUM_COMPLETE" in os.environ
    cluster = None if completing else dashboard_of(sys.argv[1:])
    if cluster is not None:
        from tui.prepaint import prepaint

        prepaint(cluster)
    from podarium.cli import cli
    from podarium.failure import Failure

    try:
        cli(prog_name="podarium")
    except Failure as failure:
        print(f"podarium: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    except PermissionError as error:
        name = error.filename or "this"
        print(f"podarium: {name} belongs to root: run it with sudo -E", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
