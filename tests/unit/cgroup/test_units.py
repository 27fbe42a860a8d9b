"""OCI's units to the kernel's, at the edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.cgroup import units


@pytest.mark.parametrize(
    ("shares", "weight"),
    # 102 shares are 100m, 512 half a CPU: what runc 1.3.2 and crun 1.23 make of them.
    [(0, 1), (2, 1), (3, 2), (102, 17), (512, 59), (1024, 100), (262144, 10000), (10**9, 10000)],
)
def test_weight(shares: int, weight: int) -> None:
    assert units.weight(shares) == weight


@given(st.integers(0, 300_000), st.integers(0, 300_000))
def test_more_shares_never_weigh_less(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 1 <= units.weight(low) <= units.weight(high) <= 10_000


@pytest.mark.parametrize(("value", "shares"), [(0, 2), (2, 2), (512, 512), (262145, 262144)])
def test_shares_are_clamped(value: int, shares: int) -> None:
    assert units.shares(value) == shares


@pytest.mark.parametrize(
    ("quota", "period", "text"),
    [
        (50_000, 100_000, b"50000 100000"),
        (50_000, None, b"50000 100000"),
        (-1, 50_000, b"max 50000"),
    ],
)
def test_cpu_max(quota: int, period: int | None, text: bytes) -> None:
    assert units.cpu_max(quota, period) == text


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (b"max\n", None),
        (b"9223372036854771712\n", None),  # v1, 4 KiB pages
        (b"9223372036854710272\n", None),  # v1, 64 KiB pages
        (b"67108864\n", 64 << 20),
        (b"0\n", 0),
    ],
)
def test_parse_limit(text: bytes, limit: int | None) -> None:
    assert units.parse_limit(text) == limit
