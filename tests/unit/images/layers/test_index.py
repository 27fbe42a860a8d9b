"""An index's own form. What it says of real layers is compared where layers are made ready."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images.errors import BadImage, BadLayer
from engine.images.layers.index import HEADER, RECORD, LayerIndex, write_index
from engine.images.layers.tree import Flag, Tree
from engine.images.tar import DIRECTORY, FILE, SYMLINK, Entry, Parts


def index(path: Path, *entries: Entry) -> LayerIndex:
    tree = Tree()
    for entry in entries:
        tree.add(entry)
    tree.finish(lambda parts: None)
    write_index(tree, path)
    return LayerIndex.open(path)


def test_an_empty_layer_has_a_root(tmp_path: Path) -> None:
    with index(tmp_path / "i") as found:
        (root,) = found
        assert (root.kind, root.children, found.path(root)) == (DIRECTORY, 0, ())
        assert found.lookup((b"a",)) is None
        with pytest.raises(IndexError):
            found[1]


def test_what_is_kept_of_an_entry(tmp_path: Path) -> None:
    file = Entry(
        (b"d", b"f"), FILE, 0o4755, 1 << 31, 7, 1 << 40, -5, xattrs=((b"user.a", b"1"), (b"b", b""))
    )
    file.offset = 1 << 35
    with index(tmp_path / "i", file, Entry((b"d", b"l"), SYMLINK, link=b"x" * 4095)) as found:
        entry = found.lookup((b"d", b"f"))
        assert entry is not None
        assert (entry.mode, entry.uid, entry.gid, entry.size) == (0o4755, 1 << 31, 7, 1 << 40)
        assert (entry.mtime, entry.offset, entry.xattrs) == (-5, 1 << 35, (b"user.a", b"b"))
        above = found.lookup((b"d",))
        assert above is not None
        assert above.flags == Flag.IMPLICIT
        assert [each.link for each in found.children(above)] == [b"", b"x" * 4095]
        assert len(found.records) == len(found) * RECORD.size


part = st.sampled_from([b"a", b"b", b"c", b"A", b"b\xff", b"\n"])
paths = st.lists(part, min_size=1, max_size=4).map(tuple)


@given(made=st.lists(st.tuples(paths, st.sampled_from([FILE, DIRECTORY])), max_size=30))
def test_the_last_entry_of_a_name_is_the_one(
    made: list[tuple[Parts, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected: dict[Parts, bytes] = {(): DIRECTORY}
    for parts, kind in made:
        for depth in range(1, len(parts) + 1):
            name, wanted = parts[:depth], kind if depth == len(parts) else DIRECTORY
            if expected.get(name) != wanted or wanted == FILE:
                expected = {k: v for k, v in expected.items() if k[:depth] != name}
            expected[name] = wanted
    path = tmp_path_factory.mktemp("index") / "i"
    with index(path, *(Entry(parts, kind) for parts, kind in made)) as found:
        assert {parts: entry.kind for parts, entry in found.walk()} == expected
        for parts in expected:
            entry = found.lookup(parts)
            assert entry is not None
            assert found.path(entry) == parts
        assert found.lookup((b"a", b"none")) is None


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i"
    index(path, Entry((b"a",), FILE)).close()
    whole = path.read_bytes()
    for damaged in (b"", b"x", whole[:-1], whole + b"x", b"X" + whole[1:], whole[: HEADER.size]):
        path.write_bytes(damaged)
        with pytest.raises(BadImage, match="not a layer's index"):
            LayerIndex.open(path)


def test_links_that_lead_astray_are_refused() -> None:
    tree = Tree()
    tree.add(Entry((b"loop",), SYMLINK, link=b"loop"))
    tree.add(Entry((b"up",), SYMLINK, link=b"../../../d"))
    tree.add(Entry((b"d",), DIRECTORY))
    with pytest.raises(BadLayer, match="'loop' is a link to no directory"):
        tree.add(Entry((b"loop", b"a"), FILE))
    tree.add(Entry((b"up", b"a"), FILE))
    assert tree.find((b"d", b"a")) == tree.find((b"up", b"a"))
