"""A pod's line says what `kubectl get pods` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from engine.types import clock, codec
from engine.types.core import Node, Pod
from engine.types.nodestatus import node_address, node_ready, node_roles, node_words
from engine.types.podstatus import PodSummary, pod_summary


def pod(
    phase: str = "Running",
    containers: Sequence[dict[str, Any]] = (),
    inits: Sequence[dict[str, Any]] = (),
    *,
    sidecars: tuple[str, ...] = (),
    init_names: tuple[str, ...] = ("i0", "i1"),
    conditions: Mapping[str, str] | None = None,
    reason: str = "",
    deleted: bool = False,
    condition_reason: str = "",
) -> Pod:
    names = [c["name"] for c in containers] or ["c0"]
    return codec.from_dict(
        Pod,
        {
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {},
            "spec": {
                "containers": [{"name": name} for name in names],
                "initContainers": [
                    {"name": n, **({"restartPolicy": "Always"} if n in sidecars else {})}
                    for n in init_names
                ]
                if inits
                else [],
            },
            "status": {
                "phase": phase,
                "reason": reason,
                "conditions": [
                    {"type": k, "status": v, "reason": condition_reason}
                    for k, v in (conditions or {}).items()
                ],
                "containerStatuses": list(containers),
                "initContainerStatuses": list(inits),
            },
        },
    )


def running(name: str = "c0", *, ready: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "state": {"running": {}}, **more}


def waiting(reason: str, name: str = "c0", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason}}, **more}


def ended(code: int = 0, name: str = "c0", **more: Any) -> dict[str, Any]:
    state = {"exitCode": code}
    for key in ("reason", "signal"):
        if key in more:
            state[key] = more.pop(key)
    return {"name": name, "state": {"terminated": state}, **more}


DONE = ended(name="i0", reason="Completed")

CASES: list[tuple[str, Pod, str]] = [
    ("0/1", pod("Pending"), "Pending"),
    ("0/1", pod("Pending", conditions={"PodScheduled": "False"}), "Pending"),
    (
        "0/1",
        pod("Pending", conditions={"PodScheduled": "False"}, condition_reason="SchedulingGated"),
        "SchedulingGated",
    ),
    ("0/1", pod("Pending", [waiting("ContainerCreating")]), "ContainerCreating"),
    ("0/1", pod("Pending", [waiting("ErrImageNeverPull")]), "ErrImageNeverPull"),
    ("1/1", pod("Running", [running()]), "Running"),
    ("0/1", pod("Running", [running(ready=False)]), "Running"),
    ("0/1", pod("Running", [waiting("CrashLoopBackOff")]), "CrashLoopBackOff"),
    ("1/2", pod("Running", [running("a"), waiting("CrashLoopBackOff", "b")]), "CrashLoopBackOff"),
    ("0/1", pod("Running", [ended(137, reason="OOMKilled")]), "OOMKilled"),
    ("0/2", pod("Running", [ended(1, "a", reason="Error"), ended(0, "b")]), "Error"),
    ("0/1", pod("Running", [ended(3)]), "ExitCode:3"),
    ("0/1", pod("Running", [ended(137, signal=9)]), "Signal:9"),
    ("0/1", pod("Succeeded", [ended(reason="Completed")]), "Completed"),
    ("0/1", pod("Failed", [ended(1, reason="Error")]), "Error"),
    ("0/1", pod("Failed", reason="Evicted"), "Evicted"),
    (
        "1/2",
        pod(
            "Running",
            [ended(0, "a", reason="Completed"), running("b")],
            conditions={"Ready": "True"},
        ),
        "Running",
    ),
    (
        "1/2",
        pod("Running", [ended(0, "a", reason="Completed"), running("b")]),
        "NotReady",
    ),
    ("1/1", pod("Running", [running()], deleted=True), "Terminating"),
    ("0/1", pod("Succeeded", [ended(reason="Completed")], deleted=True), "Completed"),
    ("0/1", pod("Running", reason="NodeLost", deleted=True), "Unknown"),
    ("0/1", pod("Pending", [], [waiting("PodInitializing", "i0")]), "Init:0/2"),
    ("0/1", pod("Pending", [], [running("i0", ready=False)]), "Init:0/2"),
    ("0/1", pod("Pending", [], [DONE, running("i1", ready=False)]), "Init:1/2"),
    ("0/1", pod("Pending", [], [waiting("CrashLoopBackOff", "i0")]), "Init:CrashLoopBackOff"),
    ("0/1", pod("Pending", [], [ended(1, "i0", reason="Error")]), "Init:Error"),
    ("0/1", pod("Pending", [], [ended(3, "i0")]), "Init:ExitCode:3"),
    ("0/1", pod("Pending", [], [ended(137, "i0", signal=9)]), "Init:Signal:9"),
    (
        "0/1",
        pod("Pending", [waiting("PodInitializing")], [DONE, ended(0, "i1")]),
        "PodInitializing",
    ),
    (
        "2/2",
        pod(
            "Running",
            [running()],
            [running("i0", started=True)],
            sidecars=("i0",),
            init_names=("i0",),
        ),
        "Running",
    ),
    (
        "0/2",
        pod(
            "Pending",
            [waiting("PodInitializing")],
            [running("i0", ready=False, started=False)],
            sidecars=("i0",),
            init_names=("i0",),
        ),
        "Init:0/1",
    ),
    (
        "1/2",
        pod(
            "Running",
            [running()],
            [waiting("CrashLoopBackOff", "i0")],
            sidecars=("i0",),
            init_names=("i0",),
            conditions={"Initialized": "True"},
        ),
        "Init:CrashLoopBackOff",
    ),
]


@pytest.mark.parametrize(("ready", "given", "words"), CASES)
def test_words(ready: str, given: Pod, words: str) -> None:
    summary = pod_summary(given)
    assert (f"{summary.ready}/{summary.total}", summary.status) == (ready, words)


def test_restarts_and_the_last_of_them() -> None:
    def last(time: str) -> dict[str, Any]:
        return {"lastState": {"terminated": {"exitCode": 1, "finishedAt": time}}}

    summary = pod_summary(
        pod(
            "Running",
            [
                running("a", restartCount=2, **last("2026-01-01T00:00:00Z")),
                running("b", restartCount=1, **last("2026-01-01T01:00:00Z")),
            ],
            [ended(0, "i0", restartCount=5, **last("2026-01-02T00:00:00Z"))],
            init_names=("i0",),
        )
    )
    assert (summary.restarts, summary.last_restart) == (3, "2026-01-01T01:00:00Z")
    assert summary.restarts_text(clock.parse("2026-01-01T01:03:00Z")) == "3 (3m ago)"


def test_restarts_of_init_containers_while_they_run() -> None:
    summary = pod_summary(pod("Pending", [], [waiting("CrashLoopBackOff", "i0", restartCount=4)]))
    assert summary.restarts == 4
    assert summary.restarts_text() == "4"


def test_a_pod_of_which_nothing_is_known() -> None:
    assert pod_summary(Pod()) == PodSummary(0, 0, "", 0, None)


def node(ready: str | None, **spec: Any) -> Node:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    return codec.from_dict(Node, {"spec": spec, "status": {"conditions": conditions}})


@pytest.mark.parametrize(
    ("given", "ready", "words"),
    [
        (node("True"), True, "Ready"),
        (node("False"), False, "NotReady"),
        (node("Unknown"), False, "NotReady"),
        (node(None), False, "Unknown"),
        (node("True", unschedulable=True), True, "Ready,SchedulingDisabled"),
    ],
)
def test_nodes(given: Node, ready: bool, words: str) -> None:
    assert (node_ready(given), node_words(given)) == (ready, words)


def test_roles_and_addresses() -> None:
    given = codec.from_dict(
        Node,
        {
            "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "a": "b"}},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.64.0.11"}]},
        },
    )
    assert node_roles(given) == ["worker"]
    assert node_address(given) == "10.64.0.11"
    assert node_address(given, "ExternalIP") == ""
