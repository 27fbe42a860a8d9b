import pytest

from engine.store.entry import Change, Compacted, Entry, Future, Key
from engine.store.log import Log


def change(revision: int, size: int = 1) -> Change:
    return Change("ADDED", Entry(Key("pods", "a", f"p{revision}"), revision, b"x" * size), None)


def test_since_gives_all_that_follows() -> None:
    log = Log(10, changes=100, size=1000)
    for revision in (11, 12, 15):
        log.append(change(revision))
    assert [c.revision for c in log.since(10)] == [11, 12, 15]
    assert [c.revision for c in log.since(12)] == [15]
    assert [c.revision for c in log.since(13)] == [15]
    assert log.since(15) == []


def test_before_the_beginning_is_compacted_and_after_the_end_is_future() -> None:
    log = Log(10, changes=100, size=1000)
    with pytest.raises(Compacted, match=r"too old resource version: 9 \(10\)"):
        log.since(9)
    with pytest.raises(Future, match="Too large resource version: 11, current: 10"):
        log.since(11)


@pytest.mark.parametrize(("changes", "size"), [(16, 10**6), (10**6, 16)])
def test_bounded_by_number_and_by_bytes_without_a_gap(changes: int, size: int) -> None:
    log = Log(0, changes=changes, size=size)
    for revision in range(1, 101):
        log.append(change(revision))
        kept = log.since(log.oldest)
        assert len(kept) <= 16
        assert [c.revision for c in kept] == list(range(log.oldest + 1, revision + 1))
    with pytest.raises(Compacted):
        log.since(log.oldest - 1)


def test_one_change_larger_than_the_log_leaves_it_empty_but_true() -> None:
    log = Log(0, changes=10, size=10)
    log.append(change(1, size=100))
    assert log.oldest == 1
    assert log.since(1) == []
    log.append(change(2))
    assert [c.revision for c in log.since(1)] == [2]
