"""What a pod's status says: phases, conditions, container states, in Kubernetes' words."""

from typing import Any

import pytest

from engine.kubelet.decision import due, finished
from engine.kubelet.status import Facts, Life, Record, merge_patch, pod_status, restored
from engine.types import codec
from engine.types.containers import ContainerStatus
from engine.types.pods import Pod, PodStatus

NOW = 1_000_000.0


def pod(*apps: str, init: tuple[str, ...] = (), sidecars: tuple[str, ...] = (), **spec: Any) -> Pod:
    always = [{"name": name, "image": "i", "restartPolicy": "Always"} for name in sidecars]
    once = [{"name": name, "image": "i"} for name in init]
    containers = [{"name": name, "image": "i"} for name in apps or ("a",)]
    return codec.from_dict(
        Pod,
        {
            "metadata": {"name": "p", "namespace": "default", "uid": "u"},
            "spec": {"initContainers": always + once, "containers": containers, **spec},
        },
    )


def running(*, ready: bool = True, attempt: int = 0) -> Record:
    return Record(life=Life("id", attempt, NOW), started=True, ready=ready)


def ended(code: int = 0, *, attempt: int = 0) -> Record:
    reason = "Error" if code else "Completed"
    return Record(life=Life("id", attempt, NOW, NOW + 1, code, reason))


def crashed() -> Record:
    record = ended(1)
    record.waiting = ("CrashLoopBackOff", "back-off 10s")
    return record


def status(made: Pod, records: dict[str, Record], **facts: Any) -> PodStatus:
    known = Facts(node_ip="10.0.0.1", started_at=NOW, sandbox=True, records=records, **facts)
    return pod_status(made, known, made.status.conditions, NOW)


def conditions(found: PodStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in found.conditions}


@pytest.mark.parametrize(
    ("policy", "records", "phase"),
    [
        ("Always", {}, "Pending"),
        ("Always", {"a": running()}, "Pending"),
        ("Always", {"a": running(), "b": Record(waiting=("ErrImagePull", ""))}, "Pending"),
        ("Always", {"a": running(), "b": running(ready=False)}, "Running"),
        ("Always", {"a": ended(), "b": ended(1)}, "Running"),
        ("Always", {"a": crashed(), "b": running()}, "Running"),
        ("OnFailure", {"a": ended(), "b": ended()}, "Succeeded"),
        ("OnFailure", {"a": ended(), "b": crashed()}, "Running"),
        ("OnFailure", {"a": ended(), "b": running()}, "Running"),
        ("Never", {"a": ended(), "b": ended()}, "Succeeded"),
        ("Never", {"a": ended(), "b": ended(2)}, "Failed"),
        ("Never", {"a": ended(2), "b": running()}, "Running"),
    ],
)
def test_phase(policy: str, records: dict[str, Record], phase: str) -> None:
    assert status(pod("a", "b", restartPolicy=policy), records).phase == phase


@pytest.mark.parametrize(
    ("policy", "record", "phase", "is_finished"),
    [
        ("Always", ended(1), "Pending", False),
        ("OnFailure", crashed(), "Pending", False),
        ("Never", ended(1), "Failed", True),
        ("Never", ended(0), "Pending", False),
        ("Never", running(), "Pending", False),
    ],
)
def test_phase_while_initializing(
    policy: str, record: Record, phase: str, is_finished: bool
) -> None:
    made = pod("a", init=("i",), restartPolicy=policy)
    assert status(made, {"i": record}).phase == phase
    assert finished(made, {"i": record}) is is_finished


def test_a_sidecar_that_crashes_does_not_end_the_pod() -> None:
    made = pod("a", sidecars=("s",), restartPolicy="Never")
    assert not finished(made, {"s": ended(1)})
    assert [container.name for container in due(made, {"s": ended(1)})] == ["s"]


def test_a_changed_container_starts_again_whatever_the_policy() -> None:
    record = ended(0)
    record.changed = True
    made = pod("a", restartPolicy="Never")
    assert [container.name for container in due(made, {"a": record})] == ["a"]
    assert not finished(made, {"a": record})


def test_a_pod_that_is_ended_from_outside() -> None:
    made = pod("a")
    assert status(made, {"a": ended(143)}, terminal=True).phase == "Failed"
    assert status(made, {"a": ended(0)}, terminal=True).phase == "Succeeded"
    assert status(made, {"a": running()}, terminal=True).phase == "Running"
    assert status(made, {}, terminal=True).phase == "Failed"


def test_a_pod_that_failed_for_a_reason_of_its_own() -> None:
    failure = ("DeadlineExceeded", "too long")
    found = status(pod("a"), {"a": running()}, terminal=True, failure=failure)
    assert (found.phase, found.reason) == ("Running", "DeadlineExceeded")
    found = status(pod("a"), {"a": ended(0)}, terminal=True, failure=failure)
    assert (found.phase, found.reason, found.message) == ("Failed", *failure)


def test_conditions_of_a_pod_that_is_ready() -> None:
    found = status(pod("a"), {"a": running()})
    assert conditions(found) == {
        "PodReadyToStartContainers": ("True", ""),
        "Initialized": ("True", ""),
        "Ready": ("True", ""),
        "ContainersReady": ("True", ""),
        "PodScheduled": ("True", ""),
    }


def test_conditions_name_what_is_lacking() -> None:
    found = status(pod("a", "b", init=("i",)), {"i": running()})
    texts = {c.type: c.message for c in found.conditions}
    assert conditions(found)["Initialized"] == ("False", "ContainersNotInitialized")
    assert texts["Initialized"] == "containers with incomplete status: [i]"
    assert texts["Ready"] == "containers with unready status: [a b]"


def test_conditions_of_a_pod_that_is_over() -> None:
    found = status(pod("a", restartPolicy="Never"), {"a": ended()})
    assert conditions(found)["Ready"] == ("False", "PodCompleted")
    assert conditions(found)["Initialized"] == ("True", "PodCompleted")
    assert conditions(found)["PodReadyToStartContainers"][0] == "False"
    found = status(pod("a", restartPolicy="Never"), {"a": ended(1)})
    assert conditions(found)["ContainersReady"] == ("False", "PodFailed")


def test_a_condition_s_time_stays_while_it_holds() -> None:
    made = pod("a")
    made.status = status(made, {"a": running(ready=False)})
    known = Facts(started_at=NOW, sandbox=True, records={"a": running()})
    later = pod_status(made, known, made.status.conditions, NOW + 60)
    before = {c.type: c.last_transition_time for c in made.status.conditions}
    after = {c.type: c.last_transition_time for c in later.conditions}
    assert {kind for kind in after if after[kind] != before[kind]} == {"Ready", "ContainersReady"}


def test_readiness_gates_are_waited_for_and_kept() -> None:
    made = pod("a", readinessGates=[{"conditionType": "x/y"}])
    found = status(made, {"a": running()})
    assert conditions(found)["Ready"] == ("False", "ReadinessGatesNotReady")
    assert conditions(found)["ContainersReady"] == ("True", "")
    made = codec.from_dict(
        Pod,
        codec.to_dict(made) | {"status": {"conditions": [{"type": "x/y", "status": "True"}]}},
    )
    found = status(made, {"a": running()})
    assert conditions(found)["Ready"] == ("True", "")
    assert conditions(found)["x/y"] == ("True", "")


def test_container_states() -> None:
    record = ended(1, attempt=1)
    record.last = Life("old", 0, NOW - 9, NOW - 8, 137, "OOMKilled")
    made = pod("a", init=("i",))
    assert status(made, {}).container_statuses[0].state.waiting.reason == "PodInitializing"
    assert status(made, {}).init_container_statuses[0].state.waiting.reason == "ContainerCreating"
    shown = status(pod("a"), {"a": record}).container_statuses[0]
    assert shown.restart_count == 1
    assert shown.state.terminated.exit_code == 1
    assert shown.last_state.terminated.reason == "OOMKilled"
    assert shown.container_id == "podarium://id"
    record.waiting = ("CrashLoopBackOff", "back-off")
    shown = status(pod("a"), {"a": record}).container_statuses[0]
    assert shown.state.waiting.reason == "CrashLoopBackOff"
    assert shown.last_state.terminated.exit_code == 1
    shown = status(pod("a", restartPolicy="Never"), {"a": record}).container_statuses[0]
    assert shown.state.waiting is None
    assert shown.state.terminated.exit_code == 1


@pytest.mark.parametrize("record", [ended(3, attempt=2), crashed(), ended(0)])
def test_what_was_reported_is_remembered(record: Record) -> None:
    shown = status(pod("a"), {"a": record}).container_statuses[0]
    again = restored(codec.from_dict(ContainerStatus, codec.to_dict(shown)), NOW + 9)
    assert status(pod("a"), {"a": again}).container_statuses[0] == shown


def test_what_ran_is_taken_for_lost() -> None:
    shown = status(pod("a"), {"a": running(attempt=4)}).container_statuses[0]
    life = restored(shown, NOW + 9).ended
    assert life is not None
    assert (life.attempt, life.exit_code, life.reason) == (4, 137, "ContainerStatusUnknown")


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({}, ["s"]),
        ({"s": Record(life=Life("x", 0, NOW))}, []),
        ({"s": running()}, ["i"]),
        ({"s": running(), "i": running()}, []),
        ({"s": running(), "i": ended(1)}, ["i"]),
        ({"s": running(), "i": ended(0)}, ["a", "b"]),
        ({"s": running(), "i": ended(0), "a": running()}, ["b"]),
        ({"s": ended(0), "i": ended(0), "a": running(), "b": running()}, ["s"]),
        ({"s": running(), "i": ended(0), "a": ended(0), "b": ended(1)}, ["a", "b"]),
    ],
)
def test_what_is_due(records: dict[str, Record], expected: list[str]) -> None:
    made = pod("a", "b", sidecars=("s",), init=("i",))
    assert [container.name for container in due(made, records)] == expected


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [("Always", 0, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_restart_policies(policy: str, code: int, restarts: bool) -> None:
    made, records = pod("a", restartPolicy=policy), {"a": ended(code)}
    assert bool(due(made, records)) is restarts
    assert finished(made, records) is not restarts


def test_a_patch_has_only_what_changed() -> None:
    before = {"phase": "Pending", "reason": "Old", "hostIP": "1"}
    after = {"phase": "Running", "hostIP": "1", "podIP": "2"}
    assert merge_patch(before, after) == {"phase": "Running", "podIP": "2", "reason": None}
    assert merge_patch(after, after) == {}
