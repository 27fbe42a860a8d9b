"""Stores that end with their test, and the two drivers: what holds for layers holds with both."""

from collections.abc import Iterator

import pytest

from engine.images.layers.drivers import WANTED
from tests.real.images import layouts


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Close every store that a test opened, and see that nothing stays mounted."""
    yield
    for store in layouts.stores:
        store.close()
    mounts = [store for store in layouts.stores if layouts.mounts_below(store.root)]
    layouts.stores.clear()
    assert mounts == []


@pytest.fixture(params=[name for name in WANTED if name != "auto"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The driver of every store that the test opens."""
    monkeypatch.setattr(layouts, "driver", request.param)
    return str(request.param)
