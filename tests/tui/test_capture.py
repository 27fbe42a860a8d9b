"""Pictures of a living cluster, without a terminal."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.tui.fakes import FakeCluster
from tui.recording.screenshot import VIEWS, NotSettled, capture


def words(file: Path) -> str:
    tree = ElementTree.parse(file)
    texts = tree.iter("{http://www.w3.org/2000/svg}text")
    return " ".join(node.text or "" for node in texts)


@pytest.mark.parametrize(
    ("view", "wanted"),
    [
        ("overview", "workloads"),
        ("pods", "STATUS"),
        ("pod", "root file system"),
        ("image", "layers"),
        ("logs", "times:on"),
        ("node", "10.64.1.0/24"),
    ],
)
async def test_a_picture_of_a_view(view: str, wanted: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.svg"
    await capture(FakeCluster(), file, view=view, cluster="demo")
    assert wanted in words(file)
    assert view in VIEWS
    assert list(tmp_path.iterdir()) == [file]


async def test_a_view_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'bogus': there is no such view"):
        await capture(FakeCluster(), tmp_path / "x.svg", view="bogus")
    assert not list(tmp_path.iterdir())


async def test_a_cluster_that_does_not_settle(tmp_path: Path) -> None:
    with pytest.raises(NotSettled, match="CrashLoopBackOff"):
        await capture(
            FakeCluster(), tmp_path / "x.svg", settled=lambda cluster: False, timeout_s=0.3
        )
