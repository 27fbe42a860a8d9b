"""Instructions understood: which there are, their flags, and the shape of their arguments.

Whatever is wrong with an instruction's form is found here, before anything is built; variables are
put in later, when their values are known.

Source: Dockerfile reference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from engine.images.containerfile.problem import ContainerfileError, nearest
from engine.images.containerfile.scanner import Heredoc, Statement, scan
from engine.images.containerfile.words import LENGTH_MAX, Lookup, Word, WordError, expand, split

Form = Literal["words", "json", "command", "pairs", "names", "text", "statement"]


class _Shape(NamedTuple):
    """`least` and `most`: how many arguments; `flags`: those that are understood."""

    form: Form
    least: int = 1
    most: int = LENGTH_MAX
    flags: tuple[str, ...] = ()


_COPY = ("from", "chown", "chmod", "link", "exclude", "parents")
_SHAPES = {
    "ADD": _Shape("json", 2, flags=("chown", "chmod", "link", "exclude", "checksum")),
    "ARG": _Shape("names"),
    "CMD": _Shape("command", 0),
    "COPY": _Shape("json", 2, flags=_COPY),
    "ENTRYPOINT": _Shape("command", 0),
    "ENV": _Shape("pairs"),
    "EXPOSE": _Shape("words"),
    "FROM": _Shape("words", 1, 3, flags=("platform",)),
    "HEALTHCHECK": _Shape(
        "text", flags=("interval", "timeout", "start-period", "start-interval", "retries")
    ),
    "LABEL": _Shape("pairs"),
    "MAINTAINER": _Shape("text"),
    "ONBUILD": _Shape("statement"),
    "RUN": _Shape("command", flags=("mount", "network", "security")),
    "SHELL": _Shape("json"),
    "STOPSIGNAL": _Shape("text"),
    "USER": _Shape("text"),
    "VOLUME": _Shape("json"),
    "WORKDIR": _Shape("text"),
}
_BARE = ("link", "parents")  # flags that need no value
_REPEATED = ("mount", "exclude")
_NOT_ON_BUILD = ("ONBUILD", "FROM", "MAINTAINER")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    words   its arguments; an exec form's, or one with the whole text of a shell form's
    exec    whether they were given as a JSON list
    pairs   ENV's, LABEL's and ARG's (name, value); an ARG without a value has None
    inner   ONBUILD's and HEALTHCHECK's
    """

    statement: Statement
    flags: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)
    words: tuple[Word, ...] = ()
    exec: bool = False
    pairs: tuple[tuple[Word, Word | None], ...] = ()
    inner: "Instruction | None" = None

    @property
    def name(self) -> str:
        return self.statement.name

    @property
    def heredocs(self) -> tuple[Heredoc, ...]:
        return self.statement.heredocs

    @property
    def text(self) -> str:
        """As it stands in the file, joined to one line; here-documents are not part of it."""
        return f"{self.name} {self.statement.text}".strip()

    def flag(self, name: str) -> Word | None:
        values = self.flags.get(name)
        return values[0] if values else None

    def expand(self, word: Word, lookup: Lookup) -> str:
        """A word's value; raise ContainerfileError where it is wrong."""
        try:
            return expand(word, lookup, self.statement.escape)
        except WordError as error:
            self.statement.fail(str(error), error.offset)


def parse(data: bytes, file: str) -> list[Instruction]:
    """A Containerfile's instructions. Raise ContainerfileError at the first that is wrong."""
    return [understand(statement) for statement in scan(data, file)]


def understand(statement: Statement) -> Instruction:
    """One statement. Raise ContainerfileError."""
    shape = _SHAPES.get(statement.name)
    if shape is None:
        hint = nearest(statement.name, list(_SHAPES))
        raise ContainerfileError(statement.head, f"unknown instruction {statement.name}{hint}")
    try:
        flags, begin = _flags(statement, shape)
        return _shaped(statement, shape, flags, begin)
    except WordError as error:
        statement.fail(str(error), error.offset)


def _shaped(
    statement: Statement, shape: _Shape, flags: dict[str, tuple[Word, ...]], begin: int
) -> Instruction:
    text = statement.text[begin:]
    if shape.form == "statement":
        inner = statement.nested()
        if inner.name in _NOT_ON_BUILD:
            statement.fail(f"ONBUILD {inner.name} is not allowed")
        return Instruction(statement, inner=understand(inner))
    if shape.form in ("pairs", "names"):
        pairs = tuple(_pairs(statement, begin, named=shape.form == "names"))
        return Instruction(statement, pairs=pairs)
    if statement.name == "HEALTHCHECK":
        return _healthcheck(statement, flags, begin)
    listed = _listed(text, begin) if shape.form in ("json", "command") else None
    if listed is not None:
        words, exec = listed, True
    elif shape.form in ("text", "command"):
        words, exec = ((Word(text, begin),) if text.strip() else ()), False
    else:
        words, exec = tuple(split(text, statement.escape, begin)), False
    least = shape.least - bool(statement.heredocs and shape.form == "json")
    if statement.name == "SHELL" and not exec:
        statement.fail('SHELL: a JSON list is expected, as ["/bin/sh", "-c"]')
    if not least <= len(words) <= shape.most:
        few = len(words) < least
        many = "at least" if few else "at most"
        count = least if few else shape.most
        statement.fail(
            f"{statement.name}: {many} {count} arguments are expected", len(statement.text)
        )
    if statement.name == "FROM" and not (
        len(words) == 1 or (len(words) == 3 and words[1].text.upper() == "AS")
    ):
        statement.fail("FROM: after the image only `AS name` is expected", words[1].offset)
    return Instruction(statement, flags, words, exec)


def _flags(statement: Statement, shape: _Shape) -> tuple[dict[str, tuple[Word, ...]], int]:
    """The leading --flags, and where what follows them begins."""
    found: dict[str, tuple[Word, ...]] = {}
    text, begin = statement.text, 0
    if not shape.flags:
        return found, 0
    for word in split(text, statement.escape) if text.startswith("--") else ():
        if not word.text.startswith("--"):
            break
        name, equals, value = word.text[2:].partition("=")
        begin = word.offset + len(word.text)
        if not name:
            break
        if name not in shape.flags:
            hint = nearest(name, shape.flags)
            statement.fail(f"{statement.name}: unknown flag --{name}{hint}", word.offset)
        if not equals and name not in _BARE:
            statement.fail(f"{statement.name}: --{name} needs a value: --{name}=…", word.offset)
        if name in found and name not in _REPEATED:
            statement.fail(f"{statement.name}: --{name} is given twice", word.offset)
        value = value if equals else "true"
        at = word.offset + len(word.text) - len(value) if equals else word.offset
        found[name] = (*found.get(name, ()), Word(value, at))
    rest = text[begin:]
    return found, begin + len(rest) - len(rest.lstrip(" \t"))


def _listed(text: str, begin: int) -> tuple[Word, ...] | None:
    """An exec form's words, None for what is no JSON list of texts: then it is a shell's."""
    if not text.startswith("["):
        return None
    try:
        values = msgspec.json.decode(text, type=list[str])
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
    return tuple(Word(value, begin) for value in values)


def _pairs(statement: Statement, begin: int, *, named: bool) -> Iterator[tuple[Word, Word | None]]:
    words = split(statement.text[begin:], statement.escape, begin)
    if not words:
        statement.fail(f"{statement.name}: at least one NAME=VALUE is expected")
    if not named and "=" not in words[0].text:
        # The old form, with one name and all the rest its value.
        name = words[0]
        at = name.offset + len(name.text)
        value = statement.text[at:]
        if not value.strip():
            statement.fail(f"{statement.name} {name.text}: needs a value", at)
        yield name, Word(value.strip(" \t"), at + len(value) - len(value.lstrip(" \t")))
        return
    for word in words:
        key, equals, value = word.text.partition("=")
        if not key or not (equals or named):
            statement.fail(f"{statement.name}: {word.text!r} is not NAME=VALUE", word.offset)
        name = Word(key, word.offset)
        yield name, Word(value, word.offset + len(key) + 1) if equals else None


def _healthcheck(
    statement: Statement, flags: dict[str, tuple[Word, ...]], begin: int
) -> Instruction:
    text = statement.text[begin:]
    kind, _, rest = text.partition(" ")
    if kind.upper() == "NONE" and not rest.strip() and not flags:
        return Instruction(statement)
    if kind.upper() != "CMD" or not rest.strip():
        statement.fail("HEALTHCHECK: NONE, or CMD and a command are expected", begin)
    at = begin + len(kind) + 1
    command = rest.lstrip(" \t")
    at += len(rest) - len(command)
    listed = _listed(command, at)
    words = listed if listed is not None else (Word(command, at),)
    return Instruction(statement, flags, words, listed is not None)
