"""What one types after `/`: a regular expression, `!` for all that do not match, `-l` for labels,
`-f` for letters in this order.

A pattern that is no regular expression (yet, while it is typed) is taken as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from engine.types import selector

Match = Callable[[str, Mapping[str, str]], bool]


class FilterError(ValueError):
    """A label selector that cannot be read."""


def everything(text: str, labels: Mapping[str, str]) -> bool:
    """The empty filter."""
    return True


def pattern(text: str) -> re.Pattern[str]:
    """A pattern that ignores case, unless it has a capital."""
    flags = re.NOFLAG if any(char.isupper() for char in text) else re.IGNORECASE
    try:
        return re.compile(text, flags)
    except re.error:
        return re.compile(re.escape(text), flags)


def parse(text: str) -> Match:
    """A filter's text as a function of a row's text and labels. Raise FilterError."""
    text = text.strip()
    if text.startswith("-l"):
        try:
            chosen = selector.parse(text[2:].strip())
        except ValueError as error:
            raise FilterError(str(error)) from None
        return lambda row, labels: chosen.matches(labels)
    inverse = text.startswith("!")
    text = text[1:] if inverse else text
    if text.startswith("-f"):
        letters = [re.escape(char) for char in text[2:].strip()]
        # Only in the name, the first word of a row: letters in order are found almost anywhere.
        regex = re.compile(r"\A\S*" + r"\S*".join(letters), re.IGNORECASE)
    else:
        regex = pattern(text)
    if not text:
        return everything
    if inverse:
        return lambda row, labels: not regex.search(row)
    return lambda row, labels: regex.search(row) is not None
