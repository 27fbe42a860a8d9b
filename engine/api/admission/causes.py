"""What is wrong with an object: every fault, each with its field's path.

A check never raises; it notes what it found and goes on, so that a user sees all faults at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.types import status
from engine.types.status import Cause


class Path:
    """The place of a field: Path("spec") / "containers" @ 0 / "image"."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def __truediv__(self, name: str) -> Path:
        return Path(f"{self._text}.{name}" if self._text else name)

    def at(self, index: int | str) -> Path:
        return Path(f"{self._text}[{index}]")

    def __str__(self) -> str:
        return self._text


class Causes:
    """The faults found so far, in the order of the checks."""

    def __init__(self) -> None:
        self.found: list[Cause] = []

    def required(self, path: Path, detail: str = "") -> None:
        self.found.append(status.required(str(path), detail))

    def invalid(self, path: Path, value: Any, detail: str) -> None:
        self.found.append(status.invalid(str(path), value, detail))

    def unsupported(self, path: Path, value: Any, supported: Iterable[str]) -> None:
        self.found.append(status.not_supported(str(path), value, supported))

    def forbidden(self, path: Path, detail: str) -> None:
        self.found.append(status.forbidden(str(path), detail))

    def duplicate(self, path: Path, value: Any) -> None:
        self.found.append(status.duplicate(str(path), value))

    def not_found(self, path: Path, value: Any) -> None:
        self.found.append(status.not_found(str(path), value))

    def too_long(self, path: Path, limit: int) -> None:
        self.found.append(status.too_long(str(path), limit))
