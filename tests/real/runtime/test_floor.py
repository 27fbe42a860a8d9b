"""The benchmark's floor isolates as the engine does: else comparing times would say nothing."""

from pathlib import Path

from tests.bench.start import both, lab


async def test_the_floor_isolates_as_we_do(home: Path) -> None:
    async with lab(home) as made:
        floor, ours = await both(made)
        assert floor == ours
        # And the comparison looks at something.
        assert ours["Seccomp"] == "2"
        assert ours["NoNewPrivs"] == "1"
        mounts = ours["mounts"]
        assert isinstance(mounts, list)
        assert len(mounts) > 20


async def test_every_start_is_timed_from_its_request_to_its_end(home: Path) -> None:
    async with lab(home) as made:
        starts = [
            await made.floor.time("cold"),
            await made.floor.time("prepared"),
            await made.ours.cold(),
            await made.ours.prepared(),
            *[await other.start() for other in made.others],
        ]
    assert all(0 < start.first < start.reaped for start in starts)
