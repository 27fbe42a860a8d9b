"""Old events go, and the number of events is bounded."""

from engine.api import janitor
from tests.unit.api.world import World

EVENTS = "/api/v1/namespaces/default/events"


def event(name: str, last: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "reason": "R", "lastTimestamp": last}


async def names(world: World) -> list[str]:
    found = await world.ask("GET", EVENTS)
    return [item["metadata"]["name"] for item in found["items"]]


async def test_events_live_an_hour(world: World) -> None:
    await world.ask("POST", EVENTS, event("old", "2027-01-15T07:00:00Z"))
    await world.ask("POST", EVENTS, event("young", "2027-01-15T07:00:01Z"))
    assert await world.api._janitor.sweep() == 1
    assert await names(world) == ["young"]
    assert await world.api._janitor.sweep() == 0


async def test_the_oldest_go_when_there_are_too_many(world: World, monkeypatch) -> None:
    monkeypatch.setattr(janitor, "MOST", 3)
    for number in range(5):
        await world.ask("POST", EVENTS, event(f"e{number}", "2027-01-15T08:00:00Z"))
    patch = {"metadata": {"labels": {"seen": "again"}}}
    kind = "application/merge-patch+json"
    await world.ask("PATCH", f"{EVENTS}/e0", patch, content_type=kind)
    assert await world.api._janitor.sweep() == 2
    assert await names(world) == ["e0", "e3", "e4"]
