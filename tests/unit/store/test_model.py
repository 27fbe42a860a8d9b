"""The store against a dictionary: any history of concurrent writes, with restarts between."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.entry import Change, Entry, Key, StoreError
from engine.store.store import Store

KEYS = [Key(r, n, x) for r in ("pods", "events") for n in ("a", "b") for x in ("x", "y")]

Step = tuple[str, Key, bool]
steps = st.tuples(
    st.sampled_from(["create", "update", "delete"]), st.sampled_from(KEYS), st.booleans()
)
histories = st.lists(st.lists(steps, min_size=1, max_size=12), min_size=1, max_size=6)


async def apply(store: Store, batch: list[Step]) -> None:
    """Start the batch's writes together; some give the revision they expect, right or wrong."""
    writes = []
    for verb, key, guess in batch:
        expected = store.revision if guess else None

        async def write(verb: str = verb, key: Key = key, expected: int | None = expected) -> Entry:
            if verb == "create":
                return await store.create(key, lambda r: b"%d" % r)
            if verb == "update":
                return await store.update(key, lambda r: b"%d" % r, expected=expected)
            return await store.delete(key, lambda r: b"%d" % r, expected=expected)

        writes.append(write())
    for result in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(result, (Entry, StoreError)), result


def replay(model: dict[Key, Entry], change: Change) -> None:
    key = change.entry.key
    assert change.previous == model.get(key)
    assert (change.type == "ADDED") == (key not in model)
    if change.type == "DELETED":
        del model[key]
    else:
        model[key] = change.entry


def check(store: Store, model: dict[Key, Entry]) -> None:
    for resource in ("pods", "events"):
        expected = {key: entry for key, entry in model.items() if key.resource == resource}
        assert {entry.key: entry for entry in store.scan(resource)} == expected
        for key in expected:
            assert store.get(key) == store.head(key) == expected[key]


async def run(path: Path, history: list[list[Step]]) -> None:
    model: dict[Key, Entry] = {}
    highest = 0
    for batch in history:
        store = Store.open(path, volatile={"events"})
        model = {key: entry for key, entry in model.items() if key.resource == "pods"}
        check(store, model)
        assert store.revision >= highest
        seen: list[Change] = []
        store.subscribe(seen.extend)
        snapshots = {store.revision: dict(model)}
        for step in range(0, len(batch), 4):
            await apply(store, batch[step : step + 4])
        for change in seen:
            assert change.revision > highest
            assert change.entry.value == b"%d" % change.revision
            highest = change.revision
            replay(model, change)
            snapshots[change.revision] = dict(model)
        check(store, model)
        for revision, past in snapshots.items():
            scanned = {e.key: e for r in ("pods", "events") for e in store.scan(r, at=revision)}
            assert scanned == past
            for resource in ("pods", "events"):
                assert list(store.since(resource, revision)) == [
                    c for c in seen if c.revision > revision and c.entry.key.resource == resource
                ]
        await store.close()


@settings(max_examples=60, deadline=None)
@given(histories)
def test_store_is_a_dictionary_with_a_log(history: list[list[Step]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "store.sqlite", history))
