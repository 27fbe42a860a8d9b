"""Capability names as OCI and as Kubernetes spell them."""

import pytest

from engine.linux.flags import CAP, cap_name, cap_number


@pytest.mark.parametrize("text", ["CAP_NET_RAW", "NET_RAW", "net_raw", "cap_net_raw"])
def test_every_spelling_of_a_capability(text: str) -> None:
    assert cap_number(text) == 13


def test_names_and_numbers_are_each_others_inverse() -> None:
    assert [cap_number(cap_name(number)) for number in CAP] == list(range(41))


@pytest.mark.parametrize("text", ["", "CAP_", "CAP_EVERYTHING", "ALL"])
def test_unknown_capability_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"unknown capability '{text}'"):
        cap_number(text)
