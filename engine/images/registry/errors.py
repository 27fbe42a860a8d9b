"""What can go wrong with a registry. Its own words are quoted, as data: cleaned and cut."""

from engine.images.errors import ImageError

_WORDS_MAX = 300


class RegistryError(ImageError):
    """Anything that keeps an image from being pulled or pushed, other than the image itself."""


class BadSettings(RegistryError):
    """registries.toml, or a file with credentials, that cannot be understood."""


class LocalOnly(RegistryError):
    """An image that is never asked of, or given to, a registry."""


class Unreachable(RegistryError):
    """No connection, or one that breaks however often it is tried."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"registry {host}: cannot be reached: {why}")
        self.host = host


class Denied(RegistryError):
    """The registry wants credentials, or better ones."""


class NotInRegistry(RegistryError):
    """The registry has no such repository, tag or blob."""


class RateLimited(RegistryError):
    """Too many requests; `retry_after` is in seconds, None when the registry does not say."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadAnswer(RegistryError):
    """An answer that breaks the protocol, or a limit."""


class NoRoom(RegistryError):
    """The disk cannot hold what would come."""


class Cancelled(RegistryError):
    """Somebody asked for the end of it. What was transferred is kept."""

    def __init__(self) -> None:
        super().__init__("cancelled")


def words(text: str) -> str:
    """A stranger's text fit to be shown: one line of printable characters, not too many."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _WORDS_MAX else f"{line[:_WORDS_MAX]}…"
