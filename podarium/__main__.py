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


def leads_to_dashboard(words: list[str]) -> bool:
    """True for `podarium`, `podarium demo` and their options, but not for pictures and help."""
    rest = list(words)
    named = False
    while rest:
        word = rest.pop(0)
        if word in _DASHBOARD_OPTIONS_WITH_VALUE and rest:
            rest.pop(0)
        elif word == "demo" and not named:
            named = True
        elif word.split("=")[0] not in _DASHBOARD_OPTIONS_WITH_VALUE:
            return False
    return True


def main() -> None:
    """The console script."""
    if leads_to_dashboard(sys.argv[1:]) and sys.stdout.isatty() and os.geteuid() == 0:
        from tui.prepaint import prepaint

        prepaint(sys.stdout.fileno())
    from podarium.cli import cli

    cli(prog_name="podarium")


if __name__ == "__main__":
    main()
