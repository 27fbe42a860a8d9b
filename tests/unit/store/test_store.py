import asyncio
import sqlite3
from pathlib import Path

import pytest

from engine.store.entry import (
    Busy,
    Change,
    Compacted,
    Corrupt,
    Exists,
    Future,
    Key,
    Missing,
    Stale,
    Unwritable,
)
from engine.store.sqlite import RESERVE
from engine.store.store import Store

POD = Key("pods", "a", "p")


def body(revision: int) -> bytes:
    return b"at %d" % revision


async def reopened(path: Path, store: Store) -> Store:
    await store.close()
    return Store.open(path, volatile={"events"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
async def store(path: Path):  # type: ignore[no-untyped-def]
    store = Store.open(path, volatile={"events"})
    yield store
    await store.close()


async def test_create_update_delete_say_what_is_wrong(store: Store) -> None:
    created = await store.create(POD, body)
    assert created.value == b"at %d" % created.revision
    with pytest.raises(Exists, match="pods/a/p: already exists"):
        await store.create(POD, body)
    updated = await store.update(POD, body, expected=created.revision)
    assert updated.revision == created.revision + 1
    with pytest.raises(Stale):
        await store.update(POD, body, expected=created.revision)
    with pytest.raises(Stale):
        await store.delete(POD, body, expected=created.revision)
    assert store.get(POD) == updated
    await store.delete(POD, body)
    assert store.get(POD) is None
    with pytest.raises(Missing):
        await store.update(POD, body)


async def test_scan_is_sorted_and_by_namespace(store: Store) -> None:
    for namespace, name in [("b", "x"), ("a", "z"), ("a", "y")]:
        await store.create(Key("pods", namespace, name), body)
    assert [e.key[1:] for e in store.scan("pods")] == [("a", "y"), ("a", "z"), ("b", "x")]
    assert [e.key.name for e in store.scan("pods", "a")] == ["y", "z"]
    assert store.scan("nodes") == []


async def test_the_past_can_be_scanned(store: Store) -> None:
    start = store.revision
    first = await store.create(POD, body)
    await store.update(POD, body)
    await store.create(Key("nodes", "", "n"), body)
    gone = await store.delete(POD, body)
    assert store.scan("pods", at=start) == []
    assert store.scan("pods", at=first.revision) == [first]
    assert [e.revision for e in store.scan("pods", at=first.revision + 1)] == [first.revision + 1]
    assert store.scan("pods", at=gone.revision) == []
    with pytest.raises(Future):
        store.scan("pods", at=gone.revision + 1)
    with pytest.raises(Compacted):
        store.scan("pods", at=start - 1)


async def test_nothing_is_seen_before_it_is_durable_but_writers_build_on_it(store: Store) -> None:
    seen: list[Change] = []
    unsubscribe = store.subscribe(seen.extend)
    creating = asyncio.ensure_future(store.create(POD, body))
    await asyncio.sleep(0)
    staged = store.head(POD)
    assert staged is not None
    assert store.get(POD) is None
    assert seen == []
    updating = asyncio.ensure_future(store.update(POD, body, expected=staged.revision))
    event = asyncio.ensure_future(store.create(Key("events", "a", "e"), body))
    await asyncio.gather(creating, updating, event)
    assert [c.type for c in seen] == ["ADDED", "MODIFIED", "ADDED"]
    assert [c.revision for c in seen] == sorted(c.revision for c in seen)
    unsubscribe()
    await store.delete(POD, body)
    assert len(seen) == 3


async def test_settle_waits_for_what_head_shows(store: Store) -> None:
    creating = asyncio.ensure_future(store.create(POD, body))
    await asyncio.sleep(0)
    await store.settle(POD)
    assert store.get(POD) is not None
    await creating
    await store.settle(POD)


async def test_volatile_writes_are_published_at_once_when_nothing_is_ahead(store: Store) -> None:
    await store.create(POD, body)  # reserves a block of revisions
    writing = asyncio.ensure_future(store.create(Key("events", "a", "e"), body))
    await asyncio.sleep(0)
    assert store.get(Key("events", "a", "e")) is not None
    await writing


async def test_restart_keeps_durable_objects_and_forgets_the_volatile(
    path: Path, store: Store
) -> None:
    kept = await store.create(POD, body)
    await store.create(Key("pods", "a", "gone"), body)
    await store.delete(Key("pods", "a", "gone"), body)
    await store.create(Key("events", "a", "e"), body)
    again = await reopened(path, store)
    assert again.scan("pods") == [kept]
    assert again.scan("events") == []
    await again.close()


async def test_restart_never_gives_a_revision_twice(path: Path, store: Store) -> None:
    for _ in range(3):
        for number in range(RESERVE + 10):  # volatile revisions leave no row behind
            await store.create(Key("events", "a", f"{store.revision}-{number}"), body)
        highest = store.revision
        store = await reopened(path, store)
        assert store.revision > highest
        entry = await store.create(Key("events", "a", "next"), body)
        assert entry.revision > highest
        with pytest.raises(Compacted):
            store.since("pods", highest)
    await store.close()


async def test_many_writers_share_commits(store: Store) -> None:
    async def writer(number: int) -> None:
        for step in range(20):
            await store.create(Key("pods", "a", f"{number}-{step}"), body)

    seen: list[Change] = []
    store.subscribe(seen.extend)
    await asyncio.gather(*(writer(number) for number in range(20)))
    assert len(store.scan("pods")) == 400
    assert [c.revision for c in seen] == list(range(seen[0].revision, seen[0].revision + 400))
    assert list(store.since("pods", seen[0].revision - 1)) == seen


async def test_a_refused_commit_takes_all_that_built_on_it(store: Store) -> None:
    first = await store.create(POD, body)
    assert store._journal is not None
    # SQLITE_FULL: the file may not grow any more.
    db = store._journal._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")

    def big(revision: int) -> bytes:
        return b"x" * 100_000

    writes = [
        asyncio.ensure_future(store.update(POD, body)),
        asyncio.ensure_future(store.update(POD, big)),
        asyncio.ensure_future(store.create(Key("events", "a", "e"), body)),
    ]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(result, Unwritable) for result in results), results
    assert store.head(POD) == store.get(POD) == first
    db.execute("PRAGMA max_page_count = 1000000")
    after = await store.update(POD, body, expected=first.revision)
    assert after.revision > first.revision


async def test_a_cancelled_caller_does_not_break_its_batch(store: Store) -> None:
    cancelled = asyncio.ensure_future(store.create(POD, body))
    other = asyncio.ensure_future(store.create(Key("pods", "a", "q"), body))
    await asyncio.sleep(0)
    cancelled.cancel()
    await other
    assert store.get(POD) is not None


def test_two_engines_cannot_share_a_store(path: Path) -> None:
    async def main() -> None:
        store = Store.open(path)
        with pytest.raises(Busy, match="another engine has this store open"):
            Store.open(path)
        await store.close()
        await Store.open(path).close()

    asyncio.run(main())


async def test_a_damaged_row_is_found(path: Path, store: Store) -> None:
    await store.create(POD, body)
    await store.close()
    db = sqlite3.connect(path)
    db.execute("UPDATE object SET value = 'bt 2'")
    db.execute("UPDATE object SET value = CAST(value AS BLOB)")
    db.commit()
    db.close()
    with pytest.raises(Corrupt, match=r"pods a/p at revision \d+ is damaged"):
        Store.open(path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_foreign_file_is_left_alone(path: Path, content: bytes | None) -> None:
    if content is None:
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE other (x)")
        db.commit()
        db.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(Corrupt, match=r"store\.sqlite"):
        Store.open(path)
    if content is not None:
        assert path.read_bytes() == before


async def test_a_closed_store_refuses_writes(store: Store) -> None:
    writing = asyncio.ensure_future(store.create(POD, body))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    with pytest.raises(Unwritable, match="closed"):
        await store.create(Key("pods", "a", "q"), body)
    await closing
    assert store.get(POD) == await writing


async def test_in_memory_store_has_the_same_verbs() -> None:
    store = Store()
    entry = await store.create(POD, body)
    assert store.scan("pods") == [entry]
    await store.delete(POD, body)
    await store.close()
