"""Which of the nodes that would do is liked best, and why."""

from engine.scheduler.node import TaintKey


def requests(**amounts: str) -> dict:
    return {"containers": [{"name": "c", "resources": {"requests": amounts}}]}


def test_the_emptier_node_is_liked(lab) -> None:
    lab.node("busy")
    lab.node("idle")
    lab.place("busy", requests(cpu="2", memory="4Gi"))
    scores = lab.scores("NodeResourcesFit", requests(cpu="1", memory="2Gi"))
    assert scores == {"busy": 25, "idle": 75}
    assert lab.decide(lab.pod(requests(cpu="1", memory="2Gi"))).node == "idle"


def test_pods_without_requests_count_something(lab) -> None:
    lab.node("busy")
    lab.node("idle")
    lab.place("busy")
    scores = lab.scores("NodeResourcesFit")
    assert scores["busy"] < scores["idle"]


def test_even_use_is_liked(lab) -> None:
    lab.node("even")
    lab.node("uneven")
    lab.place("even", requests(cpu="2", memory="4Gi"))
    lab.place("uneven", requests(cpu="2"))
    scores = lab.scores("NodeResourcesBalancedAllocation", requests(cpu="400m", memory="1Gi"))
    assert scores["even"] > scores["uneven"]


def test_soft_taints_make_a_node_less_liked(lab) -> None:
    soft = [TaintKey("k", str(n), "PreferNoSchedule") for n in range(2)]
    lab.node("both", taints=tuple(soft))
    lab.node("one", taints=(soft[0],))
    lab.node("none")
    assert lab.scores("TaintToleration") == {"both": 0, "one": 150, "none": 300}
    every = {"tolerations": [{"operator": "Exists"}]}
    assert lab.scores("TaintToleration", every) == {}


def test_preferred_node_affinity_adds_weights(lab) -> None:
    lab.node("both", labels={"a": "1", "b": "1"})
    lab.node("a", labels={"a": "1"})
    lab.node("none")
    wishes = [
        {
            "weight": weight,
            "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]},
        }
        for weight, key in ((30, "a"), (10, "b"))
    ]
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": wishes}
    scores = lab.scores("NodeAffinity", {"affinity": {"nodeAffinity": preferred}})
    assert scores == {"both": 200, "a": 150, "none": 0}


def test_replicas_spread_over_nodes_by_default(lab) -> None:
    for name in ("a", "b", "c"):
        lab.node(name)
    for _ in range(9):
        pod = lab.pod(owner="rs")
        lab.columns.place(pod, lab.decide(pod).node)
    assert lab.columns.requested["pods"][:3].tolist() == [3, 3, 3]


def test_soft_spread_prefers_the_emptier_zone(lab) -> None:
    for name, zone in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        lab.node(name, labels={"zone": zone})
    lab.place("a1", labels={"app": "x"})
    soft = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    spec = {"topologySpreadConstraints": [soft]}
    scores = lab.scores("PodTopologySpread", spec, labels={"app": "x"})
    assert scores["a1"] == scores["a2"] < scores["b1"]
    lab.node("unlabelled")
    assert lab.scores("PodTopologySpread", spec)["unlabelled"] == 0


def test_preferred_company(lab) -> None:
    lab.node("a")
    lab.node("b")
    lab.place("a", labels={"app": "x"})
    term = {"topologyKey": "kubernetes.io/hostname"}
    term["labelSelector"] = {"matchLabels": {"app": "x"}}
    wish = [{"weight": 10, "podAffinityTerm": term}]
    near = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}}
    far = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}}
    assert lab.scores("InterPodAffinity", {"affinity": near}) == {"a": 200, "b": 0}
    assert lab.scores("InterPodAffinity", {"affinity": far}) == {"a": 0, "b": 200}


def test_equal_nodes_are_chosen_by_the_seed(make_lab) -> None:
    def choices(seed: int) -> list[str]:
        lab = make_lab(seed)
        for number in range(8):
            lab.node(f"n{number}")
        return [lab.decide(lab.pod()).node for _ in range(20)]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)
    assert len(set(choices(1))) > 3
