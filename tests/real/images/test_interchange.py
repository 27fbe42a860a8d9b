"""Other tools read what we write, and we read what they write, with the same result.

skopeo and umoci (Debian packages of these names) are the peers; without them these tests fail.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.images.hostimage import REFERENCE, build
from engine.images.store import ImageStore
from engine.images.types import Image
from tests.real.images.layouts import Layout, listing, merged, opened
from tests.real.images.tars import (
    file,
    folder,
    hardlink,
    opaque,
    symlink,
    tar,
    whiteout,
)

LAYERS = [
    tar(
        folder("./"), folder("etc"), file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), folder("d"),
        file("d/a", b"a"), file("d/b", b"b", mode=0o4755), hardlink("d/hard", "d/a"), folder("o"),
        file("o/old", b"x"), symlink("l", "d/a"), file("gone", b"x"), folder("tmp", mode=0o1777),
        file("long/" + "n" * 200, b"x", uid=3_000_000), file("becomes", b"a file"),
    ),
    tar(
        folder("d", mode=0o711), whiteout("d/b"), opaque("o"), file("o/new", b"y"),
        whiteout("gone"), folder("becomes"), file("becomes/d", b"z"), file("l", b"no link"),
        file("d/c", b"c", mtime=5),
    ),
]  # fmt: skip


def tool(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = opened(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    layout = Layout(tmp_path / "layout")
    layout.image(LAYERS, name="test", packed=True)
    return layout.write()


def diff_ids(image: Image) -> list[str]:
    return [str(layer.diff_id) for layer in image.layers]


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_we_load_what_skopeo_writes(
    store: ImageStore, layout: Path, tmp_path: Path, form: str
) -> None:
    name = "docker.io/test/image:7" if form == "docker-archive" else "test/image:7"
    tool("skopeo", "copy", f"oci:{layout}:test", f"{form}:{tmp_path / 'out'}:{name}")
    (image,) = store.load(tmp_path / "out")
    assert image.reference == "test/image:7"
    config = json.loads(tool("skopeo", "inspect", "--config", f"oci:{layout}:test"))
    assert diff_ids(image) == config["rootfs"]["diff_ids"]
    assert len(store.prepare(image)) == 2


def test_a_stack_is_what_umoci_unpacks(store: ImageStore, layout: Path, tmp_path: Path) -> None:
    tool("umoci", "unpack", "--image", f"{layout}:test", tmp_path / "bundle")
    theirs = listing(tmp_path / "bundle/rootfs")
    (image,) = store.load(layout)
    ours = merged(store.prepare(image), tmp_path)

    def comparable(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
        # umoci notes what it unpacked in an attribute of its own; the root's is overlayfs'
        # business.
        kept: dict[str, list[Any]] = {}
        for name, (kind, uid, gid, mtime, what, attributes) in found.items():
            foreign = {k: v for k, v in attributes.items() if "umoci" not in k}
            kept[name] = [kind, uid, gid, mtime, what, foreign]
        # A directory that the archives omit has no time of its own there.
        kept["long"][3] = 0
        del kept["."]
        return kept

    assert comparable(ours) == comparable(theirs)


def test_others_read_the_store_as_an_oci_layout(store: ImageStore, tmp_path: Path) -> None:
    image = build(store).image
    name = f"oci:{store.root}:docker.io/{REFERENCE}"
    config = json.loads(tool("skopeo", "inspect", "--config", name))
    assert config["rootfs"]["diff_ids"] == diff_ids(image)
    assert config["config"]["Labels"] == {"io.podarium.host": "true"}
    tool("skopeo", "copy", name, f"docker-archive:{tmp_path / 'out.tar'}:{REFERENCE}")
    other = opened(tmp_path / "other")
    (again,) = other.load(tmp_path / "out.tar")
    assert again.config_digest == image.config_digest
    assert diff_ids(again) == diff_ids(image)
    tool("umoci", "unpack", "--image", f"{store.root}:docker.io/{REFERENCE}", tmp_path / "bundle")
    theirs, ours = listing(tmp_path / "bundle/rootfs"), merged(store.prepare(image), tmp_path)
    assert set(theirs) == set(ours)
    assert {n: v[4] for n, v in theirs.items()} == {n: v[4] for n, v in ours.items()}
