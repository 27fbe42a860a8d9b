"""What a command of `podarium oci` is, and what several of them take."""

from __future__ import annotations

import argparse
import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Command:
    """`add` declares its arguments, `run` does it and gives the exit status."""

    def __init__(
        self,
        help: str,
        add: Callable[[argparse.ArgumentParser], None],
        run: Callable[[Any], int],
    ) -> None:
        self.help = help
        self.add = add
        self.run = run


def container(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="CONTAINER")


def write(document: object, indent: int | None = None) -> None:
    """JSON to whoever asked."""
    json.dump(document, sys.stdout, indent=indent)
    sys.stdout.write("\n")
