from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.real.api.kubectl import Cluster, cluster


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as made:
        yield made
