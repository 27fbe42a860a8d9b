"""Images in files: every form gives the same image; a damaged one says how and leaves nothing."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.images.archive import host_platform
from engine.images.errors import BadImage, BadLayer, ImageError
from engine.images.store import ImageStore
from tests.real.images.layouts import INDEX, Layout, config, digest, opened
from tests.real.images.tars import file, folder, tar

LAYERS = [tar(folder("d"), file("d/a", b"x" * 3000)), tar(folder("d"), file("d/b", b"y"))]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = opened(tmp_path / "store")
    yield store
    store.close()


def pack(
    path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]], *, packed: bool = False
) -> Path:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    path.write_bytes(gzip.compress(out.getvalue()) if packed else out.getvalue())
    return path


def files(layout: Path) -> list[tarfile.TarInfo | tuple[str, bytes]]:
    paths = sorted((p for p in layout.rglob("*") if p.is_file()), reverse=True)
    return [(str(p.relative_to(layout)), p.read_bytes()) for p in paths]


def docker_members(tags: list[str] | None, layers: list[bytes]) -> list[Any]:
    """As `docker save` wrote before 25: layers in folders, a repeated one as a link."""
    raw = config(layers)
    names = [f"{n}{'0' * 63}/layer.tar" for n in range(len(layers))]
    members: list[Any] = [(f"{digest(raw)[7:]}.json", raw)]
    for n, (name, layer) in enumerate(zip(names, layers, strict=True)):
        if layer in layers[:n]:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"../{names[layers.index(layer)]}"
            members.append(link)
        else:
            members.append((name, layer))
    document = [{"Config": f"{digest(raw)[7:]}.json", "RepoTags": tags, "Layers": names}]
    members.append(("manifest.json", json.dumps(document).encode()))
    return members


def check(store: ImageStore, path: Path, reference: str) -> None:
    (image,) = store.load(path)
    assert image.reference == reference
    assert [str(layer.diff_id) for layer in image.layers] == [digest(layer) for layer in LAYERS]
    assert [layer.created_by for layer in image.layers] == ["step 0", "step 1"]
    assert image.config.cmd == ("sh",)
    lowerdirs = store.prepare(image)
    assert [sorted(p.name for p in (path / "d").iterdir()) for path in lowerdirs] == [["b"], ["a"]]
    assert store.resolve(reference).layers[0].entries == 2
    assert store.resolve(reference).layers[0].unpacked_size == 3000


@pytest.mark.parametrize("packed", [False, True], ids=["plain layers", "gzip layers"])
@pytest.mark.parametrize("form", ["folder", "archive", "gzip archive"])
def test_an_oci_layout(store: ImageStore, tmp_path: Path, packed: bool, form: str) -> None:
    layout = Layout(tmp_path / "layout")
    entry = layout.image(LAYERS, packed=packed)
    path = layout.write()
    if form != "folder":
        path = pack(tmp_path / "image.tar", files(path), packed=form == "gzip archive")
    check(store, path, "test/image:1")
    assert str(store.resolve("test/image:1").digest) == entry["digest"], "the manifest's own bytes"


@pytest.mark.parametrize("packed", [False, True])
def test_a_docker_archive(store: ImageStore, tmp_path: Path, packed: bool) -> None:
    members = docker_members(["test/image:1"], LAYERS)
    check(store, pack(tmp_path / "image.tar", members, packed=packed), "test/image:1")
    assert str(store.resolve("test/image:1").config_digest) == digest(config(LAYERS)), (
        "the image id"
    )


def test_a_docker_archive_whose_layers_are_links_to_each_other(
    store: ImageStore, tmp_path: Path
) -> None:
    layers = [LAYERS[0], LAYERS[0]]
    (image,) = store.load(pack(tmp_path / "image.tar", docker_members(["a:1"], layers)))
    assert image.layers[0].digest == image.layers[1].digest
    assert len(store.prepare(image)) == 2


def test_a_docker_archive_of_docker_25_keeps_the_manifest(
    store: ImageStore, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    entry = layout.image(LAYERS, name="1")  # only the tag, as Docker writes it
    raw = config(LAYERS)
    document = [
        {
            "Config": f"blobs/sha256/{digest(raw)[7:]}",
            "RepoTags": ["test/image:1"],
            "Layers": [f"blobs/sha256/{digest(layer)[7:]}" for layer in LAYERS],
        }
    ]
    (layout.write() / "manifest.json").write_text(json.dumps(document))
    check(store, pack(tmp_path / "image.tar", files(layout.path)), "test/image:1")
    assert str(store.resolve("test/image:1").digest) == entry["digest"]


@pytest.mark.parametrize("name", ["", "v2"])
def test_an_image_without_a_name_has_its_files(
    store: ImageStore, tmp_path: Path, name: str
) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS, name=name)
    (image,) = store.load(pack(tmp_path / "My App_1.tar.gz", files(layout.write()), packed=True))
    assert image.reference == f"my-app-1:{name or 'latest'}"


def test_several_images_and_names(store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS, name="a:1")
    layout.image(LAYERS[:1], name="docker.io/library/b:1")
    assert [image.reference for image in store.load(layout.write())] == ["a:1", "b:1"]
    assert store.references() == ["a:1", "b:1"]
    assert len(store.blobs.all()) == 2 + 2 + 2


def platform_index(layout: Layout, platforms: list[dict[str, str]]) -> None:
    entries = []
    for n, platform in enumerate(platforms):
        entries.append(layout.image(LAYERS[n : n + 1], name="") | {"platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    entry = layout.blob(json.dumps(index).encode(), INDEX)
    layout.entries = [entry | {"annotations": {"org.opencontainers.image.ref.name": "a:1"}}]


HERE = {"os": "linux", "architecture": host_platform().architecture}
ELSEWHERE = {"os": "linux", "architecture": "s390x"}


def test_an_index_gives_the_image_of_this_machine(store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    platform_index(layout, [ELSEWHERE, HERE])
    (image,) = store.load(layout.write())
    assert str(image.layers[0].diff_id) == digest(LAYERS[1])


def test_an_index_without_this_machine_says_so(store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    platform_index(layout, [ELSEWHERE, ELSEWHERE | {"architecture": "riscv64"}])
    with pytest.raises(BadImage, match="linux/s390x, linux/riscv64"):
        store.load(layout.write())


def wrong_blob(layout: Layout, data: bytes) -> None:
    path = layout.path / "blobs/sha256" / digest(LAYERS[0])[7:]
    path.write_bytes(data)


def bomb_index(layout: Layout) -> None:
    """Indexes that point at each other, deeper than anybody needs."""
    entry = layout.image(LAYERS, name="")
    for _ in range(6):
        raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
        entry = layout.blob(raw, INDEX)
    layout.entries = [entry]


DAMAGES: dict[str, Any] = {
    "a layer of other bytes": (lambda la: wrong_blob(la, b"z" * len(LAYERS[0])), "digest"),
    "a layer cut short": (lambda la: wrong_blob(la, LAYERS[0][:-1]), "missing"),
    "a layer too long": (lambda la: wrong_blob(la, LAYERS[0] + b"z"), "longer"),
    "a layer that is not there": (
        lambda la: (la.path / "blobs/sha256" / digest(LAYERS[0])[7:]).unlink(),
        "missing",
    ),
    "an index that is no JSON": (lambda la: (la.path / "index.json").write_text("{"), "index.json"),
    "an index with a path for a digest": (
        lambda la: (la.path / "index.json").write_text(
            json.dumps(
                {
                    "schemaVersion": 2,
                    "manifests": [{"digest": "sha256:../../../etc/shadow", "size": 1}],
                }
            )
        ),
        "64 hexadecimal",
    ),
    "a manifest of another size": (
        lambda la: la.entries[0].update(size=5) or la.write(),
        "the bytes",
    ),
    "no index": (lambda la: (la.path / "index.json").unlink(), "neither"),
    "a blob that is a link out": (
        lambda la: (
            (p := la.path / "blobs/sha256" / digest(LAYERS[0])[7:]).unlink(),
            p.symlink_to("/etc/passwd"),
        ),
        "missing",
    ),
    "indexes without end": (lambda la: bomb_index(la) or la.write(), "no image"),
    "too many diff ids": (
        lambda la: (
            la.entries.clear(),
            la.image(LAYERS[:1], rootfs=json.loads(config(LAYERS))["rootfs"]),
            la.write(),
        ),
        "2 diff ids",
    ),
    "a name that is none": (
        lambda la: (
            la.entries[0]["annotations"].update({"org.opencontainers.image.ref.name": "A:B:C"}),
            la.write(),
        ),
        "not a",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_named_and_nothing_is_visible(
    store: ImageStore, tmp_path: Path, damage: Any
) -> None:
    harm, says = damage
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS)
    layout.write()
    harm(layout)
    with pytest.raises(ImageError, match=says):
        store.load(layout.path)
    assert store.images() == []
    store.gc()
    assert store.blobs.all() == []
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "neither"),
        (b"rubbish" * 100, "not an image archive"),
        (gzip.compress(b"x" * 600), "not an image"),
    ],
    ids=["empty", "rubbish", "gzip of rubbish"],
)
def test_a_file_that_is_no_archive(
    store: ImageStore, tmp_path: Path, data: bytes, says: str
) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(BadImage, match=says):
        store.load(tmp_path / "x")


def test_a_file_that_is_not_there(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="nothing: No such file"):
        store.load(tmp_path / "nothing")


def test_names_in_a_docker_archive_lead_nowhere_else(store: ImageStore, tmp_path: Path) -> None:
    document = [{"Config": "../../../../../../etc/hostname", "RepoTags": ["a:1"], "Layers": []}]
    for path in (tmp_path / "folder", tmp_path / "x.tar"):
        if path.suffix:
            pack(path, [("manifest.json", json.dumps(document).encode())])
        else:
            path.mkdir()
            (path / "manifest.json").write_text(json.dumps(document))
        with pytest.raises(BadImage, match="etc/hostname: missing"):
            store.load(path)


def test_a_layer_that_is_not_what_the_config_says_is_not_unpacked(
    store: ImageStore, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS, rootfs={"type": "layers", "diff_ids": [digest(b"a"), digest(b"b")]})
    (image,) = store.load(layout.write())
    with pytest.raises(BadLayer, match="diff id"):
        store.prepare(image)
    assert store.layers.all() == []
    assert list((store.root / "tmp").iterdir()) == []


def test_a_blob_that_rots_is_found_out(store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS)
    (image,) = store.load(layout.write())
    path = store.blobs.path(image.layers[0].digest)
    path.write_bytes(b"z" * path.stat().st_size)
    with pytest.raises(ImageError, match=str(image.layers[0].digest)):
        store.prepare(image)
