from collections.abc import AsyncIterator

import pytest

from engine.store.store import Store
from tests.unit.api.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(Store())
    await world.api.bootstrap()
    yield world
    await world.api.close()
