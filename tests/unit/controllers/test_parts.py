"""The small parts controllers are made of."""

from engine.controllers.expectations import GIVEN_UP_AFTER, Expectations
from engine.controllers.nodelifecycle import unknown_conditions, wanted_taints
from engine.controllers.patch import merge_patch
from engine.controllers.revision import (
    SAFE_LETTERS,
    family,
    new_annotations,
    new_replica_set,
    next_revision,
    template_hash,
)
from engine.controllers.start import CONTROLLERS
from engine.controllers.tainteviction import evict_at
from engine.types.apps import Deployment
from engine.types.clock import format
from engine.types.codec import clone, from_dict
from engine.types.nodes import Node, Taint
from engine.types.pods import Pod, Toleration

NOW = 1_800_000_000.0


def deployment(image: str = "web:1") -> Deployment:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    meta = {"name": "web", "namespace": "d", "uid": "u", "annotations": {"note": "n"}}
    return from_dict(Deployment, {"metadata": meta, "spec": spec})


def test_expectations_are_met_by_what_is_seen() -> None:
    expected = Expectations(lambda: NOW)
    assert expected.satisfied("a")
    expected.expect_creation("a")
    expected.expect_creation("a")
    expected.expect_deletion("a", "uid")
    expected.creation_done("a")
    expected.deletion_done("a", "uid")
    assert not expected.satisfied("a")
    assert expected.satisfied("b")
    expected.creation_done("a")
    assert expected.satisfied("a")
    # What was seen too often, or of somebody else, does no harm.
    expected.creation_done("a")
    expected.deletion_done("b", "uid")
    assert expected.satisfied("a")


def test_expectations_are_given_up() -> None:
    now = NOW
    expected = Expectations(lambda: now)
    expected.expect_deletion("a", "uid")
    assert not expected.satisfied("a")
    now += GIVEN_UP_AFTER
    assert expected.satisfied("a")


def test_merge_patches_are_minimal() -> None:
    old = {"a": 1, "b": {"c": 2, "d": 3}, "l": [1, 2], "gone": 1}
    new = {"a": 1, "b": {"c": 2, "d": 4}, "l": [1], "new": {}}
    assert merge_patch(old, new) == {"b": {"d": 4}, "l": [1], "new": {}, "gone": None}
    assert merge_patch(new, new) == {}


def test_template_hashes_are_stable_and_safe() -> None:
    template = deployment().spec.template
    code = template_hash(template, None)
    labelled = clone(template)
    labelled.metadata.labels["pod-template-hash"] = code
    assert template_hash(labelled, 0) == code
    assert set(code) <= set(SAFE_LETTERS)
    assert len(code) == 10
    others = {template_hash(template, 1), template_hash(deployment("web:2").spec.template, None)}
    assert len(others | {code}) == 3


def test_a_replica_set_is_found_again_by_its_template() -> None:
    one, two = deployment("web:1"), deployment("web:2")
    first = new_replica_set(one, 1, new_annotations(one, None, 1))
    second = new_replica_set(two, 1, new_annotations(two, None, 2))
    first.metadata.creation_timestamp, second.metadata.creation_timestamp = "1", "2"
    sets = family(one, [second, first])
    assert (sets.new, sets.old) == (first, (second,))
    assert next_revision(sets.old) == 3
    again = new_annotations(one, first, 3)
    assert again["deployment.kubernetes.io/revision"] == "3"
    assert again["deployment.kubernetes.io/revision-history"] == "1"
    assert again["note"] == "n"
    assert first.spec.selector.match_labels.keys() == {"app", "pod-template-hash"}
    assert one.spec.selector.match_labels.keys() == {"app"}


def node(ready: str, taints: list | None = None, **conditions: str) -> Node:
    listed = [{"type": kind, "status": status} for kind, status in conditions.items()]
    if ready:
        listed.append({"type": "Ready", "status": ready})
    spec = {"taints": taints or []}
    return from_dict(Node, {"spec": spec, "status": {"conditions": listed}})


def taints(found: list[Taint]) -> set[tuple[str, str]]:
    return {(t.key.rpartition("/")[2], t.effect) for t in found}


def test_conditions_become_taints_and_others_stay() -> None:
    own = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": format(1)}
    other = {"key": "mine", "effect": "NoSchedule"}
    found = wanted_taints(node("Unknown", [own, other], MemoryPressure="True"), NOW)
    assert taints(found) == {
        ("mine", "NoSchedule"),
        ("unreachable", "NoSchedule"),
        ("unreachable", "NoExecute"),
        ("memory-pressure", "NoSchedule"),
    }
    assert taints(wanted_taints(node("True", [own, other]), NOW)) == {("mine", "NoSchedule")}
    kept = wanted_taints(node("False", [own]), NOW)
    assert [t.time_added for t in kept if t.effect == "NoExecute"] == [format(1)]
    assert wanted_taints(node(""), NOW) == []


def test_nobody_vouches_for_a_silent_node() -> None:
    conditions = {c.type: c for c in unknown_conditions(node("True"), NOW)}
    assert {c.status for c in conditions.values()} == {"Unknown"}
    assert conditions["Ready"].reason == "NodeStatusUnknown"
    assert conditions["DiskPressure"].reason == "NodeStatusNeverUpdated"


def test_when_a_pod_must_go() -> None:
    def pod(*tolerations: Toleration) -> Pod:
        made = Pod()
        made.spec.tolerations = list(tolerations)
        return made

    put = format(NOW - 100)
    hard = [Taint(key="k", value="v", effect="NoExecute", time_added=put)]
    soft = [Taint(key="k", value="v", effect="NoSchedule")]
    forever = Toleration(key="k", operator="Exists")
    limited = Toleration(key="k", value="v", effect="NoExecute", toleration_seconds=300)
    brief = Toleration(operator="Exists", toleration_seconds=-1)
    assert evict_at(pod(), hard, NOW) == NOW
    assert evict_at(pod(), soft, NOW) is None
    assert evict_at(pod(forever), hard, NOW) is None
    assert evict_at(pod(limited), hard, NOW) == NOW + 200
    assert evict_at(pod(limited, forever), hard, NOW) == NOW + 200
    assert evict_at(pod(limited, brief), hard, NOW) == NOW - 100
    second = Taint(key="l", effect="NoExecute", time_added=put)
    assert evict_at(pod(forever), [*hard, second], NOW) == NOW


def test_every_controller_has_its_own_name() -> None:
    names = [controller.name for controller in CONTROLLERS]
    assert len(set(names)) == len(names) == 10
