"""Events are counted and combined; recording never fails."""

from __future__ import annotations

from typing import Any

from engine.client import events
from engine.client.client import Client
from engine.client.events import EventRecorder
from engine.types.core import Node, Pod
from tests.unit.client.fake import FakeServer


class Time:
    """A clock that is moved by hand."""

    now = 1767225600.0

    def __call__(self) -> float:
        return self.now


def pod(name: str = "web") -> Pod:
    result = Pod()
    result.metadata.name, result.metadata.namespace, result.metadata.uid = name, "d", "u"
    return result


def stored(server: FakeServer) -> list[dict[str, Any]]:
    return [obj for path, obj in server.objects.items() if "/events/" in path]


async def test_what_is_written() -> None:
    server, time = FakeServer(), Time()
    recorder = EventRecorder(Client(server), "kubelet", host="node-1", clock=time)
    recorder.record(pod(), "Normal", "Pulled", "got it", field_path="spec.containers{web}")
    await recorder.flush()
    (event,) = stored(server)
    assert event["metadata"]["name"] == f"web.{int(time.now * 1e9):x}"
    assert event["metadata"]["namespace"] == "d"
    assert event["involvedObject"] == {
        "kind": "Pod",
        "namespace": "d",
        "name": "web",
        "uid": "u",
        "apiVersion": "v1",
        "fieldPath": "spec.containers{web}",
    }
    assert event["source"] == {"component": "kubelet", "host": "node-1"}
    assert (event["reportingComponent"], event["reportingInstance"]) == ("kubelet", "node-1")
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Pulled", "got it")
    assert event["count"] == 1
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:00:00Z"
    await recorder.close()


async def test_the_same_again_is_counted() -> None:
    server, time = FakeServer(), Time()
    recorder = EventRecorder(Client(server), "kubelet", clock=time)
    for _ in range(3):
        recorder.record(pod(), "Warning", "BackOff", "again")
        time.now += 10
    recorder.record(pod("other"), "Warning", "BackOff", "again")
    await recorder.flush()
    web, other = stored(server)
    assert (web["count"], other["count"]) == (3, 1)
    assert web["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert web["lastTimestamp"] == "2026-01-01T00:00:20Z"
    await recorder.close()


async def test_a_forgotten_event_begins_again() -> None:
    server = FakeServer()
    recorder = EventRecorder(Client(server), "kubelet")
    recorder.record(pod(), "Normal", "Started", "x")
    await recorder.flush()
    (path,) = server.objects
    server.remove(path)
    recorder.record(pod(), "Normal", "Started", "x")
    await recorder.flush()
    (event,) = stored(server)
    assert event["count"] == 1
    await recorder.close()


async def test_many_texts_become_one_event() -> None:
    server, time = FakeServer(), Time()
    recorder = EventRecorder(Client(server), "scheduler", clock=time)
    for number in range(events.SIMILAR + 5):
        time.now += 1
        recorder.record(pod(), "Warning", "FailedScheduling", f"try {number}")
    await recorder.flush()
    found = stored(server)
    assert len(found) == events.SIMILAR + 1
    assert found[-1]["count"] == 5
    assert found[-1]["message"] == "(combined from similar events): try 14"
    time.now += events.SIMILAR_SECONDS + 1
    recorder.record(pod(), "Warning", "FailedScheduling", "much later")
    await recorder.flush()
    assert stored(server)[-1]["message"] == "much later"
    await recorder.close()


async def test_objects_without_a_namespace_go_to_default() -> None:
    server = FakeServer()
    recorder = EventRecorder(Client(server), "kubelet")
    node = Node()
    node.metadata.name = "n1"
    recorder.record(node, "Normal", "NodeReady", "x")
    await recorder.flush()
    assert next(iter(server.objects)).startswith("/api/v1/namespaces/default/events/n1.")
    await recorder.close()


async def test_it_waits_for_the_server() -> None:
    server = FakeServer()
    server.down = True
    recorder = EventRecorder(Client(server), "kubelet")
    recorder.record(pod(), "Normal", "Started", "x")
    await server.until(lambda: server.refused >= 2)
    server.down = False
    await recorder.flush()
    assert len(stored(server)) == 1
    await recorder.close()


async def test_what_does_not_fit_is_dropped() -> None:
    server = FakeServer()
    recorder = EventRecorder(Client(server), "kubelet")
    for number in range(events.QUEUE_SIZE + 7):
        recorder.record(pod(f"p{number}"), "Normal", "Started", "x")
    assert recorder.dropped == 7
    await recorder.flush()
    assert len(stored(server)) == events.QUEUE_SIZE
    await recorder.close()


async def test_a_refusal_harms_nobody() -> None:
    server = FakeServer()
    recorder = EventRecorder(Client(server), "kubelet", clock=Time())
    recorder.record(pod(), "Normal", "A", "x")
    # The same name at the same time: the server refuses the second.
    recorder.record(pod(), "Normal", "B", "x")
    recorder.record(pod("other"), "Normal", "A", "x")
    await recorder.flush()
    assert [e["involvedObject"]["name"] for e in stored(server)] == ["web", "other"]
    assert recorder.dropped == 1
    await recorder.close()
