"""Decisions are kept, explained, and bounded."""

from engine.scheduler import decision as decisions
from engine.scheduler.decision import Decisions


def test_every_node_has_a_verdict(lab) -> None:
    lab.node("small", cpu=100)
    lab.node("large")
    spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}
    decision = lab.decide(lab.pod(spec, owner="rs"))
    verdicts = {v.node: v for v in decision.verdicts()}
    assert decision.node == "large"
    assert verdicts["small"].rejected_by == "NodeResourcesFit"
    assert verdicts["small"].reasons == ("Insufficient cpu",)
    assert verdicts["large"].total == sum(verdicts["large"].scores.values()) > 0
    assert decision.rejecting_plugins() == {"NodeResourcesFit"}


def test_a_decision_is_of_its_moment(lab) -> None:
    lab.node("a")
    lab.node("b", cordoned=True)
    pod = lab.pod()
    before = lab.decide(pod)
    lab.columns.remove_node("b")
    lab.node("c")
    assert {v.node for v in before.verdicts()} == {"a", "b"}
    assert {v.node for v in lab.decide(pod).verdicts()} == {"a", "c"}


def test_the_last_one_of_each_pod_is_kept(lab) -> None:
    lab.node("a")
    kept, pod = Decisions(), lab.pod()
    for _ in range(3):
        last = lab.decide(pod)
        kept.add(last)
    assert len(kept) == 1
    assert kept.get(pod.uid) is last
    kept.discard(pod.uid)
    assert kept.get(pod.uid) is None


def test_memory_is_bounded(lab, monkeypatch) -> None:
    lab.node("a")
    size = lab.decide(lab.pod()).cells
    monkeypatch.setattr(decisions, "KEPT_CELLS", size * 10)
    kept = Decisions()
    made = [lab.decide(lab.pod()) for _ in range(30)]
    for each in made:
        kept.add(each)
    assert len(kept) == 10
    assert kept.get(made[-1].uid) is made[-1]
    assert kept.get(made[0].uid) is None
