"""Whatever comes, it is refused by name or it is taken whole: nothing else may happen."""

import json
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.images import tar
from engine.images.errors import BadImage, BadLayer, ImageError
from engine.images.layers.dir import DirDriver
from engine.images.layers.erofs import IMAGE, ErofsDriver
from engine.images.layers.erofsimage import ARCHIVE
from engine.images.layers.index import NAME, LayerIndex, write_index
from engine.images.layers.tree import Tree
from engine.images.tar import Entry, Limits
from engine.images.tarfields import checksum
from engine.images.types import ConfigFile, Digest, Index, Manifest

LIMITS = Limits(entries=40, total=1 << 16, header=2048, depth=8, xattr=128, kept=2000, segments=20)
part = st.sampled_from(
    [b"a", b"b", b"c", b"..", b".", b"", b".wh.a", b".wh..wh..opq", b".wh.", b"\xff", b"x" * 90]
)
name = st.lists(part, max_size=5).map(b"/".join)
octal = st.integers(0, 0o7777777).map(lambda n: b"%o" % n)
number = st.integers(0, 29).flatmap(lambda n: octal if n else st.binary(max_size=8))
record = st.tuples(
    st.sampled_from(
        [b"path", b"linkpath", b"size", b"uid", b"mtime", b"SCHILY.xattr.user.a", b"GNU.sparse.map",
         b"GNU.sparse.realsize", b"GNU.sparse.major", b"GNU.sparse.name", b"GNU.sparse.offset"]
    ),
    st.one_of(name, number, st.sampled_from([b"0,4,8,4", b"1", b"-1.5", b"99999999999"])),
)  # fmt: skip


@st.composite
def header(draw: st.DrawFn) -> bytes:
    """A block that is nearly a header, with a right checksum; what belongs to it follows."""
    block = bytearray(512)
    kind = draw(st.sampled_from(b"000001234555556xxgLKSV\0"))
    body = draw(st.binary(max_size=600))
    if kind in b"xg":
        body = b"".join(_record(k, v) for k, v in draw(st.lists(record, max_size=4)))
    elif kind in b"LK":
        body = draw(name)
    elif kind not in b"0S\0":
        body = b""
    block[0:100] = draw(name)[:100].ljust(100, b"\0")
    for at, width in ((100, 8), (108, 8), (116, 8), (136, 12), (329, 8), (337, 8)):
        block[at : at + width] = draw(number)[:width].ljust(width, b"\0")
    size = draw(st.sampled_from([len(body)] * 12 + [0, 1, 1 << 30]))
    block[124:136] = b"%011o\0" % size
    block[156] = kind
    block[157:257] = draw(name)[:100].ljust(100, b"\0")
    block[257:265] = draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)]))
    for _ in range(max(0, draw(st.integers(-9, 2)))):
        block[draw(st.integers(0, 511))] = draw(st.integers(0, 255))
    block[148:156] = b"%06o\0 " % checksum(bytes(block))
    return bytes(block) + body + bytes(-len(body) % 512)


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key, value)
    length = len(body) + len(str(len(body) + 2))
    return str(length).encode() + body


archives = st.lists(header(), max_size=8).map(b"".join)


@settings(max_examples=300, derandomize=True)
@given(archive=archives, cut=st.integers(0, 3000), size=st.integers(1, 900))
def test_an_archive_is_refused_or_kept(archive: bytes, cut: int, size: int) -> None:
    archive = archive[: len(archive) - cut] if cut < 300 else archive
    chunks = [archive[at : at + size] for at in range(0, len(archive), size)]
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder)
        try:
            done = ErofsDriver(DirDriver()).write(chunks, layer, [], LIMITS)
        except BadLayer:
            return
        except ImageError as error:
            raise AssertionError("the disk was not asked for anything odd") from error
        kept = (layer / IMAGE).read_bytes()
        assert kept[ARCHIVE : ARCHIVE + len(archive)] == archive
        assert len(kept) < len(archive) + (1 << 20)
        write_index(done.tree, layer / NAME)
        with LayerIndex.open(layer / NAME) as index:
            for parts, entry in index.walk():
                assert not {b"..", b".", b""} & set(parts)
                assert index.lookup(parts) == entry
                assert entry.kind != tar.FILE or 0 <= entry.size <= LIMITS.total
                assert len(parts) <= LIMITS.depth + 8
                assert entry.offset <= len(archive)


names = st.lists(st.sampled_from([b"a", b"b", b"l", b"m"]), min_size=1, max_size=4).map(tuple)
entries = st.one_of(
    st.builds(Entry, names, st.just(tar.FILE)),
    st.builds(Entry, names, st.just(tar.DIRECTORY)),
    st.builds(
        Entry, names, st.just(tar.SYMLINK),
        link=st.sampled_from([b"a", b"../b", b"/l", b"m/..", b"../../../a/b", b"l"]),
    ),
    st.builds(Entry, names, st.just(tar.HARDLINK), target=names),
    st.builds(
        Entry, st.tuples(names, st.sampled_from([b".wh.a", b".wh..wh..opq"])).map(
            lambda pair: (*pair[0], pair[1])
        ), st.just(tar.FILE),
    ),
)  # fmt: skip


@settings(max_examples=300, derandomize=True)
@given(made=st.lists(entries, max_size=25))
def test_a_tree_stays_one_whatever_replaces_what(made: list[Entry]) -> None:
    tree = Tree()
    for entry in made:
        try:
            tree.add(entry)
        except BadLayer:
            continue
    tree.finish(lambda parts: None)
    order = list(tree.order())
    assert len(order) == len(set(order))
    for node in order:
        assert tree.find(tree.path(node)) in (node, None), "a parent may be a link no more"
        real = tree.same.get(node, node)
        assert real not in tree.same
        assert real not in tree.kids or node == real
        if node in tree.kids:
            assert node == 0 or tree.kids[tree.parents[node]][tree.names[node]] == node


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 1 << 70), st.floats(), st.text(max_size=20),
        st.sampled_from(["sha256:" + "a" * 64, "../../etc", "sha256:x", "layers", "linux"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size",
                 "rootfs", "type", "diff_ids", "architecture", "os", "history", "Env", "platform"]
            ),
            inner, max_size=6,
        ),
    ),
    max_leaves=20,
)  # fmt: skip
blob = {"mediaType": "", "digest": str(Digest.of(b"")), "size": 0}
manifest = {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {**blob, "mediaType": "application/vnd.oci.image.config.v1+json"}, "layers": [blob],
}  # fmt: skip


@settings(max_examples=300, derandomize=True)
@given(field=st.sampled_from([*manifest, "manifests", "rootfs", "os"]), value=values)
def test_a_document_is_refused_or_read(field: str, value: object) -> None:
    for document in ({**manifest, field: value}, value):
        raw = json.dumps(document).encode()
        for shape in (Manifest, Index, ConfigFile):
            try:
                found = shape.parse(raw, "x")
            except BadImage:
                continue
            if isinstance(found, Manifest):
                for each in (found.config, *found.layers):
                    assert os.path.basename(each.digest.hex) == each.digest.hex
                    assert each.size >= 0
