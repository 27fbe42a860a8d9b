"""What holds for every cluster and every order of events."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.scheduler.columns import Columns
from engine.scheduler.cycle import Cycle
from engine.scheduler.decision import Decision
from engine.scheduler.node import NodeInfo, TaintKey
from engine.scheduler.plugins.default import default_plugins
from engine.scheduler.pod import PodInfo
from engine.types.codec import from_dict
from engine.types.pods import Pod

ZONES = ("x", "y", "z")
TAINT = TaintKey("k", "v", "NoSchedule")

nodes = st.builds(
    lambda name, cpu, memory, pods, zone, tainted, cordoned: NodeInfo(
        f"node-{name}",
        {"kubernetes.io/hostname": f"node-{name}"} | ({"zone": zone} if zone else {}),
        (TAINT,) if tainted else (),
        cordoned,
        {"cpu": cpu, "memory": memory, "pods": pods},
    ),
    st.integers(0, 9),
    st.integers(0, 4000),
    st.integers(0, 8 << 30),
    st.integers(0, 6),
    st.sampled_from((*ZONES, None)),
    st.booleans(),
    st.booleans(),
)


@st.composite
def pods(draw: st.DrawFn) -> PodInfo:
    number = draw(st.uuids())
    resources = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.integers(0, 2500).map(lambda m: f"{m}m"),
                "memory": st.integers(0, 4 << 30),
            },
        )
    )
    app = {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone"}
    port = draw(st.sampled_from((None, 80, 81)))
    container: dict = {"name": "c", "resources": {"requests": resources}}
    if port:
        container["ports"] = [{"containerPort": port, "hostPort": port}]
    spec: dict = {"containers": [container]}
    if draw(st.booleans()):
        spec["tolerations"] = [{"key": "k", "operator": "Exists"}]
    if draw(st.booleans()):
        spec["nodeSelector"] = {"zone": draw(st.sampled_from(ZONES))}
    if draw(st.booleans()):
        when = draw(st.sampled_from(("DoNotSchedule", "ScheduleAnyway")))
        spec["topologySpreadConstraints"] = [{"maxSkew": 1, "whenUnsatisfiable": when, **app}]
    if draw(st.booleans()):
        side = draw(st.sampled_from(("podAffinity", "podAntiAffinity")))
        terms = {"requiredDuringSchedulingIgnoredDuringExecution": [app]}
        spec["affinity"] = {side: terms}
    meta = {"name": f"p-{number}", "uid": str(number), "namespace": "d"}
    meta["labels"] = {"app": draw(st.sampled_from("ab"))}
    return PodInfo.of(from_dict(Pod, {"metadata": meta, "spec": spec}))


steps = st.lists(
    st.one_of(
        nodes,
        pods(),
        st.tuples(st.just("remove node"), st.integers(0, 9)),
        st.tuples(st.just("remove pod"), st.integers(0, 30)),
    ),
    max_size=60,
)


def check(cycle: Cycle, pod: PodInfo, decision: Decision) -> None:
    columns = cycle.columns
    verdicts = {v.node: v for v in decision.verdicts()}
    assert verdicts.keys() == columns.row_of.keys()
    for verdict in verdicts.values():
        # Rejected by exactly one plugin with a reason, or scored by all that score.
        assert bool(verdict.rejected_by) == bool(verdict.reasons)
        assert verdict.rejected_by or verdict.total == sum(verdict.scores.values())
    feasible = {name: v.total for name, v in verdicts.items() if not v.rejected_by}
    masks = [plugin.mask(columns, pod) for plugin in cycle.plugins]
    for name, row in columns.row_of.items():
        passes = all(mask is None or mask[row] for mask in masks)
        assert passes == (name in feasible)
    if feasible:
        assert feasible[decision.node] == max(feasible.values())
    else:
        assert decision.node == ""
        counts = Counter(text for v in verdicts.values() for text in v.reasons)
        said = decision.message()
        assert not verdicts or all(f"{n} {text}" in said for text, n in counts.items())


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 3))
def test_any_history(history: list, seed: int) -> None:
    columns = Columns()
    cycle = Cycle(columns, default_plugins(), seed=seed)
    placed: list[PodInfo] = []
    for step in history:
        match step:
            case NodeInfo():
                columns.set_node(step)
            case PodInfo():
                decision = cycle.decide(step)
                check(cycle, step, decision)
                if decision.node:
                    row = columns.row_of[decision.node]
                    columns.place(step, decision.node)
                    placed.append(step)
                    # Never over-committed by a decision, in any resource the pod asks for.
                    for name in ("pods", *step.requests):
                        assert columns.requested[name][row] <= columns.allocatable[name][row]
            case ("remove node", number):
                columns.remove_node(f"node-{number}")
            case ("remove pod", index) if placed:
                columns.displace(placed.pop(index % len(placed)).uid)
        recount(columns)


def recount(columns: Columns) -> None:
    """The columns are what a count from nothing gives."""
    for name in ("cpu", "memory"):
        for node, row in columns.row_of.items():
            pods_here = [p for p, where in columns.placed.values() if where == node]
            assert columns.requested[name][row] == sum(p.requests.get(name, 0) for p in pods_here)
            assert columns.requested["pods"][row] == len(pods_here)
    dead = ~columns.alive
    assert not any(np.any(column[dead]) for column in columns.requested.values())
    assert columns.count == len(columns.row_of) == int(columns.alive.sum())
    for (scope, _), counter in columns._counters.items():
        for node, row in columns.row_of.items():
            expected = sum(
                where == node and scope in (p.namespace, p.owner, "*") and counter.matches(p)
                for p, where in columns.placed.values()
            )
            assert counter.per_node[row] == expected
