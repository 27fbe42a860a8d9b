"""Archives that we write: others read them, and every digest is the same after a round trip."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images.errors import BadImage, BadLayer, BadReference, ImageNotFound
from engine.images.rootfsarchive import import_rootfs
from engine.images.save import FORMATS, Format, save, save_file
from engine.images.store import ImageStore
from tests.real.images.layouts import Layout, listing, merged
from tests.real.images.tars import device, file, folder, tar
from tests.real.images.test_interchange import LAYERS, tool

BIN = Path(sys.executable).parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = ImageStore(tmp_path / "store")
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS, name="test/image:1", packed=True)
    layout.image(LAYERS[:1], name="registry.example:5000/other:2")
    store.load(layout.write())
    yield store
    store.close()


@pytest.mark.parametrize("form", FORMATS)
def test_a_round_trip_keeps_every_digest(store: ImageStore, tmp_path: Path, form: Format) -> None:
    names = ["test/image:1", "registry.example:5000/other:2"]
    with store.busy():
        store.add("test/second-name:3", store.resolve(names[0]).digest)
    names.append("test/second-name:3")
    save_file(store, names, tmp_path / "out", form)
    save_file(store, names, tmp_path / "again", form)
    if form != "oci-dir":
        assert (tmp_path / "out").read_bytes() == (tmp_path / "again").read_bytes()
    other = ImageStore(tmp_path / "other")
    other.load(tmp_path / "out")
    assert {n: other.resolve(n).digest for n in other.references()} == {
        n: store.resolve(n).digest for n in names
    }
    other.close()


@pytest.mark.parametrize("form", FORMATS)
def test_others_read_what_we_write(store: ImageStore, tmp_path: Path, form: Format) -> None:
    ours = store.resolve("test/image:1")
    save_file(store, ["test/image:1"], tmp_path / "out", form)
    kind = {"oci-dir": "oci"}.get(form, form)
    name = f"{kind}:{tmp_path / 'out'}:docker.io/test/image:1"
    config = json.loads(tool("skopeo", "inspect", "--config", name))
    assert config["rootfs"]["diff_ids"] == [str(layer.diff_id) for layer in ours.layers]
    if form != "docker-archive":  # of those a reader makes a manifest of its own
        assert json.loads(tool("skopeo", "inspect", name))["Digest"] == str(ours.digest)
    # Into umoci's hands, by skopeo where it reads layouts only.
    layout = tmp_path / "out"
    if form != "oci-dir":
        layout = tmp_path / "theirs"
        tool("skopeo", "copy", name, f"oci:{layout}:docker.io/test/image:1")
    tool("umoci", "unpack", "--image", f"{layout}:docker.io/test/image:1", tmp_path / "bundle")
    theirs, merge = listing(tmp_path / "bundle/rootfs"), merged(store.prepare(ours), tmp_path)
    assert {n: v[4] for n, v in theirs.items()} == {n: v[4] for n, v in merge.items()}


def test_nothing_is_left_of_what_cannot_be_saved(store: ImageStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ImageNotFound):
        save_file(store, ["test/image:1", "none"], out / "a.tar", "oci-archive")
    with pytest.raises(FileExistsError):
        save_file(store, ["test/image:1"], out, "oci-dir")
    blob = store.blobs.path(store.resolve("test/image:1").layers[1].digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    for form in FORMATS:
        with pytest.raises(BadImage, match="have digest"):
            save_file(store, ["test/image:1"], out / "a", form)
    assert list(out.iterdir()) == []


def test_an_image_by_its_digest_is_saved_without_a_name(store: ImageStore, tmp_path: Path) -> None:
    digest = store.resolve("test/image:1").digest
    data = io.BytesIO()
    save(store, [str(digest)], data.write, "docker-archive")
    (tmp_path / "some.tar").write_bytes(data.getvalue())
    other = ImageStore(tmp_path / "other")
    (image,) = other.load(tmp_path / "some.tar")
    assert (image.reference, image.digest) == ("some:latest", digest)
    other.close()


def test_a_root_filesystem_becomes_an_image(store: ImageStore) -> None:
    plain = tar(folder("./"), folder("etc"), file("etc/name", b"x"), file("b", b"y", mode=0o4755))
    settings = {"Cmd": ["sh"]}
    images = [
        import_rootfs(store, [data], f"t/{n}:1", settings, made_by="import", created="")
        for n, data in enumerate((plain, gzip.compress(plain, mtime=0), gzip.compress(plain, 1)))
    ]
    assert len({image.digest for image in images}) == 1
    assert images[0].layers[0].diff_id == images[0].layers[0].digest
    assert images[0].config.cmd == ("sh",)
    assert store.blobs.path(images[0].layers[0].digest).read_bytes() == plain


BROKEN = {
    "empty": b"",
    "text": b"no archive",
    "nothing in it": tar(),
    "cut short": tar(file("x", b"y"))[:700],
    "out of it": tar(file("../x", b"y")),
    "half a gzip": gzip.compress(tar(file("x", b"y")), mtime=0)[:-9],
    "a whiteout's device": tar(file("x", b"y"), device("z", tarfile.CHRTYPE, 0, 0)),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_root_filesystem_leaves_nothing(store: ImageStore, data: bytes) -> None:
    before, names = set(store.blobs.all()), store.references()
    with pytest.raises((BadLayer, BadImage)):
        import_rootfs(store, [data], "t/x:1", {}, made_by="", created="")
    with pytest.raises(BadReference):
        import_rootfs(store, [tar(file("x"))], "Not A Name", {}, made_by="", created="")
    assert set(store.blobs.all()) == before
    assert store.references() == names
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the store belongs to root")
def test_from_the_shell_through_pipes(tmp_path: Path) -> None:
    home = tempfile.mkdtemp(prefix="pds")
    env = {**os.environ, "PODARIUM_HOME": home, "SOURCE_DATE_EPOCH": "1"}

    def podarium(*words: str, data: bytes = b"") -> bytes:
        command = [str(BIN / "podarium"), *words]
        ran = subprocess.run(command, env=env, input=data, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    try:
        change = ("--change", 'CMD ["/hello"]', "-c", "ENV A=1 B=$A")
        podarium("image", "import", *change, "-", "t/piped:1", data=gzip.compress(tar(file("x"))))
        saved = podarium("save", "t/piped:1")
        assert podarium("image", "save", "t/piped:1") == saved
        podarium("rmi", "t/piped:1")
        (tmp_path / "s.tar").write_bytes(saved)
        told = podarium("load", "-i", str(tmp_path / "s.tar")).decode()
        assert told.startswith("loaded t/piped:1 (sha256:")
        podarium("save", "--format", "oci-dir", "-o", str(tmp_path / "l"), "t/piped:1")
        config = json.loads(tool("skopeo", "inspect", "--config", f"oci:{tmp_path / 'l'}"))
        assert config["created"] == "1970-01-01T00:00:01Z"
        assert config["config"] == {"Cmd": ["/hello"], "Env": ["A=1", "B="]}
    finally:
        shutil.rmtree(home)
