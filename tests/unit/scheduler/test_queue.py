"""Who is tried when: priority, backoff, and the events that help."""

from engine.scheduler.event import Change, Event
from engine.scheduler.plugins.default import default_plugins
from engine.scheduler.queue import SchedulingQueue


def make() -> SchedulingQueue:
    return SchedulingQueue(default_plugins())


def test_by_priority_then_by_age(lab) -> None:
    queue = make()
    old = lab.pod(creationTimestamp="2026-01-01T00:00:00Z")
    young = lab.pod(creationTimestamp="2026-01-02T00:00:00Z")
    urgent = lab.pod({"priority": 10}, creationTimestamp="2026-01-03T00:00:00Z")
    for pod in (young, urgent, old):
        queue.put(pod, 0)
    assert [queue.pop(0).pod for _ in range(3)] == [urgent, old, young]
    assert queue.pop(0) is None


def test_backoff_doubles_to_ten_seconds(lab) -> None:
    queue, pod = make(), lab.pod()
    queue.put(pod, 0)
    now, waits = 0.0, []
    for _ in range(6):
        queue.retry(queue.pop(now), now)
        assert queue.pop(now) is None
        waits.append(queue.wake_at() - now)
        now = queue.wake_at()
    assert waits == [1, 2, 4, 8, 10, 10]


def test_a_rejected_pod_waits_for_an_event_that_helps(lab) -> None:
    queue, pod = make(), lab.pod()
    queue.put(pod, 0)
    queue.reject(queue.pop(0), frozenset({"NodeResourcesFit"}), 0)
    assert queue.move(Event(Change.NODE_TAINTS, "a"), 100) == 0
    assert queue.pop(100) is None
    assert queue.move(Event(Change.POD_GONE, "a", lab.pod()), 100) == 1
    assert queue.pop(100).pod is pod


def test_a_helping_event_does_not_cut_the_backoff_short(lab) -> None:
    queue, pod = make(), lab.pod()
    queue.put(pod, 0)
    queue.reject(queue.pop(0), frozenset({"TaintToleration"}), 0)
    assert queue.move(Event(Change.NODE_TAINTS, "a"), 0.5) == 1
    assert queue.pop(0.5) is None
    assert queue.pop(1.0).pod is pod


def test_any_event_helps_a_pod_nobody_rejected(lab) -> None:
    queue, pod = make(), lab.pod()
    queue.put(pod, 0)
    queue.reject(queue.pop(0), frozenset(), 0)
    assert queue.move(Event(Change.NODE_ADDED, "a"), 5) == 1


def test_a_forgotten_pod_comes_back_after_five_minutes(lab) -> None:
    queue, pod = make(), lab.pod()
    queue.put(pod, 0)
    queue.reject(queue.pop(0), frozenset({"NodeAffinity"}), 0)
    assert queue.wake_at() == 300
    assert queue.pop(299) is None
    assert queue.pop(300).pod is pod


def test_a_changed_pod_is_tried_at_once_and_only_once(lab) -> None:
    queue = make()
    pod = lab.pod()
    queue.put(pod, 0)
    queue.put(pod, 0)
    assert queue.pop(0).pod is pod
    assert queue.pop(0) is None
    queue.put(pod, 0)
    queue.drop(pod.uid)
    assert queue.pop(0) is None
    assert len(queue) == 0


def test_parts_are_counted(lab) -> None:
    queue = make()
    for _ in range(3):
        queue.put(lab.pod(), 0)
    queue.retry(queue.pop(0), 0)
    queue.reject(queue.pop(0), frozenset({"NodePorts"}), 0)
    assert queue.parts() == {"active": 1, "backoff": 1, "unschedulable": 1}


def test_spread_events_of_other_namespaces_do_not_help(lab) -> None:
    queue, pod = make(), lab.pod()
    queue.put(pod, 0)
    queue.reject(queue.pop(0), frozenset({"PodTopologySpread"}), 0)
    stranger = lab.pod(namespace="other")
    assert queue.move(Event(Change.POD_GONE, "a", stranger), 5) == 0
    assert queue.move(Event(Change.POD_GONE, "a", lab.pod()), 5) == 1
