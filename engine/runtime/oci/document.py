"""JSON that someone else wrote, read field by field.

Whatever is not as the specification says is refused with the name of the field, as
"linux.resources.memory.limit: must be a number, not 'much'".
"""

from __future__ import annotations

from engine.runtime.oci.jsontext import compose, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


VERSION = "1.2.0"
"""Of the runtime specification that we follow."""


class ConfigError(ValueError):
    """A field that cannot be honoured; the message names it, and says why."""


class Value:
    """A place in a document, whether there is something or not: None counts as nothing."""

    __slots__ = ("path", "raw")

    def __init__(self, raw: Any, path: str = "") -> None:
        self.raw = raw
        self.path = path

    def __bool__(self) -> bool:
        return self.raw is not None

    def error(self, text: str) -> ConfigError:
        return ConfigError(f"{self.path}: {text}" if self.path else text)

    def _be(self, kind: type, name: str) -> Any:
        # bool is an int to Python, and not to JSON.
        if not isinstance(self.raw, kind) or (kind is int and isinstance(self.raw, bool)):
            if self.raw is None:
                raise self.error(f"is missing, and must be {name}")
            raise self.error(f"must be {name}, not {compose(self.raw)}")
        return self.raw

    def get(self, *names: str) -> Value:
        """What is at `names` below this; nothing where anything on the way is missing."""
        raw, path = self, self.path
        for name in names:
            path = f"{path}.{name}" if path else name
            found = raw._be(dict, "an object").get(name) if raw else None
            raw = Value(found, path)
        return raw

    def items(self) -> Iterator[Value]:
        """The elements of a list, or of none."""
        if self:
            for index, raw in enumerate(self._be(list, "a list")):
                yield Value(raw, f"{self.path}[{index}]")

    def entries(self) -> Iterator[tuple[str, Value]]:
        """The members of an object, or of none."""
        if self:
            for name, raw in self._be(dict, "an object").items():
                yield name, Value(raw, f"{self.path}[{name!r}]")

    def text(self, default: str | None = None) -> str:
        if not self and default is not None:
            return default
        found: str = self._be(str, "a string")
        if "\0" in found:
            raise self.error("holds a NUL")
        return found

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items())

    def number(self, default: int | None = None) -> int:
        if not self and default is not None:
            return default
        found: int = self._be(int, "a number")
        return found

    def numbers(self) -> tuple[int, ...]:
        return tuple(item.number() for item in self.items())

    def flag(self, default: bool = False) -> bool:
        return bool(self._be(bool, "true or false")) if self else default

    def choice(self, words: tuple[str, ...]) -> str:
        found = self.text()
        if found not in words:
            raise self.error(f"{found!r} is none of {', '.join(words)}")
        return found


def read(path: str, what: str) -> Value:
    """The document in a file. Raise ConfigError, naming it as `what`, when it is not one."""
    try:
        with open(path, "rb") as file:
            found = parse(file.read())
    except ValueError as error:
        raise ConfigError(f"{what} {path}: not JSON: {error}") from None
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{what} {path}: must be an object")
    return Value(found)
