"""What a command of `podarium oci` is, and what several of them take."""

from __future__ import annotations

import sys

from engine.runtime.oci.jsontext import compose
from podarium.oci.options import Syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Command:
    """`run` does it and gives the exit status."""

    def __init__(self, help: str, syntax: Syntax, run: Callable[[Any], int]) -> None:
        self.help = help
        self.syntax = syntax
        self.run = run


CONTAINER = Syntax((), ("CONTAINER",))


def write(document: object, indent: str = "") -> None:
    """JSON to whoever asked."""
    sys.stdout.write(compose(document, indent) + "\n")
