"""Quantities mean what Kubernetes means by them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import quantity
from engine.types.quantity import InvalidQuantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("1", "1"),
        ("+1.5", "1.5"),
        ("-2", "-2"),
        (".5", "0.5"),
        ("5.", "5"),
        ("250m", "0.25"),
        ("1n", "1e-9"),
        ("1u", "1e-6"),
        ("2k", "2000"),
        ("3M", "3e6"),
        ("4G", "4e9"),
        ("5T", "5e12"),
        ("6P", "6e15"),
        ("7E", "7e18"),
        ("1Ki", "1024"),
        ("1.5Gi", str(3 * 2**29)),
        ("1Mi", str(2**20)),
        ("1Ti", str(2**40)),
        ("1Pi", str(2**50)),
        ("1Ei", str(2**60)),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("12e-1", "1.2"),
        (2, "2"),
        (0.5, "0.5"),
    ],
)
def test_value(text: quantity.Quantity, value: str) -> None:
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "m", "1K", "1ki", "1mi", "1e", "1ee3", "1.2.3", "--1", "1Gib", "NaN", "١"],
)
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(InvalidQuantity) as caught:
        quantity.parse(text)
    assert repr(text) in str(caught.value)


def test_a_boolean_is_no_quantity_even_after_one() -> None:
    assert quantity.parse(1) == 1
    with pytest.raises(InvalidQuantity):
        quantity.parse(True)


@given(st.integers(0, 10**15))
def test_milli_is_exact(thousandths: int) -> None:
    assert quantity.milli(f"{thousandths}m") == thousandths


@given(st.integers(1, 10**9))
def test_integers_round_up(nano: int) -> None:
    assert quantity.bytes_(f"{nano}n") == 1
    assert quantity.milli(f"{nano}n") == -(-nano // 10**6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (1536, "1.5Ki"),
        (100 * 2**20, "100Mi"),
        (1023.6 * 1024, "1Mi"),
        (2**63, "8Ei"),
        (-2048, "-2Ki"),
    ],
)
def test_bytes_for_people(value: float, text: str) -> None:
    assert quantity.format_bytes(value) == text


@given(st.floats(0, 2**62))
def test_bytes_for_people_are_short_and_near(value: float) -> None:
    text = quantity.format_bytes(value)
    assert len(text) <= 6
    assert float(quantity.parse(text)) == pytest.approx(value, rel=0.06, abs=0.5)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "250m"), (2, "2"), (1.5, "1500m"), (0.0004, "1m")]
)
def test_cpu_for_people(value: float, text: str) -> None:
    assert quantity.format_cpu(value) == text
