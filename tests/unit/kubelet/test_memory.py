"""Which pod a node ends that is low on memory, what it says, and what the kernel ended."""

from __future__ import annotations

from engine.kubelet import memory
from engine.types import codec
from engine.types.pods import Pod
from engine.types.stats import ContainerSample

MIB = 1 << 20


def usage(name: str, used: int, request: int = 0, priority: int = 0) -> memory.Usage:
    resources = {"requests": {"memory": f"{request}Mi"}} if request else {}
    spec = {"priority": priority, "containers": [{"name": "c", "resources": resources}]}
    pod = codec.from_dict(Pod, {"metadata": {"name": name}, "spec": spec})
    return memory.Usage(pod, {"c": used * MIB})


def order(*usages: memory.Usage) -> str:
    left, names = list(usages), []
    while chosen := memory.victim(left):
        names.append(chosen.pod.metadata.name)
        left.remove(chosen)
    return " ".join(names)


def test_who_goes_first() -> None:
    """Over its request, then priority, then by how much."""
    within = usage("within", 900, request=1000)
    small, big = usage("small", 10), usage("big", 500, request=100)
    assert order(within, small, big) == "big small within"
    assert order(big, usage("vital", 800, priority=100), small) == "big small vital"
    assert order(within, usage("mean", 90, request=100, priority=-1)) == "mean within"
    assert order(usage("system", 800, priority=2_000_000_000), usage("none", 0)) == ""


def test_what_is_said() -> None:
    text = memory.message(usage("p", 300, request=100), 100 * MIB, 50 * MIB)
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. "
        "Container c was using 307200Ki, request is 100Mi, has larger consumption of memory. "
    )


def test_pressure_lasts_a_while() -> None:
    pressure = memory.Pressure(1000 * MIB)
    assert pressure.threshold == 100 * MIB
    assert not pressure.saw(900 * MIB, 1.0)
    assert not pressure.lasts(1.0)
    assert pressure.saw(901 * MIB, 2.0)
    assert not pressure.saw(100 * MIB, 3.0)
    assert pressure.lasts(3.0)
    assert not pressure.lasts(2.0 + memory.PRESSURE_S)
    assert memory.threshold(256 * MIB) == 256 * MIB // 10


def test_under_pressure_only_who_has_said_what_he_needs_comes() -> None:
    assert memory.rejection(usage("p", 0).pod) == (
        "Evicted",
        "The node had condition: [MemoryPressure]. ",
    )
    assert memory.rejection(usage("p", 0, request=1).pod) is None
    assert memory.rejection(usage("p", 0, priority=2_000_000_000).pod) is None


def test_kills_are_told_once_and_by_life() -> None:
    kills = memory.Kills()

    def new(**counts: int) -> dict[str, int]:
        return kills.new({key: ContainerSample(oom_kills=n) for key, n in counts.items()})

    assert new(a=5) == {}  # before we looked
    assert new(a=5, b=1) == {"b": 1}
    assert new(a=7, b=1) == {"a": 2}
    assert new(a=1) == {"a": 1}  # another life
    assert new() == {}
