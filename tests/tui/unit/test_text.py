"""Text from containers can do nothing to the terminal or to the layout."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.render.spans import width_of
from tui.render.text import expand_tabs, inert, log_line

ANY = st.text(st.characters(), max_size=80)


@given(ANY)
def test_inert_text_has_no_control_or_format_characters_that_steer(text: str) -> None:
    for char in inert(text):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in ("RLO", "LRO", "RLE", "LRE", "PDF")
        assert unicodedata.bidirectional(char) not in ("RLI", "LRI", "FSI", "PDI")


@given(ANY)
def test_plain_text_passes_unchanged(text: str) -> None:
    clean = "".join(char for char in text if char.isprintable() and char.isascii())
    assert inert(clean) is clean


@given(ANY)
def test_a_log_line_is_inert_whatever_its_escapes(text: str) -> None:
    shown = "".join(piece for piece, _ in log_line("\x1b[31m" + text + "\x1b]0;evil\x07"))
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in shown)


@pytest.mark.parametrize(
    ("raw", "spans"),
    [
        ("plain", (("plain", "text"),)),
        ("\x1b[31mred\x1b[0m rest", (("red", "bad"), (" rest", "text"))),
        ("\x1b[1;32mok", (("ok", "ok bold"),)),
        ("\x1b[38;5;196mx\x1b[m y", (("x", "text"), (" y", "text"))),
        ("a\x1b[2Jb", (("a", "text"), ("b", "text"))),
        ("a\x1b]0;title\x07b", (("a", "text"), ("b", "text"))),
        ("[bold]kept[/bold]", (("[bold]kept[/bold]", "text"),)),
        ("10%\r50%\r100%", (("100%", "text"),)),
        ("bell\x07", (("bell␇", "text"),)),
    ],
)
def test_log_lines(raw: str, spans: object) -> None:
    assert log_line(raw) == spans


def test_a_line_that_ends_inside_an_escape_is_cut_off_cleanly() -> None:
    assert log_line("text\x1b[3") == (("text", "text"),)
    assert log_line("text\x1b") == (("text", "text"),)


def test_tabs_go_to_stops_of_eight() -> None:
    assert expand_tabs("a\tb") == "a       b"


def test_bidirectional_overrides_are_shown_not_obeyed() -> None:
    assert inert("user\u202etxt.exe") == "user�txt.exe"


def test_a_megabyte_of_escapes_is_read_in_one_pass() -> None:
    text = "\x1b[31mx" * 150_000
    assert width_of(log_line(text)) == 150_000
