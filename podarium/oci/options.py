"""What a command takes, told once: how to read it from the words, and how to help.

Python's argparse takes as long to import as most of these commands to run.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class UsageError(Exception):
    """Words that the command does not take."""


class Given:
    """An attribute for each option, by its longest name."""

    def __init__(self) -> None:
        self.args: list[str] = []

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


class Option:
    """`value`: what stands for its argument in a help, "" for one without.

    many    may be given again and again, and is a list
    choices     the words that it takes
    """

    __slots__ = ("choices", "default", "help", "many", "name", "names", "read", "value")

    def __init__(
        self,
        *names: str,
        value: str = "",
        default: Any = None,
        read: Callable[[str], Any] = str,
        many: bool = False,
        choices: tuple[str, ...] = (),
        help: str = "",
    ) -> None:
        self.names = names
        self.name = max(names, key=len).lstrip("-").replace("-", "_")
        self.value = value
        self.default = default
        self.read = read
        self.many = many
        self.choices = choices
        self.help = help

    def initial(self) -> Any:
        return [] if self.many else self.default if self.value else False

    def accept(self, given: Given, name: str, word: str) -> None:
        if self.choices and word not in self.choices:
            raise UsageError(f"{name}: {word!r} is none of {', '.join(self.choices)}")
        try:
            found = self.read(word)
        except ValueError:
            raise UsageError(f"{name}: {word!r} is not a number") from None
        if self.many:
            getattr(given, self.name).append(found)
        else:
            setattr(given, self.name, found)


class Syntax:
    """`operands`: the names of what follows, "SIGNAL?" when it need not; `rest`: what the words
    after those are, which are not looked into."""

    def __init__(
        self, options: tuple[Option, ...], operands: tuple[str, ...] = (), rest: str = ""
    ) -> None:
        self.options = (*options, Option("--help", "-h"))
        self.operands = operands
        self.rest = rest

    def read(self, words: list[str], given: Given) -> None:
        """Raise UsageError."""
        for option in self.options:
            setattr(given, option.name, option.initial())
        left, operands, plain = list(words), list[str](), False
        given.args = []
        while left:
            if self.rest and len(operands) == len(self.operands):
                given.args = left
                break
            word = left.pop(0)
            if plain or not word.startswith("-") or word == "-":
                operands.append(word)
            elif word == "--":
                plain = True
            else:
                self._option(word, left, given)
        self._operands(operands, given)

    def _option(self, word: str, left: list[str], given: Given) -> None:
        by_name = {name: option for option in self.options for name in option.names}
        name, equals, value = word.partition("=")
        if not name.startswith("--") and word[:2] in by_name and len(word) > 2:
            # Its value, as in -b/path, or another of one letter, as in -it.
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")
            if not by_name[name].value:
                left.insert(0, "-" + value)
                equals = ""
        found = by_name.get(name)
        if found is None:
            raise UsageError(f"{name}: no such option")
        if found.value:
            if not equals and not left:
                raise UsageError(f"{name}: needs {found.value}")
            found.accept(given, name, value if equals else left.pop(0))
        elif equals and value not in ("true", "false"):
            raise UsageError(f"{name}: takes no value")
        else:
            setattr(given, found.name, not equals or value == "true")

    def _operands(self, words: list[str], given: Given) -> None:
        needed = [name for name in self.operands if not name.endswith("?")]
        if len(words) < len(needed) and not given.help:
            raise UsageError(f"{needed[len(words)]} is missing")
        if len(words) > len(self.operands):
            raise UsageError(f"{words[len(self.operands)]}: one word too many")
        for name, word in zip(self.operands, [*words, *[""] * len(self.operands)], strict=False):
            setattr(given, name.rstrip("?").lower(), word)

    def usage(self) -> str:
        operands = [f"[{o.rstrip('?')}]" if o.endswith("?") else o for o in self.operands]
        rest = [f"[{self.rest}]"] if self.rest else []
        return " ".join(["[OPTIONS]"] * bool(self.options) + operands + rest)

    def help(self) -> str:
        """A line for each option."""
        heads = [
            ", ".join(option.names) + (f" {option.value}" if option.value else "")
            for option in self.options
        ]
        width = max(map(len, heads), default=0)
        lines = [
            f"  {head.ljust(width)}  {option.help or ', '.join(option.choices)}".rstrip()
            for head, option in zip(heads, self.options, strict=True)
        ]
        return "".join(line + "\n" for line in lines)
