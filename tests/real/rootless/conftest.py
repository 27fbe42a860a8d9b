"""Clusters of ordinary users: of one with subordinate ids, and of one with his own id alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.real.rootless.people import Person, person

_UID = 61_234


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, id="many-ids", marks=pytest.mark.xdist_group("rootless-many")),
        pytest.param(False, id="one-id", marks=pytest.mark.xdist_group("rootless-one")),
    ],
)
def owner(request: pytest.FixtureRequest) -> Iterator[Person]:
    """Whose cluster is up, and is taken down again."""
    # Another one for each process that runs tests.
    uid = _UID + 2 * (os.getpid() % 1000) + request.param
    with person(uid, f"pdm{uid}", subordinate=request.param) as owner:
        try:
            owner.podarium("up", "--nodes", "1")
            yield owner
        finally:
            owner.podarium("down", "--purge")
