"""The log buffer against the plainest possible one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.model.logs import LogBuffer

CHUNKS = st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"b", b"\n")), max_size=30)


def lines_of(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@given(CHUNKS)
def test_lines_are_those_of_the_whole_text(chunks: list[bytes]) -> None:
    buffer = LogBuffer()
    for chunk in chunks:
        buffer.append(chunk)
    wanted = lines_of(b"".join(chunks))
    assert len(buffer) == len(wanted)
    assert [buffer.line(index) for index in range(len(buffer))] == wanted


@given(CHUNKS)
def test_a_full_buffer_forgets_the_oldest_and_keeps_numbers(chunks: list[bytes]) -> None:
    buffer = LogBuffer(limit=64)
    for chunk in chunks:
        buffer.append(chunk)
    wanted = lines_of(b"".join(chunks))
    assert buffer.size <= 64
    kept = [buffer.line(index) for index in range(len(buffer))]
    for index, text in enumerate(kept):
        full = wanted[buffer.first + index]
        assert full == text or (index == 0 and full.endswith(text))


def test_an_endless_line_keeps_its_end() -> None:
    buffer = LogBuffer(limit=100)
    for _ in range(50):
        buffer.append(b"0123456789")
    assert buffer.size <= 100
    assert buffer.line(0).endswith(b"0123456789")


def test_clearing_keeps_counting() -> None:
    buffer = LogBuffer()
    buffer.append(b"a\nb\n")
    buffer.clear()
    buffer.append(b"c\n")
    assert (len(buffer), buffer.first, buffer.line(0)) == (1, 2, b"c")
