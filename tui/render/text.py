"""Text from containers made inert: it can neither steer the terminal nor be read as markup.

Every control character gets a visible stand-in of one cell. Directional and invisible format
characters go as well, because they would move the text of the cells around them (Unicode TR 9 and
36). Only colours of log lines survive, as styles of ours (ECMA-48 SGR), never as bytes.
"""

from __future__ import annotations

import re

from .spans import Line, Span

# C0 controls as their control pictures (U+2400...), DEL as U+2421.
_PICTURES: dict[int, str] = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
# C1 controls, directional marks and overrides, zero-width characters, separators, surrogates.
_HIDDEN = [
    *range(0x80, 0xA0),
    0xAD,
    0x61C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0x180E,
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    # Shorthand and musical controls, and tags: letters that nobody sees.
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE0080),
]
_INERT = str.maketrans(_PICTURES | dict.fromkeys(_HIDDEN, "�"))
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
# A CSI sequence, an OSC/DCS/APC/PM string, or any other escape of two characters.
_ESCAPE = re.compile(r"\x1b(?:\[([0-?]*)[ -/]*([@-~])?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")

_BASIC = ("grey", "bad", "ok", "warn", "busy", "violet", "accent", "text")


def inert(text: str) -> str:
    """`text` on one line with every dangerous character replaced by a visible one."""
    if not _UNSAFE.search(text):
        return text
    return _SURROGATES.sub("�", text.translate(_INERT))


def expand_tabs(text: str) -> str:
    """Tabs as spaces to the next multiple of eight."""
    return text.expandtabs(8) if "\t" in text else text


def _colour(codes: str, role: str) -> str:
    """The role after an SGR sequence; extended colours are read over and left out."""
    words = [] if role == "text" else role.split()
    numbers = [int(code) if code.isdigit() else 0 for code in codes.split(";")] if codes else [0]
    index = 0
    while index < len(numbers):
        number = numbers[index]
        if number == 0:
            words = []
        elif number == 1:
            words = [*words, "bold"]
        elif number == 22:
            words = [word for word in words if word != "bold"]
        elif 30 <= number <= 37 or 90 <= number <= 97:
            words = [word for word in words if word == "bold"]
            words.insert(0, _BASIC[number % 10])
        elif number == 39:
            words = [word for word in words if word == "bold"]
        elif number in (38, 48):
            index += 2 if numbers[index + 1 : index + 2] == [5] else 4
        index += 1
    return " ".join(dict.fromkeys(words)) or "text"


def log_line(text: str, role: str = "text") -> Line:
    """One line of a log as spans: colours kept as roles, everything else inert."""
    text = expand_tabs(text.rstrip("\r\n"))
    if "\r" in text:  # progress bars rewrite their line: what a terminal would show at last
        text = text.rsplit("\r", 1)[1]
    if "\x1b" not in text:
        return ((inert(text), role),)
    spans: list[Span] = []
    current = role
    start = 0
    for match in _ESCAPE.finditer(text):
        if match.start() > start:
            spans.append((inert(text[start : match.start()]), current))
        start = match.end()
        if match.group(2) == "m":
            current = _colour(match.group(1) or "", current)
    if start < len(text):
        spans.append((inert(text[start:]), current))
    return tuple(spans)
