"""Looking into stored images: what the explorer says is what overlayfs shows."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images.errors import PathNotFound
from engine.images.explore.compare import Comparison, Mark
from engine.images.explore.duplicates import duplicates
from engine.images.explore.explorer import Explorer, Opened
from engine.images.explore.node import Kind
from engine.images.rootfs import create_rootfs
from engine.images.store import ImageStore
from engine.kubelet import explored
from tests.real.images.layouts import Layout
from tests.real.images.tars import file, folder, hardlink, opaque, symlink, tar, whiteout

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the image store belongs to root")

BASE = tar(
    folder("etc"),
    file("etc/motd", b"hello\n"),
    file("etc/old", b"o" * 300),
    folder("usr"),
    folder("usr/bin"),
    file("usr/bin/tool", b"t" * 5000),
    hardlink("usr/bin/same", "usr/bin/tool"),
    symlink("bin", "usr/bin"),
    folder("cache"),
    file("cache/a", b"a" * 1000),
    file("bad\udcff\x1b[2Jname", b"x"),
)
CHANGE = tar(
    folder("etc"),
    file("etc/motd", b"goodbye\n"),
    whiteout("etc/old"),
    file("usr/lib/copy", b"t" * 5000),  # its parents are not in the archive
)
SWEEP = tar(folder("cache"), opaque("cache"), file("cache/b", b"b" * 7))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    layout = Layout(tmp_path / "layout")
    layout.image([BASE, CHANGE, SWEEP], name="test/whole:1")
    layout.image([BASE], name="test/base:1")
    store = ImageStore(tmp_path / "store")
    store.load(layout.write())
    yield store
    store.close()


@pytest.fixture
def image(store: ImageStore) -> Opened:
    return Explorer(store).image("test/whole:1")


def mounted(store: ImageStore, reference: str, target: Path) -> dict[bytes, tuple[str, int]]:
    """Every name and a file's size, by the kernel's own overlay."""
    lower = ":".join(map(str, store.prepare(store.resolve(reference))))
    target.mkdir()
    script = 'mount -t overlay overlay -o "lowerdir=$1" "$2"; cd "$2"; find . -printf "%y %s %p\\0"'
    listed = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", lower, target],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    found = {}
    for line in listed.split(b"\0")[:-1]:
        kind, size, path = line.split(b" ", 2)
        is_file = kind == b"f"
        found[path[2:]] = (kind.decode(), int(size) if is_file else 0)
    return found


def test_it_shows_what_the_kernel_shows(store: ImageStore, image: Opened, tmp_path: Path) -> None:
    letters = {Kind.FILE: "f", Kind.HARDLINK: "f", Kind.DIRECTORY: "d", Kind.SYMLINK: "l"}
    shown = {b"": ("d", 0)}
    for path, found in image.stack.walk(b"", image.stack.root().live):
        size = found.node.size
        if found.node.kind is Kind.HARDLINK:
            size = image.file(path)[2].size
        shown[path] = (letters[found.node.kind], size)
    assert shown == mounted(store, "test/whole:1", tmp_path / "m")


def test_files_are_read_as_a_container_or_as_one_layer_has_them(image: Opened) -> None:
    assert image.read(b"/etc/motd", 100) == b"goodbye\n"
    assert image.read(b"/etc/motd", 100, layer=0) == b"hello\n"
    assert image.read(b"etc/old", 5, offset=298, layer=0) == b"oo"
    assert image.read(b"/bin/same", 10) == b"t" * 10
    whole = bytearray()
    image.copy(b"bin/tool", whole.extend)
    assert whole == b"t" * 5000
    for path, layer in ((b"etc/old", None), (b"etc", None), (b"etc/old", 1), (b"none/x", 2)):
        with pytest.raises(PathNotFound, match="test/whole:1"):
            image.read(path, 1, layer=layer)


def test_names_are_told_so_that_they_can_be_asked_for_again(image: Opened) -> None:
    page = explored.tree(image, "/")
    assert page is not None
    (odd,) = (row for row in page.rows if row.name.startswith("bad"))
    assert odd.path == "/bad\\xff\x1b[2Jname"
    assert [word.mark for word in explored.which(image, odd.path).words] == ["added"]


def test_pages_hold_what_was_asked_for(image: Opened) -> None:
    page = explored.tree(image, "/", layer=2, since=1)
    assert page is not None
    assert {row.name: row.mark for row in page.rows} == {
        "bad\\xff\x1b[2Jname": "same",
        "bin": "same",
        "cache": "same",
        "etc": "changed",
        "usr": "changed",
    }
    changed = explored.tree(image, "/etc", layer=2, since=1, changed=True)
    assert changed is not None
    assert [(r.path, r.mark, r.size) for r in changed.rows] == [
        ("/etc/motd", "changed", 8),
        ("/etc/old", "removed", 300),
    ]
    deep = explored.tree(image, "/", depth=3, by_size=True, offset=1, limit=3)
    assert deep is not None
    assert [(r.path, r.size) for r in deep.rows] == [
        ("/usr/bin", 5000),
        ("/usr/bin/tool", 5000),
        ("/usr/bin/same", 0),
    ]
    assert (deep.total, deep.size) == (12, 10000 + 8 + 7 + 1)
    assert explored.tree(image, "/etc/motd") is None
    assert explored.tree(image, "/nowhere") is None


def test_who_owns_a_path_is_told_with_the_command(image: Opened) -> None:
    told = explored.which(image, "bin/tool")
    assert (told.path, told.resolved) == ("/bin/tool", "/usr/bin/tool")
    (word,) = told.words
    assert (word.number, word.created_by, word.visible) == (1, "step 0", True)
    old = explored.which(image, "/etc/old").words
    assert [(w.number, w.mark, w.visible) for w in old] == [
        (1, "added", False),
        (2, "removed", False),
    ]


def test_equal_files_are_found_by_content(image: Opened) -> None:
    read: list[bytes] = []

    def digest_of(layer: int, path: bytes) -> str:
        read.append(path)
        return str(hash(image.read(path, 1 << 20, layer=layer)))

    (found,) = duplicates(image.stack, digest_of)
    assert found.copies == ((0, b"usr/bin/tool"), (1, b"usr/lib/copy"))
    assert found.surplus == 5000
    assert sorted(read) == [b"usr/bin/tool", b"usr/lib/copy"], "only equal sizes are read"


def test_a_running_container_is_one_layer_more(store: ImageStore, tmp_path: Path) -> None:
    explorer = Explorer(store)
    base = explorer.image("test/base:1")
    lower = store.prepare(store.resolve("test/base:1"))
    rootfs = create_rootfs(lower, tmp_path / "c", hostname="h", hosts=b"", resolv=b"")
    target = tmp_path / "merged"
    target.mkdir()
    options = (
        f"lowerdir={':'.join(map(str, rootfs.lowerdirs))},upperdir={rootfs.upper},"
        f"workdir={rootfs.work}"
    )
    script = """
        mount -t overlay overlay -o "$1" "$2"; cd "$2"
        echo more >> etc/motd; rm -r cache; mkdir cache new; echo x > cache/x; ln etc/old etc/hard
        rm usr/bin/same
    """
    subprocess.run(["unshare", "-m", "sh", "-ec", script, "sh", options, target], check=True)
    container = explorer.container(base, "pod/web", rootfs.upper)
    rows = {row.path: row.mark for row in Comparison(container.stack, base.stack).changes()}
    assert rows == {
        b"cache/a": Mark.REMOVED,
        b"cache/x": Mark.ADDED,
        b"etc/hard": Mark.ADDED,
        b"etc/motd": Mark.CHANGED,
        b"new": Mark.ADDED,
        b"usr/bin/same": Mark.REMOVED,
    }
    assert container.read(b"etc/motd", 99) == b"hello\nmore\n"
    told = explored.difference(base, container, limit=2)
    assert (told.base, told.now, told.added, told.removed) == ("test/base:1", "pod/web", 3, 2)
    assert len(told.rows) == 2


def test_a_layer_that_images_share_has_one_table(store: ImageStore) -> None:
    explorer = Explorer(store)
    one, two = explorer.image("test/whole:1"), explorer.image("test/base:1")
    assert one.stack.tables[0] is two.stack.tables[0]
    told = explored.layers(store, store.resolve("test/whole:1"), one)
    assert [layer.shared_with for layer in told.layers] == [["test/base:1"], [], []]
    assert told.shared + told.unique == sum(layer.size for layer in told.layers)
    assert [(step.layer, step.created_by) for step in told.history] == [
        (1, "step 0"),
        (2, "step 1"),
        (3, "step 2"),
    ]
