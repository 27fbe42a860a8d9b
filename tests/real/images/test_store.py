"""The store: one image under every name, shared by processes, whole after a crash."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.images.errors import BadReference, ImageNotFound
from engine.images.layers.base import Unpacked
from engine.images.layers.making import DRIVERS
from engine.images.rootfs import create_rootfs, remove_rootfs
from engine.images.store import ImageStore
from engine.images.types import Digest
from tests.real.images.layouts import Layout, opened
from tests.real.images.tars import file, folder, tar

ONE, TWO = tar(folder("d"), file("d/one", b"1" * 100)), tar(folder("d"), file("d/two", b"2" * 50))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = opened(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    layout = Layout(tmp_path / "layout")
    layout.image([ONE], name="a/one:1")
    layout.image([ONE, TWO], name="a/two:1")
    return layout.write()


@pytest.mark.parametrize("name", ["a/one:1", "docker.io/a/one:1", "index.docker.io/a/one:1"])
def test_every_spelling_finds_the_image(store: ImageStore, layout: Path, name: str) -> None:
    one, _ = store.load(layout)
    assert store.resolve(name) == one
    for digest in (one.digest, one.config_digest):
        assert store.resolve(str(digest)) == one
        assert store.resolve(f"a/one@{digest}") == one
        assert store.resolve(f"a/one:other@{digest}") == one


@pytest.mark.parametrize(
    "name", ["a/one", "a/one:2", "b/one:1", "localhost/a/one:1", "sha256:" + "a" * 64]
)
def test_what_is_not_there_says_what_is_and_the_way_out(
    store: ImageStore, layout: Path, name: str
) -> None:
    store.load(layout)
    with pytest.raises(ImageNotFound) as missing:
        store.resolve(name)
    assert missing.value.reference == name
    assert missing.value.available == ("a/one:1", "a/two:1")
    assert "a/one:1, a/two:1" in str(missing.value)
    assert "podarium load -i ARCHIVE" in str(missing.value)
    with pytest.raises(ImageNotFound):
        store.remove(name) if not name.startswith("sha256") else store.resolve(name)


def test_a_name_by_digest_names_that_image(store: ImageStore, layout: Path) -> None:
    one, two = store.load(layout)
    index = Digest("sha256:" + "1" * 64)
    with store.busy():
        with pytest.raises(BadReference, match="digest is"):
            store.add(f"x@{two.digest}", one.digest)
        store.add(f"x@{one.digest}", one.digest)
        store.add(f"y@{index}", one.digest, chosen_from=index)
    assert store.resolve(f"x@{one.digest}").reference == f"x@{one.digest}"
    assert store.resolve(f"y@{index}").digest == one.digest
    store.remove("a/one:1")
    store.remove(f"x@{one.digest}")
    assert store.resolve(f"y:tag@{index}").layers


def test_the_store_is_an_oci_layout(store: ImageStore, layout: Path) -> None:
    def index() -> list[str]:
        document = json.loads((store.root / "index.json").read_bytes())
        return [
            e["annotations"]["org.opencontainers.image.ref.name"] for e in document["manifests"]
        ]

    assert json.loads((store.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert index() == []
    store.load(layout)
    assert index() == ["docker.io/a/one:1", "docker.io/a/two:1"]
    store.remove("a/one:1")
    assert index() == ["docker.io/a/two:1"]
    for name in (store.root / "blobs/sha256").iterdir():
        assert Digest.of(name.read_bytes()).hex == name.name
        assert name.stat().st_mode & 0o777 == 0o600
    assert store.root.stat().st_mode & 0o777 == 0o700
    assert opened(store.root).references() == ["a/two:1"]
    other = opened(store.root.parent / "other")
    assert [image.reference for image in other.load(store.root)] == ["a/two:1"]


def test_layers_are_shared_and_go_with_their_last_image(store: ImageStore, layout: Path) -> None:
    one, two = store.load(layout)
    (shared,), (top, bottom) = store.prepare(one), store.prepare(two)
    assert shared == bottom
    assert len(store.layers.all()) == 2
    removed = store.remove("a/two:1")
    assert (removed.blobs, removed.layers) == (3, 1)
    assert shared.exists()
    assert not top.exists()
    store.remove("a/one:1")
    assert (store.layers.all(), store.blobs.all(), list((store.root / "tmp").iterdir())) == (
        [],
        [],
        [],
    )


def test_a_layer_of_an_earlier_boot_is_not_relied_upon(tmp_path: Path, layout: Path) -> None:
    """Its files may be empty: nobody waited until they were on the disk."""
    store = ImageStore(tmp_path / "store", driver="dir")
    _, two = store.load(layout)
    top, bottom = store.prepare(two)
    for path in (top / "d/two", bottom / "d/one"):
        path.write_bytes(b"")
    again = ImageStore(store.root, driver="dir")
    again.layers.boot = "another"
    assert again.resolve("a/two:1").layers[0].entries is None
    assert again.prepare(two) == [top, bottom]
    assert [p.stat().st_size for p in (top / "d/two", bottom / "d/one")] == [50, 100]
    assert again.resolve("a/two:1").layers[0].entries == 2
    assert list((store.root / "tmp").iterdir()) == []


def test_an_image_with_two_names_stays_until_the_second_goes(
    store: ImageStore, layout: Path
) -> None:
    one, _ = store.load(layout)
    store.add("other:1", one.digest)
    store.remove("a/one:1")
    assert store.resolve("other:1").digest == one.digest
    assert store.resolve(str(one.digest)).reference == "other:1"


def test_a_name_given_to_another_image_leaves_the_first_to_the_collector(
    store: ImageStore, layout: Path
) -> None:
    one, two = store.load(layout)
    store.add("a/one:1", two.digest)
    assert store.resolve("a/one:1").digest == two.digest
    assert store.gc().blobs == 2  # the manifest and the config: its layer is also the other's
    with pytest.raises(ImageNotFound):
        store.resolve(str(one.digest))


def test_a_layer_under_a_container_stays(store: ImageStore, layout: Path, tmp_path: Path) -> None:
    one, _ = store.load(layout)
    lowerdirs = store.prepare(one)
    container = tmp_path / "container"
    create_rootfs(lowerdirs, container, hostname="h", hosts=b"", resolv=b"")
    store.remove("a/two:1")
    assert store.remove("a/one:1").layers == 0
    assert (lowerdirs[0] / "d/one").exists()
    remove_rootfs(container)
    assert store.gc().layers == 1
    assert store.layers.all() == []


def test_a_container_that_is_gone_without_a_word_holds_nothing(
    store: ImageStore, layout: Path, tmp_path: Path
) -> None:
    one, _ = store.load(layout)
    create_rootfs(store.prepare(one), tmp_path / "c", hostname="h", hosts=b"", resolv=b"")
    shutil.rmtree(tmp_path / "c")
    store.remove("a/two:1")
    assert store.remove("a/one:1").layers == 1


def test_a_blob_is_on_the_disk_before_it_has_its_name(
    store: ImageStore, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        events.append(("fsync", os.fstat(descriptor).st_ino))

    def recorded_rename(source: Path, target: Path) -> None:
        events.append(("rename", os.stat(source).st_ino))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    store.load(layout)
    folder = store.root / "blobs/sha256"
    for blob in folder.iterdir():
        inode = blob.stat().st_ino
        named = events.index(("rename", inode))
        assert events.index(("fsync", inode)) < named
        assert ("fsync", folder.stat().st_ino) in events[named:]


_COLLECT = """
import sys
from pathlib import Path
from engine.images.store import ImageStore
ImageStore(Path(sys.argv[1])).gc()
"""


def waits_for_a_lock(pid: int) -> bool:
    """proc_locks(5): a "->" is somebody who waits."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {pid} " in line for line in lines)


def test_a_collection_waits_for_a_load(store: ImageStore, layout: Path) -> None:
    """What a load has stored, and not yet named, is not taken for garbage."""
    with store.busy():
        digest = store.blobs.put(b"not yet named")
        child = subprocess.Popen([sys.executable, "-c", _COLLECT, store.root])
        while not waits_for_a_lock(child.pid):
            assert child.poll() is None, "it did not wait"
            time.sleep(0.005)
        assert store.blobs.has(digest)
    assert child.wait() == 0
    assert not store.blobs.has(digest)


_LOAD = """
import sys
from pathlib import Path
from engine.images.store import ImageStore
store = ImageStore(Path(sys.argv[1]))
for image in store.load(Path(sys.argv[2])):
    print(*store.prepare(image))
"""


def test_several_processes_at_once(tmp_path: Path, layout: Path) -> None:
    command = [sys.executable, "-c", _LOAD, tmp_path / "store", layout]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)
    ]
    done = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 4, done
    assert len({out for out, _ in done}) == 1
    store = opened(tmp_path / "store")
    assert store.references() == ["a/one:1", "a/two:1"]
    assert len(store.layers.all()) == 2
    assert list((store.root / "tmp").iterdir()) == []


_DIE = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[3])
def dying(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
for name in ("rename", "fsync", "mkdir", "replace", "rmdir", "unlink", "write", "symlink", "mknod"):
    setattr(os, name, dying(getattr(os, name)))
from engine.images.store import ImageStore
store = ImageStore(Path(sys.argv[1]), driver=sys.argv[4])
for image in store.load(Path(sys.argv[2])):
    store.ready(image)
store.remove("a/two:1")
"""


def test_several_threads_unpack_a_layer_once(
    store: ImageStore, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelets of several nodes start the first pods of an image at the same moment."""
    _, image = store.load(layout)
    unpacked: list[Path] = []
    kind = type(DRIVERS[store.layers.choice.name])
    write = kind.write

    def counted(self: Any, chunks: Any, layer: Path, below: Any, limits: Any) -> Unpacked:
        unpacked.append(layer)
        return write(self, chunks, layer, below, limits)

    monkeypatch.setattr(kind, "write", counted)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: store.prepare(image), range(8)))
    assert made == [made[0]] * 8
    assert len(unpacked) == 2


# Dies by its own hand at the Nth call of one of these: every step that makes something visible.


@pytest.mark.parametrize("driver", ["dir", "erofs"])
def test_killed_anywhere_leaves_a_whole_store(tmp_path: Path, layout: Path, driver: str) -> None:
    step = killed = 0
    while True:
        root = tmp_path / f"store{step}"
        command = [sys.executable, "-c", _DIE, root, layout, str(step), driver]
        done = subprocess.run(command, check=False)
        store = ImageStore(root, driver=driver)
        assert list((root / "tmp").iterdir()) == [], "swept"
        assert store.check() == []
        for image in store.images():
            for lowerdir in store.prepare(image):
                assert any((lowerdir / "d" / name).exists() for name in ("one", "two"))
        assert json.loads((root / "index.json").read_bytes())["schemaVersion"] == 2
        for reference in store.references():
            store.remove(reference)
        store.gc()
        assert (store.blobs.all(), store.layers.all()) == ([], [])
        store.close()
        shutil.rmtree(root)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
        step += 1 + step // 3
    assert killed > 8


def test_a_sweep_leaves_the_work_of_the_living(store: ImageStore) -> None:
    script = (
        "import sys; from pathlib import Path; from engine.images.staging import staging\n"
        "with staging(Path(sys.argv[1])) as folder:\n"
        "    print(folder, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, store.root / "tmp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    folder = Path(os.fsdecode(child.stdout.readline().strip()))
    ImageStore(store.root).close()
    assert folder.exists()
    child.kill()
    child.wait()
    assert folder.exists()
    ImageStore(store.root).close()
    assert not folder.exists()
    child.communicate()
