"""Pictures of a living cluster, without a terminal."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.tui.fakes import FakeCluster
from tests.tui.test_container import made
from tui.recording.screenshot import VIEWS, NotSettled, capture


def words(file: Path) -> str:
    tree = ElementTree.parse(file)
    texts = tree.iter("{http://www.w3.org/2000/svg}text")
    return " ".join(node.text or "" for node in texts)


WANTED = {
    "overview": "workloads",
    "pods": "STATUS",
    "pod": "root file system",
    "image": "layers",
    "logs": "times:on",
    "node": "10.64.1.0/24",
    "inside": "what it may do",
    "replay": "overlay",
    "xray": "deployment",
    "files": "usr",
}


async def test_pictures_of_views(tmp_path: Path) -> None:
    files = {view: tmp_path / f"{view}.svg" for view in WANTED}
    await capture(made(), files, cluster="demo")
    for view, wanted in WANTED.items():
        assert wanted in words(files[view]), view
        assert view in VIEWS
    assert set(tmp_path.iterdir()) == set(files.values())


async def test_a_view_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'bogus': there is no such view"):
        await capture(FakeCluster(), {"bogus": tmp_path / "x.svg"})
    assert not list(tmp_path.iterdir())


async def test_a_cluster_that_does_not_settle(tmp_path: Path) -> None:
    with pytest.raises(NotSettled, match="CrashLoopBackOff"):
        await capture(
            FakeCluster(),
            {"overview": tmp_path / "x.svg"},
            settled=lambda cluster: False,
            timeout_s=0.3,
        )
