"""Words of a Containerfile: cut apart, quotes removed, variables put in.

    $x ${x} ${x:-else} ${x-else} ${x:+then} ${x+then} ${x:?why} ${x?why}
    ${x#prefix} ${x##prefix} ${x%suffix} ${x%%suffix} ${x/find/put} ${x//find/put}

In single quotes nothing is special, in double quotes variables are and the escape character is
before `"`, `$` and itself. A variable can hold others' values many times over: what comes out is
limited to what the kernel would hand to a program as one string (MAX_ARG_STRLEN).

Source: Dockerfile reference, "Environment replacement"; POSIX.1-2017 2.6.2.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

LENGTH_MAX = 128 << 10
_DEPTH = 32
_PATTERN_MAX = 4096
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")

Lookup = Callable[[str], str | None]
"""The value of a variable; None when it is not set."""


class WordError(ValueError):
    """What is wrong with a word, and at which of its characters."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of an instruction's text as it stands there, quotes and all."""

    text: str
    offset: int


def split(text: str, escape: str, offset: int = 0) -> list[Word]:
    """The words of a text; blanks in quotes, or escaped, do not part them. Raise WordError."""
    words: list[Word] = []
    at, begin, quote = 0, -1, ""
    while at < len(text):
        char = text[at]
        if not quote and char in " \t":
            if begin >= 0:
                words.append(Word(text[begin:at], offset + begin))
            begin = -1
        else:
            begin = at if begin < 0 else begin
            if char == escape and quote != "'":
                at += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote, opened = char, at
        at += 1
    if quote:
        raise WordError(f"this {quote} has no partner", offset + opened)
    if begin >= 0:
        words.append(Word(text[begin:], offset + begin))
    return words


def expand(word: Word, lookup: Lookup, escape: str) -> str:
    """The word's value: quotes removed, variables put in. Raise WordError."""
    reader = _Reader(word, lookup, escape)
    return reader.until("")


def expand_document(text: str, lookup: Lookup, escape: str) -> str:
    """A here-document's: variables put in; quotes are only text. Raise WordError."""
    return _Reader(Word(text, 0), lookup, escape, quotes=False).until("")


class _Reader:
    """Reads a word once, from left to right."""

    def __init__(self, word: Word, lookup: Lookup, escape: str, *, quotes: bool = True) -> None:
        self._text = word.text
        self._offset = word.offset
        self._lookup = lookup
        self._escape = escape
        self._quotes = quotes
        self._at = 0
        self._depth = 0

    def until(self, end: str) -> str:
        """The value up to one of the characters of `end`, which stays; or to the text's end."""
        out: list[str] = []
        length = 0
        while self._at < len(self._text) and self._text[self._at] not in (end or "\0"):
            piece = self._piece()
            length += len(piece)
            if length > LENGTH_MAX:
                raise self._error(f"expands to more than {LENGTH_MAX} characters", 0)
            out.append(piece)
        return "".join(out)

    def _piece(self) -> str:
        char = self._text[self._at]
        if char == "$":
            return self._variable()
        if self._quotes and char == "'":
            return self._single()
        if self._quotes and char == '"':
            return self._double()
        self._at += 1
        if char != self._escape or self._at == len(self._text):
            return char
        return self._escaped("" if self._quotes else f"$`{self._escape}")

    def _escaped(self, special: str) -> str:
        """What the escape character before this one means; with `special` only before those."""
        char = self._text[self._at]
        if special and char not in special:
            return self._escape
        self._at += 1
        return char

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise self._error("this ' has no partner", self._at)
        value = self._text[self._at + 1 : end]
        self._at = end + 1
        return value

    def _double(self) -> str:
        begin = self._at
        self._at += 1
        out: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return "".join(out)
            if char == "$":
                out.append(self._variable())
                continue
            self._at += 1
            if char == self._escape and self._at < len(self._text):
                char = self._escaped(f'"${self._escape}')
            out.append(char)
        raise self._error('this " has no partner', begin)

    def _variable(self) -> str:
        begin = self._at
        self._at += 1
        if self._text[self._at : self._at + 1] == "{":
            self._at += 1
            return self._braced(begin)
        match = _NAME.match(self._text, self._at)
        if match is None:
            return "$"
        self._at = match.end()
        return self._lookup(match[0]) or ""

    def _braced(self, begin: int) -> str:
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._error("a variable's name is expected here", self._at)
        self._at = match.end()
        self._depth += 1
        if self._depth > _DEPTH:
            raise self._error(f"more than {_DEPTH} variables within each other", begin)
        value = self._modified(match[0], self._lookup(match[0]), begin)
        self._depth -= 1
        if self._text[self._at : self._at + 1] != "}":
            raise self._error("this ${ has no }", begin)
        self._at += 1
        return value

    def _modified(self, name: str, value: str | None, begin: int) -> str:
        char = self._text[self._at : self._at + 1]
        if char in ("", "}"):
            return value or ""
        colon = char == ":"
        if colon:
            self._at += 1
            char = self._text[self._at : self._at + 1]
        if char and char in "-+?":
            self._at += 1
            word = self.until("}")
            there = bool(value) if colon else value is not None
            if char == "?" and not there:
                raise self._error(f"{name}: {word or 'not set'}", begin)
            if char == "+":
                return word if there else ""
            return (value or "") if there else word
        if colon or not char or char not in "#%/":
            raise self._error(f"${{{name}…: {char or 'the end'!r} is no modifier", self._at)
        return self._matched(char, value or "", begin)

    def _matched(self, char: str, value: str, begin: int) -> str:
        self._at += 1
        double = self._text[self._at : self._at + 1] == char
        self._at += double
        pattern = self._raw("/}" if char == "/" else "}")
        put = ""
        if char == "/" and self._text[self._at : self._at + 1] == "/":
            self._at += 1
            put = self.until("}")
        if len(value) > _PATTERN_MAX or len(pattern) > _PATTERN_MAX:
            raise self._error(f"patterns are for at most {_PATTERN_MAX} characters", begin)
        tokens = list(_tokens(pattern, self._escape))
        if char == "/":
            return _replaced(value, tokens, put, everywhere=double)
        return _cut(value, tokens, at_end=char == "%", longest=double)

    def _raw(self, end: str) -> str:
        """A pattern's text: variables put in, escapes kept for the pattern."""
        out: list[str] = []
        while self._at < len(self._text) and self._text[self._at] not in end:
            char = self._text[self._at]
            if char == "$":
                out.append(self._variable())
                continue
            step = 2 if char == self._escape else 1
            out.append(self._text[self._at : self._at + step])
            self._at += step
        return "".join(out)

    def _error(self, reason: str, at: int) -> WordError:
        return WordError(reason, self._offset + at)


# Patterns: a token is one character, or None for "?", or _ANY for "*".
_ANY = object()


def _tokens(pattern: str, escape: str) -> Iterator[object]:
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == escape and at < len(pattern):
            yield pattern[at]
            at += 1
        else:
            yield _ANY if char == "*" else None if char == "?" else char


def _lengths(text: str, tokens: Sequence[object]) -> list[int]:
    """How long the beginnings of `text` are that match, in order. Never more than m*n steps."""

    def closed(states: set[int]) -> set[int]:
        for state in list(states):
            while state < len(tokens) and tokens[state] is _ANY:
                state += 1
                states.add(state)
        return states

    found = []
    states = closed({0})
    for length in range(len(text) + 1):
        if len(tokens) in states:
            found.append(length)
        if length == len(text) or not states:
            break
        char = text[length]
        states = closed(
            {s if tokens[s] is _ANY else s + 1 for s in states if s < len(tokens)
             and (tokens[s] is _ANY or tokens[s] is None or tokens[s] == char)}
        )  # fmt: skip
    return found


def _cut(value: str, tokens: list[object], *, at_end: bool, longest: bool) -> str:
    text = value[::-1] if at_end else value
    lengths = _lengths(text, tokens[::-1] if at_end else tokens)
    if not lengths:
        return value
    rest = text[lengths[-1 if longest else 0] :]
    return rest[::-1] if at_end else rest


def _replaced(value: str, tokens: list[object], put: str, *, everywhere: bool) -> str:
    out: list[str] = []
    at = made = 0
    while at < len(value) and made <= LENGTH_MAX:  # what is longer is refused by who asked
        lengths = _lengths(value[at:], tokens)
        if lengths and lengths[-1]:
            out.append(put)
            made += len(put)
            at += lengths[-1]
            if not everywhere:
                break
        else:
            out.append(value[at])
            at += 1
    return "".join(out) + value[at:]
