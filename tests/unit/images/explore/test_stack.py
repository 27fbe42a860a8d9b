"""What a stack of layers shows, against the plain way of saying it."""

from __future__ import annotations

import pytest
from hypothesis import given

from engine.images.errors import BadImage
from engine.images.explore.node import Kind
from engine.images.explore.stack import Stack
from tests.unit.images.explore.layers import (
    STACKS,
    Layer,
    file,
    folder,
    gone,
    link,
    opaque,
    shown,
    tables,
)


def visible(stack: Stack) -> dict[bytes, tuple[int, int]]:
    walked = stack.walk(b"", stack.root().live)
    return {path: (f.node.size, f.layer) for path, f in walked if not f.live}


@given(STACKS)
def test_any_stack_shows_what_the_specification_says(layers: list[Layer]) -> None:
    stack = Stack(tables(*layers))
    assert visible(stack) == shown(layers)
    total, count = stack.sums(b"", stack.root())
    walked = list(stack.walk(b"", stack.root().live))
    assert (total, count) == (sum(s for s, _ in shown(layers).values()), len(walked))
    assert [path for path, _ in walked] == sorted(
        (path for path, _ in walked), key=lambda path: path.split(b"/")
    )
    for path, found in walked:
        assert stack.find(path) == found


def test_whiteouts_hide_only_what_is_below_them() -> None:
    base = [folder("etc"), file("etc/a", 1), file("etc/b", 2), file("keep", 3)]
    again = [gone("etc"), folder("etc"), file("etc/c", 4)]
    assert visible(Stack(tables(base, again))) == {b"etc/c": (4, 1), b"keep": (3, 0)}
    swept = [opaque(""), file("new", 5)]
    assert visible(Stack(tables(base, again, swept))) == {b"new": (5, 2)}


def test_what_an_archive_omits_keeps_what_the_layer_below_says() -> None:
    stack = Stack(tables([folder("srv", uid=7)], [file("srv/x")]))
    srv = stack.find(b"/srv/")
    assert srv is not None
    assert (srv.node.uid, srv.layer, srv.live) == (7, 0, (0, 1))


def test_links_lead_where_a_container_would_be_led() -> None:
    layers = tables(
        [folder("usr/bin"), file("usr/bin/sh"), link("bin", "usr/bin"), link("usr/x", "/../bin")],
        [link("loop", "/loop/x"), link("up", "../../etc")],
    )
    stack = Stack(layers)
    assert stack.resolve(b"/bin/sh") == b"usr/bin/sh"
    assert stack.resolve(b"usr/x/../lib") == b"usr/lib"
    assert stack.resolve(b"up") == b"etc"
    assert stack.find(b"bin/sh") is None
    with pytest.raises(BadImage, match="/loop: too many levels"):
        stack.resolve(b"loop")


def test_who_had_a_path_is_told_layer_by_layer() -> None:
    stack = Stack(
        tables(
            [file("opt/a", 1)],
            [file("opt/b", 2)],
            [gone("opt")],
            [file("opt", 3)],
            [folder("opt"), file("opt/a", 4)],
        )
    )
    said = [(layer, node.kind, node.size) for layer, node in stack.history(b"opt/a")]
    assert said == [
        (0, Kind.FILE, 1),
        (2, Kind.WHITEOUT, 0),
        (3, Kind.WHITEOUT, 0),
        (4, Kind.FILE, 4),
    ]
    assert stack.history(b"nowhere") == []
