"""Flags as numbers; capability names as OCI and as Kubernetes spell them."""

import pytest

from engine.linux.flags import AT, CAP, CLONE, MS, OPEN_TREE, cap_name, cap_number


@pytest.mark.parametrize("text", ["CAP_NET_RAW", "NET_RAW", "net_raw", "cap_net_raw"])
def test_every_spelling_of_a_capability(text: str) -> None:
    assert cap_number(text) == 13


def test_names_and_numbers_are_each_others_inverse() -> None:
    assert [cap_number(cap_name(number)) for number in CAP] == list(range(41))


@pytest.mark.parametrize("text", ["", "CAP_", "CAP_EVERYTHING", "ALL"])
def test_unknown_capability_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"unknown capability '{text}'"):
        cap_number(text)


@pytest.mark.parametrize(
    ("joined", "number"),
    [
        (MS.REC | MS.PRIVATE, 0x44000),
        (OPEN_TREE.CLONE | AT.EMPTY_PATH, 0x1001),
        (0x44000 | MS.NODEV, 0x44004),
        (CLONE.NEWNS & 0x20000, 0x20000),
    ],
)
def test_joined_flags_are_plain_numbers(joined: int, number: int) -> None:
    assert joined == number
    assert type(joined) is int
