"""A list worked on change by change is the list made anew."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from engine.types.codec import from_dict
from engine.types.core import Pod
from tests.tui import made_up
from tui.model.cluster import Cluster
from tui.model.column import layout
from tui.model.columns import LISTINGS, listing
from tui.model.place import Within
from tui.model.series import CONTAINER_FIELDS
from tui.model.view import CALM_SECONDS, View
from tui.render.spans import plain, width_of


class StillCluster(Cluster):
    """A cluster whose objects a test sets by hand."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(), name="still", clock=lambda: self.time)  # type: ignore[arg-type]
        self.time = made_up.NOW
        self.kinds: dict[str, dict[str, Any]] = {"pods": {}}

    def objects(self, kind: str) -> Any:
        return self.kinds.get(kind, {})

    def loading(self, kind: str) -> bool:
        return False

    @property
    def state(self) -> str:
        return "live"


def pod(name: str, node: int = 1, **labels: str) -> Pod:
    data = made_up.pod(name, node, made_up.WEB, {})
    data["metadata"]["labels"] = labels
    return from_dict(Pod, data)


@pytest.fixture
def cluster() -> StillCluster:
    cluster = StillCluster()
    for index in range(12):
        obj = pod(f"pod-{index:02}", index % 3 + 1, app="a" if index % 2 else "b")
        cluster.kinds["pods"][f"default/{obj.metadata.name}"] = obj
    return cluster


def view_of(cluster: StillCluster) -> View:
    return View(cluster, listing("pods"))


@pytest.mark.parametrize("seed", range(8))
def test_changes_one_by_one_equal_a_rebuild(cluster: StillCluster, seed: int) -> None:
    dice = random.Random(seed)
    view = view_of(cluster)
    view.set_filter("!7")
    view.sort_by(dice.choice([c for c in view.listing.columns if not c.live]))
    pods = cluster.kinds["pods"]
    for _ in range(60):
        key = f"default/pod-{dice.randrange(30):02}"
        if key in pods and dice.random() < 0.4:
            del pods[key]
        else:
            pods[key] = pod(key.partition("/")[2], dice.randrange(1, 4))
        view.apply([key])
        worked = list(view.order)
        view.rebuild()
        assert worked == view.order


def test_rows_that_change_only_in_live_numbers_stay_in_place(cluster: StillCluster) -> None:
    view = view_of(cluster)
    cpu = next(c for c in view.listing.columns if c.head == "CPU")
    view.sort_by(cpu)
    before = list(view.order)
    cluster.book.begin(made_up.NOW, {})
    sample = SimpleNamespace(**dict.fromkeys(CONTAINER_FIELDS, 1.0))
    cluster.book.take([("default/pod-05/web", sample)])
    view.apply(["default/pod-05"])
    view.tick()
    assert view.order == before
    cluster.time += CALM_SECONDS
    view.tick()
    assert view.order[0] == "default/pod-05"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 12),
        ("pod-0[0-3]", 4),
        ("!pod-0", 2),
        ("-l app=a", 6),
        ("-f p11", 1),
        ("node-2", 4),
        ("[", 0),
    ],
)
def test_filters(cluster: StillCluster, text: str, count: int) -> None:
    view = view_of(cluster)
    view.set_filter(text)
    assert len(view.order) == count
    assert view.total == 12


def test_a_selector_that_cannot_be_read_changes_nothing(cluster: StillCluster) -> None:
    view = view_of(cluster)
    view.set_filter("-l a=(")
    assert view.problem
    assert len(view.order) == 12


def test_narrowed_to_a_node(cluster: StillCluster) -> None:
    view = View(cluster, listing("pods"), Within("node", "node-2", "node-2"))
    assert view.order == [f"default/pod-{n:02}" for n in (1, 4, 7, 10)]
    heads = [column.head for column, _ in view.columns(200)]
    assert "NODE" not in heads


def test_one_namespace_hides_its_column(cluster: StillCluster) -> None:
    view = view_of(cluster)
    assert "NAMESPACE" in [column.head for column, _ in view.columns(200)]
    view.namespace = "default"
    view.forget_layout()
    assert "NAMESPACE" not in [column.head for column, _ in view.columns(200)]


def test_sorting_twice_turns_the_order_around(cluster: StillCluster) -> None:
    view = view_of(cluster)
    name = next(c for c in view.listing.columns if c.head == "NAME")
    view.sort_by(name)
    assert view.order == sorted(cluster.kinds["pods"], reverse=True)
    assert "NAME▼" in plain([view.head(120)])


@pytest.mark.parametrize("kind", sorted(LISTINGS))
@pytest.mark.parametrize("width", [40, 66, 79, 115, 199, 400])
def test_every_list_fits_every_width(kind: str, width: int) -> None:
    for narrow in (LISTINGS[kind].columns, LISTINGS[kind].columns[1:]):
        chosen = layout(narrow, width)
        flexible = [size for column, size in chosen if column.width == 0]
        assert chosen
        assert all(size > 0 for size in flexible) or width < 60


def test_a_row_is_as_wide_as_its_heading(cluster: StillCluster) -> None:
    view = view_of(cluster)
    for width in (60, 80, 120, 200):
        row = view.cells("default/pod-03", width)
        assert width_of(row) <= width
        assert abs(width_of(row) - width_of(view.head(width))) <= 1


def test_the_four_pictures_of_nothing(cluster: StillCluster) -> None:
    view = view_of(cluster)
    view.set_filter("foo")
    assert "12 hidden by /foo" in plain(view.picture(80, 20))
    cluster.kinds["pods"].clear()
    view.set_filter("")
    assert "No pod here" in plain(view.picture(80, 20))
    cluster.missing.add("pods")
    assert "knows no pods" in plain(view.picture(80, 20))
    cluster.missing.clear()
    cluster.loading = lambda kind: True  # type: ignore[method-assign]
    assert "Loading pods" in plain(view.picture(80, 20))


def test_clicks_on_headings_find_their_column(cluster: StillCluster) -> None:
    view = view_of(cluster)
    head = plain([view.head(120)])
    for name in ("NAME", "STATUS", "READY"):
        column = view.column_at(head.index(name), 120)
        assert column is not None
        assert column.head == name
