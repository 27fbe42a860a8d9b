"""Patterns for paths: of .dockerignore and .containerignore, of --exclude, of COPY's sources.

`*` and `?` stay within one name, `**` is any number of names, `[a-z]` a class, `\\` quotes. A
pattern that matches a directory holds for all in it; the last that matches decides, and `!` takes
a match back.

Source: Dockerfile reference, ".dockerignore files"; Go's filepath.Match.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.images.errors import ImageError
from engine.images.tar import Parts

FILES = (".containerignore", ".dockerignore")
SIZE_MAX = 1 << 20


class BadPattern(ImageError):
    """A pattern that means nothing."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One for each name of a path; None stands for `**`."""

    names: tuple[re.Pattern[str] | None, ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Raise BadPattern."""
        parts = [part for part in text.split("/") if part not in ("", ".")]
        return cls(tuple(None if part == "**" else _name(part, text) for part in parts))

    def matches(self, path: Sequence[str]) -> bool:
        """The whole path."""
        states = self._closed({0})
        for name in path:
            following = set()
            for state in states:
                if state == len(self.names):
                    continue
                pattern = self.names[state]
                if pattern is None:
                    following.add(state)
                elif pattern.fullmatch(name):
                    following.add(state + 1)
            states = self._closed(following)
        return len(self.names) in states

    def _closed(self, states: set[int]) -> set[int]:
        for state in list(states):
            while state < len(self.names) and self.names[state] is None:
                state += 1
                states.add(state)
        return states


@dataclass(frozen=True, slots=True)
class Rules:
    """Patterns in order: (pattern, whether it takes a match back)."""

    patterns: tuple[tuple[Pattern, bool], ...] = ()

    @classmethod
    def parse(cls, text: str, file: str) -> "Rules":
        """An ignore file's. Raise BadPattern naming the line."""
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            back = line.startswith("!")
            try:
                pattern = Pattern.parse(line.removeprefix("!").strip())
            except BadPattern as error:
                raise BadPattern(f"{file}:{number}: {error}") from None
            found.append((pattern, back))
        return cls(tuple(found))

    @classmethod
    def of(cls, patterns: Sequence[str]) -> "Rules":
        """--exclude's. Raise BadPattern."""
        return cls(tuple((Pattern.parse(each), False) for each in patterns))

    @property
    def take_back(self) -> bool:
        """Whether something in a directory that is left out may come along all the same."""
        return any(back for _, back in self.patterns)

    def leave_out(self, parts: Parts) -> bool:
        """Whether a path is left out, by itself or by a directory it is in."""
        if not self.patterns:
            return False
        path = [part.decode("utf-8", "surrogateescape") for part in parts]
        out = False
        for pattern, back in self.patterns:
            if back != out:
                continue  # it would change nothing
            if any(pattern.matches(path[:depth]) for depth in range(1, len(path) + 1)):
                out = not back
        return out


def is_pattern(text: str) -> bool:
    """Whether a COPY's source may mean several files."""
    return any(char in text for char in "*?[")


def _name(part: str, whole: str) -> re.Pattern[str]:
    out, at = "", 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            out += "" if out.endswith("[^/]*") else "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "\\" and at < len(part):
            out += re.escape(part[at])
            at += 1
        elif char == "[":
            end = part.find("]", at + 1)
            if end < 0:
                raise BadPattern(f"pattern {whole!r}: this [ has no ]")
            inner = part[at:end]
            negated = inner[0] in "^!"
            body = "".join(c if c == "-" else re.escape(c) for c in inner[negated:])
            out += f"[{'^' if negated else ''}{body}]"
            at = end + 1
        else:
            out += re.escape(char)
    try:
        return re.compile(out, re.DOTALL)
    except re.error as error:
        raise BadPattern(f"pattern {whole!r}: {error}") from None
