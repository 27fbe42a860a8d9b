"""A Containerfile's text, cut into instructions that know where each of their characters was.

Continued lines are joined, comments dropped, here-documents taken whole. Nothing is expanded and no
instruction understood here: that is for who reads the words (see instructions.py, words.py).

Source: Dockerfile reference, "Format", "Parser directives", "Here-Documents".
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from engine.images.containerfile.problem import ContainerfileError, Place

SIZE_MAX = 1 << 20
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.*?)\s*")
_DIRECTIVES = ("escape", "syntax", "check")
_NAME = re.compile(r"[ \t]*([A-Za-z]+)(?=[ \t]|$)[ \t]*")
_HEREDOC = re.compile(r"(?<!\S)\d*<<(-?)(['\"]?)([A-Za-z_][A-Za-z0-9_.-]*)\2(?=\s|$)")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: its name, its body, and whether variables in it are to be expanded."""

    name: str
    body: str
    expands: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The file, as lines without their ends."""

    file: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One instruction: its name in capitals and its arguments, joined to one text.

    `marks` say where pieces of the text come from: (offset in the text, line, column). `head` is
    where the name stands.
    """

    source: Source
    name: str
    text: str
    head: Place
    marks: tuple[tuple[int, int, int], ...]
    escape: str
    heredocs: tuple[Heredoc, ...] = ()

    def place(self, offset: int) -> Place:
        """Where a character of the text is in the file."""
        index = max(0, bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1)
        begin, line, column = self.marks[index]
        text = self.source.lines[line - 1]
        at = min(column + max(0, offset - begin), len(text) + 1)
        return Place(self.source.file, line, at, text)

    def error(self, reason: str, offset: int = 0) -> ContainerfileError:
        """What is wrong there."""
        return ContainerfileError(self.place(offset), reason)

    def fail(self, reason: str, offset: int = 0) -> NoReturn:
        """Raise ContainerfileError there."""
        raise self.error(reason, offset)

    def nested(self) -> "Statement":
        """The instruction that is this one's argument (ONBUILD's). Raise ContainerfileError."""
        match = _NAME.match(self.text)
        if match is None:
            self.fail(f"{self.name}: an instruction must follow")
        begin = match.end()
        return replace(
            self,
            name=match[1].upper(),
            text=self.text[begin:],
            head=self.place(match.start(1)),
            marks=self._from(begin),
        )

    def _from(self, begin: int) -> tuple[tuple[int, int, int], ...]:
        at = self.place(begin)
        rest = ((offset - begin, line, col) for offset, line, col in self.marks if offset > begin)
        return ((0, at.line, at.column), *rest)


def scan(data: bytes, file: str) -> list[Statement]:
    """Every instruction of a Containerfile. Raise ContainerfileError."""
    return list(_Scanner(_decoded(data, file), file).run())


def _decoded(data: bytes, file: str) -> str:
    start = Place(file, 1, 1, "")
    if len(data) > SIZE_MAX:
        raise ContainerfileError(start, f"{len(data)} bytes, the limit is {SIZE_MAX}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ContainerfileError(Place(file, line, 1, ""), "this line is not UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ContainerfileError(Place(file, line, 1, ""), "this line has a NUL character")
    return text


class _Scanner:
    def __init__(self, text: str, file: str) -> None:
        lines = tuple(line.removesuffix("\r") for line in text.split("\n"))
        self._source = Source(file, lines)
        self._at = 0
        self._escape = "\\"

    def run(self) -> Iterator[Statement]:
        self._directives()
        lines = self._source.lines
        while self._at < len(lines):
            text = lines[self._at].lstrip(" \t")
            if not text or text.startswith("#"):
                self._at += 1
            else:
                yield self._statement()

    def _directives(self) -> None:
        """`# escape=` and its like count only before anything else, and each once."""
        seen: set[str] = set()
        for line in self._source.lines:
            match = _DIRECTIVE.fullmatch(line.strip())
            if match is None or match[1].lower() not in _DIRECTIVES:
                return
            self._at += 1
            name, value = match[1].lower(), match[2]
            place = Place(self._source.file, self._at, 1, line)
            if name in seen:
                raise ContainerfileError(place, f"directive {name}: given twice")
            seen.add(name)
            if name == "escape":
                if value not in ("\\", "`"):
                    raise ContainerfileError(
                        place, f"directive escape: {value!r} is neither \\ nor `"
                    )
                self._escape = value

    def _statement(self) -> Statement:
        number = self._at + 1
        text, marks = self._joined()
        source, lines = self._source, self._source.lines
        match = _NAME.match(text)
        if match is None:
            column = len(text) - len(text.lstrip()) + 1
            place = Place(source.file, number, column, lines[number - 1])
            raise ContainerfileError(place, "an instruction's name is expected here")
        head = Place(source.file, number, 1, lines[number - 1])
        whole = Statement(source, "", text, head, marks, self._escape)
        statement = whole.nested()
        statement = replace(statement, text=statement.text.rstrip(" \t"))
        inner = statement
        while inner.name == "ONBUILD" and _NAME.match(inner.text):
            inner = inner.nested()
        if inner.name in _WITH_HEREDOCS:
            heredocs = tuple(self._heredoc(inner, found) for found in _unquoted(inner.text))
            statement = replace(statement, heredocs=heredocs)
        return statement

    def _joined(self) -> tuple[str, tuple[tuple[int, int, int], ...]]:
        """A line with those that continue it; comments and empty lines between them are dropped."""
        pieces: list[str] = []
        marks: list[tuple[int, int, int]] = []
        length = 0
        continued = True
        while continued and self._at < len(self._source.lines):
            line = self._source.lines[self._at]
            self._at += 1
            inner = line.lstrip(" \t")
            if pieces and (not inner or inner.startswith("#")):
                continue
            stripped = line.rstrip(" \t")
            continued = stripped.endswith(self._escape)
            piece = stripped[:-1] if continued else line
            marks.append((length, self._at, 1))
            pieces.append(piece)
            length += len(piece)
        return "".join(pieces), tuple(marks)

    def _heredoc(self, statement: Statement, found: re.Match[str]) -> Heredoc:
        chomp, quote, name = found[1], found[2], found[3]
        lines = self._source.lines
        body: list[str] = []
        for index in range(self._at, len(lines)):
            line = lines[index].lstrip("\t") if chomp else lines[index]
            if line == name:
                self._at = index + 1
                return Heredoc(name, "".join(f"{each}\n" for each in body), not quote)
            body.append(line)
        raise statement.error(f"here-document {name!r}: no line {name!r} ends it", found.start())


def _unquoted(text: str) -> Iterator[re.Match[str]]:
    """The here-documents' names: words of their own, outside quotes."""
    quote, at = "", 0
    for found in _HEREDOC.finditer(text):
        for char in text[at : found.start()]:
            if char == quote:
                quote = ""
            elif not quote and char in "'\"":
                quote = char
        if not quote:
            at = found.end()
            yield found
        else:
            at = found.start()
