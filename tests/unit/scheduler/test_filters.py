"""Which nodes each plugin lets through, and its words for those it does not."""

import pytest

from engine.scheduler.node import TaintKey


def requests(**amounts: str) -> dict:
    return {"containers": [{"name": "c", "resources": {"requests": amounts}}]}


def affinity(*terms: list[dict]) -> dict:
    selector = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": selector}
    return {"affinity": {"nodeAffinity": required}}


def test_fit_counts_what_is_placed(lab) -> None:
    lab.node("a", cpu=1000)
    lab.node("b", cpu=2000)
    assert lab.feasible(requests(cpu="1")) == {"a", "b"}
    lab.place("a", requests(cpu="100m"))
    assert lab.feasible(requests(cpu="1")) == {"b"}
    assert lab.feasible(requests(cpu="900m")) == {"a", "b"}
    lab.place("b", requests(cpu="1500m"))
    assert lab.message(requests(cpu="1")) == "0/2 nodes are available: 2 Insufficient cpu."


def test_fit_names_every_short_resource(lab) -> None:
    lab.node("a", cpu=1000, memory=1 << 30)
    lab.node("b", cpu=1000, memory=4 << 30)
    message = lab.message(requests(cpu="2", memory="2Gi", **{"example.com/gpu": "1"}))
    assert message == (
        "0/2 nodes are available: 1 Insufficient memory, 2 Insufficient cpu,"
        " 2 Insufficient example.com/gpu."
    )


def test_fit_knows_extended_resources_and_the_number_of_pods(lab) -> None:
    lab.node("a", pods=1)
    lab.node("b", **{"example.com/gpu": 1})
    assert lab.feasible(requests(**{"example.com/gpu": "1"})) == {"b"}
    lab.place("a")
    assert lab.feasible() == {"b"}
    lab.place("b", requests(**{"example.com/gpu": "1"}))
    assert lab.message(requests(**{"example.com/gpu": "1"})) == (
        "0/2 nodes are available: 1 Too many pods, 2 Insufficient example.com/gpu."
    )


TAINTS = (TaintKey("k", "v", "NoSchedule"), TaintKey("k", "v", "NoExecute"))


@pytest.mark.parametrize("taint", TAINTS)
@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({}, False),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "PreferNoSchedule"}, False),
    ],
)
def test_taints(lab, taint: TaintKey, toleration: dict, tolerated: bool) -> None:
    lab.node("guarded", taints=(taint,))
    spec = {"tolerations": [toleration]} if toleration else {}
    assert lab.feasible(spec) == ({"guarded"} if tolerated else set())


def test_taint_messages_name_the_first_taint(lab) -> None:
    first, second = TaintKey("a", "1", "NoSchedule"), TaintKey("b", "", "NoExecute")
    lab.node("x", taints=(first, second))
    lab.node("y", taints=(second,))
    lab.node("z", taints=(second, first))
    assert lab.message() == (
        "0/3 nodes are available: 1 node(s) had untolerated taint {a: 1},"
        " 2 node(s) had untolerated taint {b: }."
    )


def test_a_cordoned_node_takes_only_pods_that_tolerate_it(lab) -> None:
    lab.node("a", cordoned=True)
    assert lab.message() == "0/1 nodes are available: 1 node(s) were unschedulable."
    toleration = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
    assert lab.feasible({"tolerations": [toleration]}) == {"a"}


def test_node_selector(lab) -> None:
    lab.node("a", labels={"disk": "ssd", "zone": "x"})
    lab.node("b", labels={"disk": "ssd"})
    lab.node("c")
    assert lab.feasible({"nodeSelector": {"disk": "ssd"}}) == {"a", "b"}
    assert lab.feasible({"nodeSelector": {"disk": "ssd", "zone": "x"}}) == {"a"}
    assert lab.message({"nodeSelector": {"disk": "tape"}}) == (
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    )


@pytest.mark.parametrize(
    ("terms", "nodes"),
    [
        ([[{"key": "n", "operator": "In", "values": ["1", "2"]}]], {"one", "two"}),
        ([[{"key": "n", "operator": "NotIn", "values": ["1"]}]], {"two", "none"}),
        ([[{"key": "n", "operator": "Exists"}]], {"one", "two"}),
        ([[{"key": "n", "operator": "DoesNotExist"}]], {"none"}),
        ([[{"key": "n", "operator": "Gt", "values": ["1"]}]], {"two"}),
        ([[{"key": "n", "operator": "Lt", "values": ["2"]}]], {"one"}),
        (
            [
                [
                    {"key": "n", "operator": "Exists"},
                    {"key": "n", "operator": "Lt", "values": ["2"]},
                ],
                [{"key": "n", "operator": "DoesNotExist"}],
            ],
            {"one", "none"},
        ),
        ([[]], set()),
    ],
)
def test_required_node_affinity(lab, terms: list, nodes: set[str]) -> None:
    lab.node("one", labels={"n": "1"})
    lab.node("two", labels={"n": "2"})
    lab.node("none")
    assert lab.feasible(affinity(*terms)) == nodes


def test_affinity_by_node_name(lab) -> None:
    lab.node("a")
    lab.node("b")
    field = {"key": "metadata.name", "operator": "In", "values": ["b"]}
    selector = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": selector}
    assert lab.feasible({"affinity": {"nodeAffinity": required}}) == {"b"}


@pytest.mark.parametrize(
    ("ip", "protocol", "port", "free"),
    [
        ("", "TCP", 80, False),
        ("127.0.0.1", "TCP", 80, False),
        ("", "UDP", 80, True),
        ("", "TCP", 81, True),
        ("127.0.0.1", "TCP", 90, False),
        ("127.0.0.2", "TCP", 90, True),
        ("", "TCP", 90, False),
    ],
)
def test_host_ports(lab, ip: str, protocol: str, port: int, free: bool) -> None:
    def ports(ip: str, protocol: str, port: int) -> dict:
        one = {"containerPort": 8, "hostPort": port, "protocol": protocol, "hostIP": ip}
        return {"containers": [{"name": "c", "ports": [one]}]}

    lab.node("a")
    lab.place("a", ports("", "TCP", 80))
    held = lab.place("a", ports("127.0.0.1", "TCP", 90))
    assert lab.feasible(ports(ip, protocol, port)) == ({"a"} if free else set())
    if not free:
        assert lab.message(ports(ip, protocol, port)) == (
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
        )
    lab.columns.displace(held.uid)
    assert port != 90 or lab.feasible(ports(ip, protocol, port)) == {"a"}


def spread(skew: int = 1, key: str = "zone", **fields) -> dict:
    constraint = {
        "maxSkew": skew,
        "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
        **fields,
    }
    return {"topologySpreadConstraints": [constraint]}


def zones(lab) -> None:
    lab.node("a1", labels={"zone": "a"})
    lab.node("a2", labels={"zone": "a"})
    lab.node("b1", labels={"zone": "b"})


def test_hard_spread_keeps_the_skew(lab) -> None:
    zones(lab)
    labels = {"app": "x"}
    assert lab.feasible(spread(), labels=labels) == {"a1", "a2", "b1"}
    lab.place("a1", labels=labels)
    assert lab.feasible(spread(), labels=labels) == {"b1"}
    assert lab.feasible(spread(2), labels=labels) == {"a1", "a2", "b1"}
    lab.place("b1", labels=labels)
    assert lab.feasible(spread(), labels=labels) == {"a1", "a2", "b1"}
    lab.place("a2", labels=labels, namespace="other")
    assert lab.feasible(spread(), labels=labels) == {"a1", "a2", "b1"}


def test_hard_spread_needs_the_label(lab) -> None:
    zones(lab)
    lab.node("nowhere")
    lab.node("full", cpu=0, labels={"zone": "c"})
    lab.place("a1", labels={"app": "x"})
    lab.place("b1", labels={"app": "x"})
    wish = requests(cpu="1") | spread()
    assert lab.message(wish, labels={"app": "x"}) == (
        "0/5 nodes are available: 1 Insufficient cpu,"
        " 1 node(s) didn't match pod topology spread constraints (missing required label),"
        " 3 node(s) didn't match pod topology spread constraints."
    )


def test_spread_counts_only_domains_the_pod_may_go_to(lab) -> None:
    zones(lab)
    lab.node("c1", labels={"zone": "c", "disk": "tape"})
    labels = {"app": "x"}
    lab.place("a1", labels=labels)
    lab.place("b1", labels=labels)
    not_tape = affinity([{"key": "disk", "operator": "DoesNotExist"}])
    assert lab.feasible(spread() | not_tape, labels=labels) == {"a1", "a2", "b1"}
    ignoring = spread(nodeAffinityPolicy="Ignore") | not_tape
    assert lab.feasible(ignoring, labels=labels) == set()


def test_min_domains_counts_missing_ones_as_empty(lab) -> None:
    zones(lab)
    labels = {"app": "x"}
    lab.place("a1", labels=labels)
    lab.place("b1", labels=labels)
    assert lab.feasible(spread(minDomains=3), labels=labels) == set()


def test_pods_that_are_ending_are_not_counted(lab) -> None:
    zones(lab)
    labels = {"app": "x"}
    assert lab.feasible(spread(), labels=labels) == {"a1", "a2", "b1"}
    lab.place("a1", labels=labels, deletionTimestamp="2026-01-01T00:00:00Z")
    assert lab.feasible(spread(), labels=labels) == {"a1", "a2", "b1"}


def company(side: str, key: str = "kubernetes.io/hostname", app: str = "x", **fields) -> dict:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **fields}
    return {"affinity": {side: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_anti_affinity(lab) -> None:
    zones(lab)
    lab.place("a1", labels={"app": "x"})
    assert lab.feasible(company("podAntiAffinity")) == {"a2", "b1"}
    assert lab.feasible(company("podAntiAffinity", "zone")) == {"b1"}
    assert lab.feasible(company("podAntiAffinity", app="y")) == {"a1", "a2", "b1"}
    lab.place("b1", labels={"app": "x"})
    assert lab.message(company("podAntiAffinity", "zone")) == (
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
    )


def test_anti_affinity_of_placed_pods(lab) -> None:
    zones(lab)
    shy = lab.place("a1", company("podAntiAffinity", "zone"))
    assert lab.feasible(labels={"app": "x"}) == {"b1"}
    assert lab.feasible(labels={"app": "y"}) == {"a1", "a2", "b1"}
    assert lab.feasible(labels={"app": "x"}, namespace="other") == {"a1", "a2", "b1"}
    lab.columns.displace(shy.uid)
    assert lab.feasible(labels={"app": "x"}) == {"a1", "a2", "b1"}
    lab.place("a1", company("podAntiAffinity", "zone"))
    lab.place("b1", company("podAntiAffinity", "zone"))
    assert lab.message(labels={"app": "x"}) == (
        "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules."
    )


def test_affinity(lab) -> None:
    zones(lab)
    assert lab.message(company("podAffinity", "zone")) == (
        "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    )
    assert lab.feasible(company("podAffinity", "zone"), labels={"app": "x"}) == {"a1", "a2", "b1"}
    lab.place("a1", labels={"app": "x"})
    assert lab.feasible(company("podAffinity", "zone")) == {"a1", "a2"}
    assert lab.feasible(company("podAffinity", "zone"), labels={"app": "x"}) == {"a1", "a2"}
    assert lab.feasible(company("podAffinity"), namespace="other") == set()
    everywhere = company("podAffinity", namespaceSelector={})
    assert lab.feasible(everywhere, namespace="other") == {"a1"}


def test_without_nodes(lab) -> None:
    assert lab.message() == "no nodes available to schedule pods"


def test_a_pod_that_names_its_node(lab) -> None:
    lab.node("a")
    lab.node("b")
    assert lab.feasible({"nodeName": "b"}) == {"b"}
    assert lab.message({"nodeName": "c"}) == (
        "0/2 nodes are available: 2 node(s) didn't match the requested node name."
    )
