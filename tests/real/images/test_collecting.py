"""What is kept, what is not, and whether all of it is still right."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.images.errors import ImageNotFound
from engine.images.rootfs import create_rootfs, remove_rootfs
from engine.images.store import ImageStore
from engine.images.types import Digest
from tests.real.images.layouts import Layout, opened
from tests.real.images.tars import file, folder, symlink, tar, whiteout

BASE = tar(folder("d"), file("d/base", b"b" * 1000), symlink("l", "d"))
ONE = tar(folder("d"), file("d/one", b"1" * 100))
TWO = tar(folder("d"), file("d/two", b"2" * 50), whiteout("d/base"))


@pytest.fixture
def store(tmp_path: Path, driver: str) -> ImageStore:
    layout = Layout(tmp_path / "layout")
    layout.image([BASE, ONE], name="a/one:1")
    layout.image([BASE, TWO], name="a/two:1")
    store = opened(tmp_path / "store")
    for image in store.load(layout.write()):
        store.prepare(image)
    return store


def test_a_dry_run_is_exact(store: ImageStore, tmp_path: Path) -> None:
    assert store.garbage().size == 0
    sizes = store.usage()
    one, two = store.resolve("a/one:1"), store.resolve("a/two:1")
    assert sizes[one.digest].shared == sizes[two.digest].shared == len(BASE) + 1000
    (top, _) = store.prepare(one)
    create_rootfs([top], tmp_path / "c", hostname="h", hosts=b"", resolv=b"")
    unique = store.usage()[one.digest]
    assert unique.unique - unique.reclaimable == 100, "a container stands on the layer"
    with store.busy():  # nobody collects yet
        store._catalog.remove("docker.io/a/one:1", store._write_index)
        planned = store.garbage()
    assert planned.size == unique.reclaimable
    assert one.digest in planned.blobs
    assert planned.layers == {}
    freed = store.gc()
    assert (freed.blobs, freed.layers, freed.size) == (3, 0, planned.size)
    assert store.garbage().size == 0
    remove_rootfs(tmp_path / "c")
    assert store.garbage().layers == {one.layers[1].diff_id.hex: 100}
    assert store.gc().size == 100


_HOLD = """
import sys
from pathlib import Path
from engine.images.store import ImageStore
from engine.images.types import Digest
with ImageStore(Path(sys.argv[1])).lease([Digest(d) for d in sys.argv[2:]]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_is_on_lease_stays_until_its_holder_ends(store: ImageStore) -> None:
    two = store.resolve("a/two:1")
    blob = store.blobs.put(b"not named yet")
    wanted = [blob, two.digest, two.layers[1].digest, two.layers[1].diff_id]
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, store.root, *map(str, wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    store.remove("a/two:1")
    assert all(store.blobs.has(digest) for digest in wanted[:3])
    assert two.layers[1].diff_id.hex in store.layers.all()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert store.garbage().blobs.keys() == set(wanted[:3])
    assert (store.gc().blobs, store.gc().layers) == (3, 0)
    assert two.layers[1].diff_id.hex not in store.layers.all()
    assert os.listdir(store.root / "leases") == []


def test_a_store_that_is_well_has_nothing_to_find(store: ImageStore) -> None:
    assert store.check() == []
    (store.root / "blobs/sha256/not-a-blob").touch()
    assert store.check() == []
    assert store.gc().blobs == 0


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_blob_is_found_and_its_image_given_up(store: ImageStore, damage: str) -> None:
    one = store.resolve("a/one:1")
    blob = store.blobs.path(one.layers[1].digest)
    data = blob.read_bytes()
    blob.unlink()
    if damage != "gone":
        blob.write_bytes(data[:-1] if damage == "cut" else data[:-1] + b"x")
    (finding,) = store.check()
    assert str(one.layers[1].digest) in str(finding)
    assert finding.names == ("docker.io/a/one:1",)
    assert str(finding).endswith("; pull again: docker.io/a/one:1")
    assert store.check(repair=True) == [finding]
    assert store.check() == []
    with pytest.raises(ImageNotFound):
        store.resolve("a/one:1")
    assert len(store.prepare(store.resolve("a/two:1"))) == 2
    store.gc()
    assert store.check() == []


def test_a_damaged_layer_is_found_and_made_again(store: ImageStore, driver: str) -> None:
    two = store.resolve("a/two:1")
    layer = store.prepare(two)[1].parent
    store.layers.close()
    if driver == "erofs":
        with open(layer / "image", "r+b") as image:
            image.seek(4096 + 512 * 2)
            image.write(b"X")
    else:
        (layer / "fs/d/base").write_bytes(b"short")
    (finding,) = store.check(repair=True)
    assert finding.layer == layer.name
    assert ("its archive has digest" if driver == "erofs" else "/'d/base'") in finding.reason
    assert not layer.exists()
    assert store.check() == []
    assert (store.prepare(two)[1] / "d/base").read_bytes() == b"b" * 1000


_FULL = """
set -e
mount -t tmpfs -o size=700k tmpfs "$1"
exec "$2" -c "$3" "$1" "$4"
"""
_FILL = """
import os, shutil, sys
from pathlib import Path
from engine.images.errors import ImageError
from engine.images.store import ImageStore
root = Path(sys.argv[1])
store = ImageStore(root / "s", driver=sys.argv[2].partition(":")[0])
ballast = root / "ballast"
refused = 0
for kilobytes in range(650, -1, -50):  # a little more room each time, until it is enough
    with open(ballast, "wb") as file:
        try:
            file.write(bytes(kilobytes << 10))
        except OSError:
            continue
    try:
        images = store.load(Path(sys.argv[2].partition(":")[2]))
        store.ready(images[0])
        break
    except (ImageError, OSError) as error:
        assert "space" in str(error), error
        refused += 1
    assert os.listdir(root / "s/tmp") == [], "nothing is left of what failed"
    ballast.unlink()
ballast.unlink()
assert refused > 1, refused
assert store.check() == [], store.check()
store.gc()
print("ended well")
"""


def test_a_full_disk_leaves_a_store_that_is_whole(tmp_path: Path, driver: str) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image([tar(*(file(f"f{n}", os.urandom(3000)) for n in range(20)))])
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "-m", "sh", "-c", _FULL, "sh", disk, sys.executable, _FILL]
    done = subprocess.run(
        [*command, f"{driver}:{layout.write()}"], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("ended well\n"), done.stderr


def test_digests_that_nobody_has_may_be_leased(store: ImageStore) -> None:
    with store.lease([Digest("sha256:" + "1" * 64)]):
        assert store.gc().blobs == 0
