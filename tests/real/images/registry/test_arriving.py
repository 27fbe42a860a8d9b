"""Layers made ready while the rest of the image still travels."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images.errors import BadLayer, ImageNotFound
from engine.images.registry.credentials import Keychain
from engine.images.registry.errors import Cancelled
from engine.images.registry.network import Network
from engine.images.registry.pull import Pulled, pull
from engine.images.registry.session import Session
from engine.images.store import ImageStore
from engine.images.types import Digest
from tests.real.images.layouts import digest, opened
from tests.real.images.tars import file, folder, tar
from tests.unit.images.registry.fake import FakeRegistry, Handler

LOWER, UPPER = tar(folder("d"), file("d/a", b"a" * 3000)), tar(file("d/b", b"b" * 90_000))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return opened(tmp_path / "store")


def pulled(store: ImageStore, registry: FakeRegistry, session: Session | None = None) -> Pulled:
    session = session or Session(Network(), Keychain())
    return pull(store, f"{registry.host}/x:1", session, ready=True)


def lower_is_ready(store: ImageStore) -> bool:
    key = Digest(digest(LOWER))
    return store.layers.find(key, key) is not None


def holding(
    store: ImageStore, registry: FakeRegistry, ready: threading.Event, *, ends: bool
) -> None:
    """Hold the upper layer's second half back until the lower one is ready."""

    def action(handler: Handler) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(UPPER)}\r\n\r\n".encode()
        handler.raw(head, UPPER[:40_000])
        while not lower_is_ready(store):
            assert not ready.wait(0.01)
        ready.set()
        if ends:
            handler.raw(UPPER[40_000:])
        else:
            handler.rfile.read(1)

    registry.image([LOWER, UPPER])
    registry.on("GET", digest(UPPER), action, times=1)


def test_the_lowest_is_ready_before_the_last_has_come(
    store: ImageStore, registry: FakeRegistry
) -> None:
    ready = threading.Event()
    holding(store, registry, ready, ends=True)
    done = pulled(store, registry)
    assert ready.is_set()
    assert [layer.entries for layer in done.image.layers] == [2, 1]
    assert (store.prepare(done.image)[0] / "d/b").read_bytes() == b"b" * 90_000
    assert store.check() == []


def test_an_end_that_is_asked_for_comes_while_a_layer_is_waited_for(
    store: ImageStore, registry: FakeRegistry
) -> None:
    ready = threading.Event()
    holding(store, registry, ready, ends=False)
    session = Session(Network(), Keychain())
    threading.Thread(target=lambda: (ready.wait(), session.stop.cancel())).start()
    with pytest.raises(Cancelled):
        pulled(store, registry, session)
    assert [thread.name for thread in threading.enumerate() if thread.name == "unpack"] == []
    assert list((store.root / "tmp").iterdir()) == []
    assert (store.gc().layers, lower_is_ready(store)) == (1, False), "its lease has ended"
    assert len(pulled(store, registry).image.layers) == 2


def test_a_layer_that_is_none_fails_the_pull_by_name(
    store: ImageStore, registry: FakeRegistry
) -> None:
    registry.image([LOWER, b"no archive" * 100])
    with pytest.raises(BadLayer, match=r"x:1: layer 2 \(sha256:.*is not octal"):
        pulled(store, registry)
    assert lower_is_ready(store)
    store.remove(f"{registry.host}/x:1")
    with pytest.raises(ImageNotFound):
        store.resolve(f"{registry.host}/x:1")
    assert (store.blobs.all(), store.layers.all()) == ([], [])
