"""What the image specification says about layers (layer.md), seen through a mounted overlay."""

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.images.errors import BadLayer
from engine.images.layers.dir import DirDriver
from engine.images.tar import Limits
from tests.real.images.indexes import agree
from tests.real.images.layouts import Layout, merged, open_below, opened
from tests.real.images.tars import (
    Member,
    device,
    file,
    folder,
    hardlink,
    member,
    opaque,
    symlink,
    tar,
    whiteout,
)

pytestmark = pytest.mark.usefixtures("driver")


def stack(tmp_path: Path, *layers: list[Member]) -> list[Path]:
    """The prepared lower directories of an image of these layers, top first."""
    layout = Layout(tmp_path / "layout")
    layout.image([tar(*members) for members in layers])
    store = opened(tmp_path / "store")
    (image,) = store.load(layout.write())
    lowerdirs = store.prepare(image)
    for lowerdir in lowerdirs:
        agree(lowerdir)
    return lowerdirs


def tree(tmp_path: Path, *layers: list[Member]) -> dict[str, list[Any]]:
    return merged(stack(tmp_path, *layers), tmp_path)


def names(tmp_path: Path, *layers: list[Member]) -> set[str]:
    return set(tree(tmp_path, *layers)) - {"."}


def test_a_whiteout_hides_the_file_below(tmp_path: Path) -> None:
    below = [folder("d"), file("d/a"), file("d/b")]
    assert names(tmp_path, below, [folder("d"), whiteout("d/a")]) == {"d", "d/b"}


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_hides_nothing_of_its_own_layer(tmp_path: Path, first: bool) -> None:
    own, mark = file("a", b"new"), whiteout("a")
    found = tree(tmp_path, [file("a", b"old")], [mark, own] if first else [own, mark])
    assert found["a"][0].startswith("-")
    assert found["a"][4] == hashlib.sha256(b"new").hexdigest()[:16]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_opaque_directory_hides_all_below_wherever_its_mark_is(tmp_path: Path, at: int) -> None:
    upper = [folder("d"), file("d/new")]
    upper.insert(at, opaque("d"))
    assert names(tmp_path, [folder("d"), file("d/old")], upper) == {"d", "d/new"}


def test_an_opaque_root_hides_all_below(tmp_path: Path) -> None:
    assert names(tmp_path, [file("old")], [opaque(""), file("new")]) == {"new"}


def test_a_whiteout_in_an_opaque_directory_is_not_seen(tmp_path: Path) -> None:
    upper = [folder("d"), opaque("d"), whiteout("d/old")]
    assert names(tmp_path, [folder("d"), file("d/old")], upper) == {"d"}


def test_a_directory_beside_its_whiteout_does_not_merge(tmp_path: Path) -> None:
    upper = [whiteout("d"), folder("d"), file("d/new")]
    assert names(tmp_path, [folder("d"), file("d/old")], upper) == {"d", "d/new"}


def test_a_whiteout_goes_with_the_directory_it_was_in(tmp_path: Path) -> None:
    upper = [folder("d"), whiteout("d/old"), file("d", b"a file")]
    found = tree(tmp_path, [folder("d"), file("d/old")], upper)
    assert set(found) == {".", "d"}
    assert found["d"][0].startswith("-")


def test_marks_of_aufs_are_passed_over(tmp_path: Path) -> None:
    old = [file(".wh..wh.aufs"), folder(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file("a")]
    assert names(tmp_path, old) == {"a"}


@pytest.mark.parametrize(
    ("below", "above", "kind"),
    [
        (folder("a"), file("a", b"x"), "-"),
        (file("a"), folder("a"), "d"),
        (symlink("a", "/etc"), folder("a"), "d"),
        (symlink("a", "b"), file("a", b"x"), "-"),
        (folder("a"), symlink("a", "b"), "l"),
        (member("a", tarfile.FIFOTYPE), file("a"), "-"),
    ],
    ids=["folder-file", "file-folder", "link-folder", "link-file", "folder-link", "fifo-file"],
)
@pytest.mark.parametrize("layers", [1, 2])
def test_the_later_kind_wins(
    tmp_path: Path, below: Member, above: Member, kind: str, layers: int
) -> None:
    found = tree(tmp_path, *([[below, above]] if layers == 1 else [[below], [above]]))
    assert found["a"][0][0] == kind


def test_what_comes_after_a_replaced_directory_lands_in_the_new_one(tmp_path: Path) -> None:
    members = [folder("d"), file("d/old"), file("d"), folder("d"), file("d/new")]
    assert names(tmp_path, members) == {"d", "d/new"}


def test_a_directory_over_a_directory_changes_only_its_attributes(tmp_path: Path) -> None:
    found = tree(tmp_path, [folder("d"), file("d/a"), folder("d", mode=0o700, uid=7, mtime=5)])
    assert found["d"][:4] == ["drwx------", 7, 0, 5 * 10**9]
    assert "d/a" in found


def test_a_parent_the_archive_omits_keeps_what_it_was_below(tmp_path: Path) -> None:
    pax = {"SCHILY.xattr.user.note": "kept", "mtime": "7.000000009"}
    below = [folder("d", mode=0o3750, uid=7, gid=8, pax=pax), folder("d/e", mode=0o700, mtime=9)]
    found = tree(tmp_path, below, [file("d/e/f")])
    attributes = {"user.note": b"kept".hex()}
    assert found["d"] == ["drwxr-s--T", 7, 8, 7 * 10**9 + 9, "", attributes]
    assert found["d/e"][:4] == ["drwx------", 0, 0, 9 * 10**9]


def test_a_parent_nobody_has_is_plain(tmp_path: Path) -> None:
    assert tree(tmp_path, [file("d/a")])["d"][:4] == ["drwxr-xr-x", 0, 0, 0]


def test_a_parent_named_after_its_child_is_not_omitted(tmp_path: Path) -> None:
    assert tree(tmp_path, [file("d/a"), folder("d", mode=0o711)])["d"][0] == "drwx--x--x"


def test_a_hard_link_is_one_file(tmp_path: Path) -> None:
    (lower,) = stack(
        tmp_path, [file("a", b"x"), hardlink("b", "a"), symlink("l", "a"), hardlink("m", "l")]
    )
    assert (lower / "a").stat().st_ino == (lower / "b").stat().st_ino
    assert os.readlink(lower / "m") == "a"


def test_a_hard_link_to_a_lower_layer_brings_the_file_up(tmp_path: Path) -> None:
    below = [folder("d", mode=0o700), file("d/a", b"x", mode=0o4755, uid=7, mtime=5)]
    upper, _ = stack(tmp_path, below, [hardlink("b", "d/a"), hardlink("c", "d/a")])
    assert {(upper / n).stat().st_ino for n in ("b", "c", "d/a")} == {(upper / "b").stat().st_ino}
    found = merged([upper, _], tmp_path)
    assert found["b"][:4] == ["-rwsr-xr-x", 7, 0, 5 * 10**9]
    assert found["d"][0] == "drwx------"


def test_a_hard_link_to_what_a_lower_layer_deleted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLayer, match="not there"):
        stack(tmp_path, [file("a", b"x")], [whiteout("a")], [hardlink("b", "a")])


def test_a_name_through_a_link_of_the_layer_lands_where_it_leads(tmp_path: Path) -> None:
    found = names(
        tmp_path, [folder("usr"), folder("usr/lib"), symlink("lib", "usr/lib"), file("lib/x")]
    )
    assert found == {"usr", "usr/lib", "lib", "usr/lib/x"}


def test_no_descriptor_stays_open_however_the_names_jump(tmp_path: Path) -> None:
    places = ["a/b/c", "a/b/c/d/e", "a", "x/y/z", "a/b", "x", "a/b/c/d/e/f/g", "", "x/y"]
    members = [file(f"{place}/{n}".strip("/"), b"x") for n in range(3) for place in places]
    target = tmp_path / "fs"
    DirDriver().write([tar(*members)], tmp_path, [], Limits())
    assert open_below(target) == []
    assert {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()} == {
        m.info.name for m in members
    }


def test_attributes_survive(tmp_path: Path) -> None:
    capability = b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    pax = {
        "SCHILY.xattr.user.odd": "a\0b\n",
        "SCHILY.xattr.security.capability": capability.decode("latin-1"),
        "mtime": "-1.5",
        "uid": "2097152",
    }
    found = tree(
        tmp_path,
        [
            file("f", b"x", mode=0o6755, pax=pax),
            device("null", tarfile.CHRTYPE, 1, 3),
            device("disk", tarfile.BLKTYPE, 7, 300),
            member("fifo", tarfile.FIFOTYPE, mode=0o622),
            symlink("l", "nowhere", uid=7, mtime=3),
            folder("t", mode=0o1777),
            file("n" * 255),
            file("bad\udcffname\n"),
        ],
    )
    attributes = {"user.odd": b"a\0b\n".hex(), "security.capability": capability.hex()}
    assert found["f"][:4] == ["-rwsr-sr-x", 2097152, 0, -1_500_000_000]
    assert found["f"][5] == attributes
    assert (found["null"][0], found["null"][4]) == ("crw-r--r--", "1:3")
    assert (found["disk"][0], found["disk"][4]) == ("brw-r--r--", "7:300")
    assert found["fifo"][0] == "prw--w--w-"
    assert found["l"][1:5] == [7, 0, 3 * 10**9, "nowhere"]
    assert found["t"][0] == "drwxrwxrwt"
    assert {"n" * 255, "bad\udcffname\n"} <= set(found)


def test_a_layer_is_shared_by_diff_id_and_a_dependent_one_only_on_its_stack(tmp_path: Path) -> None:
    whole, partial = [folder("d"), file("d/a")], [file("d/b")]
    first = stack(tmp_path / "1", [folder("d", mode=0o700)], whole, partial)
    layout = Layout(tmp_path / "layout")
    layout.image([tar(folder("d", mode=0o700)), tar(*whole), tar(*partial)], name="a/one:1")
    layout.image([tar(folder("d", mode=0o711)), tar(*whole), tar(*partial)], name="a/two:1")
    layout.image([tar(*partial)], name="a/three:1")
    store = opened(tmp_path / "store")
    one, two, three = (store.prepare(image) for image in store.load(layout.write()))
    assert len(first) == 3
    assert one[1] == two[1], "the same archive, unpacked once"
    assert len({one[0], two[0], three[0]}) == 3, "each is right only on what is below it"
    assert store.prepare(store.resolve("a/two:1")) == two
    modes = [(path / "d").stat().st_mode & 0o777 for path in (one[0], two[0], three[0])]
    assert modes == [0o755, 0o755, 0o755]
