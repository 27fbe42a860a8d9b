"""What replica sets and jobs decide, without a cluster."""

import pytest

from engine.controllers import jobplan, replicaset
from engine.controllers.podstate import deletion_order
from engine.types.apps import ReplicaSet, ReplicaSetSpec
from engine.types.batch import Job, JobSpec, JobStatus
from engine.types.clock import format
from engine.types.codec import from_dict
from engine.types.pods import Pod

NOW = 1_800_000_000.0


def pod(name: str = "p", **fields) -> Pod:
    """A running, ready pod on node n, unless said otherwise."""
    spec = {"nodeName": fields.get("node", "n"), "containers": [{"name": "c"}]}
    status: dict = {"phase": fields.get("phase", "Running")}
    ready = fields.get("ready", NOW - 1000)
    if ready is not None:
        moment = format(ready)
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]
    status["containerStatuses"] = [{"name": "c", "restartCount": fields.get("restarts", 0)}]
    if "ended" in fields:
        state = {"terminated": {"exitCode": 1, "finishedAt": format(fields["ended"])}}
        status["containerStatuses"][0]["state"] = state
    meta = {
        "name": name,
        "uid": name,
        "creationTimestamp": format(fields.get("created", NOW - 2000)),
        "annotations": fields.get("annotations", {}),
    }
    if fields.get("ending"):
        meta["deletionTimestamp"] = format(NOW)
    return from_dict(Pod, {"metadata": meta, "spec": spec, "status": status})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"node": ""}, {}),
        ({"phase": "Pending"}, {}),
        ({"phase": "Unknown"}, {}),
        ({"ready": None}, {}),
        ({"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}, {}),
        ({"ready": NOW - 10}, {"ready": NOW - 100}),
        ({"restarts": 3}, {"restarts": 1}),
        ({"created": NOW - 5}, {"created": NOW - 50}),
        ({"ready": None, "node": ""}, {"ready": None}),
    ],
)
def test_which_pod_goes_first(first: dict, second: dict) -> None:
    a, b = pod("a", **first), pod("b", **second)
    assert [p.metadata.name for p in deletion_order([b, a], [a, b])] == ["a", "b"]


def test_crowded_nodes_give_up_pods_first() -> None:
    crowd = [pod("a", node="x"), pod("b", node="x"), pod("c", node="y")]
    order = [p.metadata.name for p in deletion_order(reversed(crowd), crowd)]
    assert order[-1] == "c"


def rs(replicas: int | None, ready_for: int = 0) -> ReplicaSet:
    return ReplicaSet(spec=ReplicaSetSpec(replicas=replicas, min_ready_seconds=ready_for))


def test_a_replica_set_makes_and_gives_up_pods() -> None:
    assert replicaset.plan(rs(3), [pod()]) == replicaset.Plan(create=2)
    assert replicaset.plan(rs(None), []) == replicaset.Plan(create=1)
    surplus = [pod("a"), pod("b", ready=None), pod("c")]
    plan = replicaset.plan(rs(2), surplus)
    assert (plan.create, [p.metadata.name for p in plan.delete]) == (0, ["b"])
    assert replicaset.plan(rs(0), []) == replicaset.Plan()


def test_pods_are_available_when_ready_for_long_enough() -> None:
    pods = [pod("a", ready=NOW - 30), pod("b", ready=NOW - 10), pod("c", ready=None)]
    status = replicaset.status_of(rs(3, ready_for=20), pods, "", NOW)
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (3, 2, 1)
    assert replicaset.status_of(rs(3), pods, "", NOW).available_replicas == 2


def test_a_failure_to_create_is_a_condition_while_it_lasts() -> None:
    failed = rs(3)
    failed.status = replicaset.status_of(failed, [], "quota exceeded", NOW)
    [condition] = failed.status.conditions
    assert (condition.type, condition.reason) == ("ReplicaFailure", "FailedCreate")
    later = replicaset.status_of(failed, [], "quota exceeded", NOW + 60)
    assert later.conditions[0].last_transition_time == format(NOW)
    assert replicaset.status_of(failed, [], "", NOW + 90).conditions == []


def job(status: dict | None = None, **spec) -> Job:
    made = Job(spec=JobSpec(**spec), status=JobStatus(**(status or {})))
    made.spec.template.spec.restart_policy = "Never"
    return made


def succeeded(name: str, **fields) -> Pod:
    return pod(name, phase="Succeeded", ready=None, ended=NOW - 50, **fields)


def failed(name: str, ended: float = NOW) -> Pod:
    return pod(name, phase="Failed", ready=None, ended=ended)


@pytest.mark.parametrize(
    ("spec", "pods", "create", "delete"),
    [
        ({"parallelism": 1, "completions": 1}, [], 1, 0),
        ({"parallelism": 3, "completions": 5}, [], 3, 0),
        ({"parallelism": 3, "completions": 5}, [pod("a"), succeeded("b")], 2, 0),
        ({"parallelism": 3, "completions": 5}, [succeeded(n) for n in "abcd"], 1, 0),
        ({"parallelism": 1, "completions": 5}, [pod("a"), pod("b")], 0, 1),
        ({"parallelism": 2}, [], 2, 0),
        ({"parallelism": 2}, [pod("a"), succeeded("b")], 0, 0),
        ({"parallelism": 2, "completions": 2}, [pod("a", ending=True)], 2, 0),
    ],
)
def test_a_job_balances_its_pods(spec: dict, pods: list, create: int, delete: int) -> None:
    plan = jobplan.plan(job(**spec), pods, NOW)
    assert (len(plan.create), len(plan.delete)) == (create, delete)
    assert plan.status.start_time == format(NOW)


@pytest.mark.parametrize(("failures", "wait"), [(1, 10), (2, 20), (3, 40), (5, 160), (9, 600)])
def test_failures_are_waited_out(failures: int, wait: int) -> None:
    pods = [failed(f"f{n}", NOW - 1000 - n) for n in range(failures - 1)] + [failed("last")]
    plan = jobplan.plan(job(completions=1, backoff_limit=100), pods, NOW)
    assert (plan.create, plan.after) == ([], wait)
    assert len(jobplan.plan(job(completions=1, backoff_limit=100), pods, NOW + wait).create) == 1


def test_a_success_ends_the_waiting() -> None:
    pods = [failed("a", NOW - 100), succeeded("b")]
    assert len(jobplan.plan(job(completions=2), pods, NOW).create) == 1


def test_too_many_failures_fail_the_job() -> None:
    pods = [failed("a", NOW - 900), failed("b", NOW - 800), pod("running")]
    plan = jobplan.plan(job(completions=3, parallelism=3, backoff_limit=1), pods, NOW)
    assert [p.metadata.name for p in plan.delete] == ["running"]
    assert (plan.create, plan.after) == ([], None)
    reasons = {c.type: c.reason for c in plan.status.conditions}
    assert reasons == {
        "FailureTarget": "BackoffLimitExceeded",
        "Failed": "BackoffLimitExceeded",
    }
    assert (plan.status.failed, plan.status.active) == (2, 0)


def test_restarts_in_place_count_as_failures() -> None:
    wish = job(completions=1, backoff_limit=3)
    wish.spec.template.spec.restart_policy = "OnFailure"
    assert not jobplan.plan(wish, [pod(restarts=2)], NOW).status.conditions
    assert jobplan.plan(wish, [pod(restarts=3)], NOW).status.conditions


def test_counts_never_go_down() -> None:
    plan = jobplan.plan(job({"succeeded": 2, "failed": 1}, completions=3), [succeeded("a")], NOW)
    assert (plan.status.succeeded, plan.status.failed) == (2, 1)


def test_the_deadline_is_looked_for_in_time() -> None:
    wish = job({"start_time": format(NOW - 20)}, completions=1, active_deadline_seconds=60)
    assert jobplan.plan(wish, [pod()], NOW).after == 40
    assert jobplan.plan(wish, [pod()], NOW + 40).status.conditions[-1].reason == "DeadlineExceeded"


def test_indexes_are_given_to_the_lowest_free() -> None:
    def indexed(name: str, index: int, **fields) -> Pod:
        annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
        return pod(name, annotations=annotations, **fields)

    pods = [indexed("a", 0, phase="Succeeded"), indexed("b", 2)]
    wish = job(completions=6, parallelism=3, completion_mode="Indexed")
    plan = jobplan.plan(wish, pods, NOW)
    assert plan.create == [1, 3]
    assert plan.status.completed_indexes == "0"


@pytest.mark.parametrize(
    ("indexes", "text"),
    [([], ""), ([3], "3"), ([1, 2], "1,2"), ([0, 1, 2], "0-2"), ([1, 3, 4, 5, 7], "1,3-5,7")],
)
def test_indexes_as_text(indexes: list[int], text: str) -> None:
    assert jobplan.format_indexes(indexes) == text
    assert jobplan.parse_indexes(text) == indexes
