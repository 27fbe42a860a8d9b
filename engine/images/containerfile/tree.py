"""Where COPY and ADD take files from: the build context, or the layers of a stage or an image.

All are seen through a StackView, which never follows a link of theirs out of them: an absolute
link, or one with "..", is resolved as if the tree were all there is.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.images.containerfile.ignore import (
    FILES,
    SIZE_MAX,
    BadPattern,
    Pattern,
    Rules,
    is_pattern,
)
from engine.images.errors import BadImage
from engine.images.layers.view import StackView
from engine.images.tar import Parts


class NotThere(LookupError):
    """What keeps a source from being copied."""


@dataclass(frozen=True, slots=True)
class Source:
    """`named` is how the source was written, links and all; `real` is where its file is."""

    named: Parts
    real: Parts


@dataclass(frozen=True, slots=True)
class Tree:
    """`owners`: whether files keep their owner and attributes; else they are root's."""

    view: StackView
    title: str
    rules: Rules = field(default_factory=Rules)
    owners: bool = False

    def select(self, text: str) -> list[Source]:
        """What a source means: one path, or all that a pattern matches, in order.

        What stands before "/./" is no part of its name. Raise NotThere, BadPattern.
        """
        before, pivot, _ = text.partition("/./")
        cut = len(_names(before, text, self.title)) if pivot else 0
        names = _names(text, text, self.title)
        if not is_pattern(text):
            return [self._found(tuple(map(os.fsencode, names)), text, cut)]
        sources = [self._found(parts, text, cut) for parts in self._matches((), names)]
        if not sources:
            raise NotThere(f"nothing in {self.title} matches {text!r}")
        return sources

    def find(self, text: str) -> Source:
        """One path, whatever characters are in it. Raise NotThere."""
        names = _names(text, text, self.title)
        return self._found(tuple(map(os.fsencode, names)), text, 0)

    def below(self, source: Source, excluded: Rules) -> Iterator[tuple[Parts, Parts]]:
        """What is in a directory: (its name from there, its name in the tree), parents first."""
        pending: list[Parts] = [(name,) for name in reversed(self.view.names(source.real))]
        while pending:
            inner = pending.pop()
            real = (*source.real, *inner)
            found = self.view.lookup(real)
            if found is None:
                continue
            folder = stat.S_ISDIR(found.status.st_mode)
            out = self.rules.leave_out(real) or excluded.leave_out(inner)
            if not out:
                yield inner, real
            if folder and (not out or self.rules.take_back):
                names = reversed(self.view.names(real))
                pending += [(*inner, name) for name in names]

    def _found(self, named: Parts, text: str, cut: int) -> Source:
        try:
            real = self.view.resolve(named)
        except BadImage as error:
            raise NotThere(f"{text!r} in {self.title}: {error}") from None
        found = self.view.lookup(real)
        if found is None:
            raise NotThere(f"{text!r} is not in {self.title}")
        out = real and self.rules.leave_out(real)
        if out and not (self.rules.take_back and stat.S_ISDIR(found.status.st_mode)):
            raise NotThere(f"{text!r} is left out of {self.title} by its ignore file")
        return Source(named[cut:] or named[-1:], real)

    def _matches(self, parent: Parts, names: Sequence[str]) -> Iterator[Parts]:
        if not names:
            yield parent
            return
        name, rest = names[0], names[1:]
        if not is_pattern(name):
            candidates = [os.fsencode(name)]
        else:
            pattern = Pattern.parse("*" if name == "**" else name)
            inside = self.view.names(self.view.resolve(parent))
            candidates = [n for n in inside if pattern.matches([os.fsdecode(n)])]
        for candidate in candidates:
            parts = (*parent, candidate)
            found = self.view.lookup(self.view.resolve(parts))
            if found is None or (rest and not stat.S_ISDIR(found.status.st_mode)):
                continue
            if not self.rules.leave_out(parts) or (rest and self.rules.take_back):
                yield from self._matches(parts, rest)


def _names(path: str, text: str, title: str) -> list[str]:
    """A path's parts, its ".." taken by text; raise NotThere where they lead out."""
    out: list[str] = []
    for name in path.split("/"):
        if name == "..":
            if not out:
                raise NotThere(f"{text!r} leads out of {title}")
            out.pop()
        elif name not in ("", "."):
            out.append(name)
    return out


@contextmanager
def context_tree(folder: Path, rules: Rules) -> Iterator[Tree]:
    """The build context, as the user's ignore file shows it."""
    with StackView([folder]) as view:
        yield Tree(view, "the build context", rules)


@contextmanager
def layers_tree(lowerdirs: Sequence[Path], title: str) -> Iterator[Tree]:
    """The root filesystem of a stage or an image."""
    with StackView(lowerdirs) as view:
        yield Tree(view, title, owners=True)


def rules_of(context: Path, containerfile: Path | None) -> Rules:
    """The ignore file of a Containerfile, else of the context. Raise BadPattern."""
    own = [Path(f"{containerfile}{name}") for name in FILES] if containerfile else []
    for path in (*own, *(context / name for name in FILES)):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if len(data) > SIZE_MAX:
            raise BadPattern(f"{path}: {len(data)} bytes, the limit is {SIZE_MAX}")
        return Rules.parse(data.decode(errors="surrogateescape"), path.name)
    return Rules()
