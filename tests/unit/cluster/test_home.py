"""Where a cluster lives and what the kernel calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.home import SOCKET_PATH_MAX, ClusterPaths, HomeError, default_home


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "..", "a" * 33, "a_b", "a\n"])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(HomeError, match="cluster"):
        ClusterPaths.of(Path("/h"), name)


@pytest.mark.parametrize("name", ["a", "default", "a-1", "0", "a" * 32])
def test_a_label_is_taken(name: str) -> None:
    assert ClusterPaths.of(Path("/h"), name).name == name


def test_a_home_too_deep_for_sockets_is_refused_with_the_way_out() -> None:
    with pytest.raises(HomeError, match="shorter PODARIUM_HOME"):
        ClusterPaths.of(Path("/" + "d" * SOCKET_PATH_MAX), "default")


def test_clusters_and_homes_never_share_kernel_names() -> None:
    of = ClusterPaths.of
    ids = {of(Path("/a"), "x").id, of(Path("/a"), "y").id, of(Path("/b"), "x").id}
    assert len(ids) == 3


def test_links_fit_the_kernels_limit() -> None:
    paths = ClusterPaths.of(Path("/h"), "a" * 32)
    assert len(paths.bridge) < 16
    assert len(paths.fabric_link(99)) < 16


def test_only_the_image_store_is_shared() -> None:
    one, other = (ClusterPaths.of(Path("/h"), name) for name in ("one", "other"))
    assert one.images == other.images
    for attribute in ("state", "run", "cgroup", "database", "kubeconfig"):
        assert getattr(one, attribute) != getattr(other, attribute)


def test_the_environment_moves_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODARIUM_HOME", "/elsewhere")
    assert default_home() == Path("/elsewhere")
    monkeypatch.setenv("PODARIUM_HOME", "")
    assert default_home() == Path("/var/lib/podarium")
