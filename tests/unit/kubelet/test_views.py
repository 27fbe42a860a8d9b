"""What the nodes show: statistics to subscribers, images as objects, the node itself."""

import asyncio
from typing import Any

import pytest

from engine.images.types import Digest, Image, ImageConfig, Layer
from engine.kubelet.node import NodeConfig
from engine.kubelet.published import described
from engine.kubelet.registration import conditions, labels, node_status, system_info
from engine.kubelet.stats import HISTORY, QUEUE, Stats
from engine.types import version
from engine.types.nodes import NodeCondition
from engine.types.stats import ContainerSample, NodeSample

GIB = 1 << 30
CONFIG = NodeConfig("n1", 1, 1.5, 2 * GIB, "10.64.1.0/24", "10.64.0.11", storage=100 * GIB)


class Node:
    """A source that counts how often it was looked at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.looks = 0

    def look(self) -> tuple[NodeSample, dict[str, ContainerSample]]:
        self.looks += 1
        sample = ContainerSample(node=self.name, cpu=float(self.looks))
        return NodeSample(pods=self.looks), {f"default/{self.name}/main": sample}


async def take(stats: Stats, history: int, count: int) -> list[float]:
    found: list[float] = []
    stream = stats.subscribe(history)
    while len(found) < count:
        found.append((await anext(stream)).t)
    await stream.aclose()  # type: ignore[attr-defined]
    return found


async def test_a_tick_has_every_node() -> None:
    tick = Stats([Node("a"), Node("b")]).tick(5.0)
    assert set(tick.nodes) == {"a", "b"}
    assert tick.containers["default/b/main"].node == "b"


async def test_history_comes_first_and_is_bounded() -> None:
    stats = Stats([Node("a")])
    for second in range(HISTORY + 10):
        stats.tick(float(second))
    assert await take(stats, 2, 2) == [HISTORY + 8.0, HISTORY + 9.0]
    assert (await take(stats, 10_000, HISTORY))[0] == 10.0


async def test_subscribers_get_each_new_tick_and_slow_ones_miss_some() -> None:
    stats = Stats([Node("a")])
    stream = stats.subscribe(0)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    stats.tick(1.0)
    assert (await first).t == 1.0
    for second in range(2, 2 + 2 * QUEUE):
        stats.tick(float(second))
    assert (await anext(stream)).t == 2.0 + QUEUE


def layer(letter: str) -> Layer:
    digest = Digest("sha256:" + letter * 64)
    return Layer(digest, digest, 10, "tar", f"made {letter}", 3, 20)


def image(reference: str, number: str, *layers: Layer) -> Image:
    digest = Digest("sha256:" + number * 64)
    config = ImageConfig(env=("A=1",), cmd=("sh",))
    return Image(reference, digest, digest, "amd64", "linux", "", config, layers, 30)


def test_images_say_with_whom_they_share_a_layer() -> None:
    base, app = layer("a"), layer("b")
    found = described(
        [
            image("one:1", "1", base, app),
            image("one:latest", "1", base, app),
            image("two:1", "2", base),
        ]
    )
    one, two = found
    assert one.metadata.name == "sha256-" + "1" * 64
    assert one.references == ["one:1", "one:latest"]
    assert [part.shared_with for part in one.layers] == [["two:1"], []]
    assert [part.shared_with for part in two.layers] == [["one:1", "one:latest"]]
    assert (one.layers[1].created_by, one.layers[1].unpacked_size) == ("made b", 20)


def test_a_node_says_what_it_has() -> None:
    status = node_status(CONFIG, system_info(), [image("one:1", "1")], (50, 100))
    assert status.capacity == {
        "cpu": "1500m",
        "memory": "2097152Ki",
        "pods": "110",
        "ephemeral-storage": "104857600Ki",
    }
    assert [(a.type, a.address) for a in status.addresses] == [
        ("InternalIP", "10.64.0.11"),
        ("Hostname", "n1"),
    ]
    assert status.node_info.container_runtime_version == f"podarium://{version.PODARIUM}"
    assert labels(CONFIG)["podarium.io/node-index"] == "1"


@pytest.mark.parametrize(
    ("disk", "runtime", "expected"),
    [
        ((50, 100), True, {"DiskPressure": "False", "Ready": "True"}),
        ((9, 100), True, {"DiskPressure": "True", "Ready": "True"}),
        ((50, 100), False, {"DiskPressure": "False", "Ready": "False"}),
    ],
)
def test_node_conditions(disk: tuple[int, int], runtime: bool, expected: dict[str, Any]) -> None:
    found = {c.type: c.status for c in conditions([], disk, runtime, 0.0)}
    assert found | expected == found
    assert found["MemoryPressure"] == found["PIDPressure"] == "False"


def test_a_node_condition_s_time_stays_while_it_holds() -> None:
    before = conditions([NodeCondition(type="Own", status="True")], (50, 100), True, 0.0)
    after = {c.type: c for c in conditions(before, (50, 100), False, 60.0)}
    assert after["DiskPressure"].last_transition_time == "1970-01-01T00:00:00Z"
    assert after["Ready"].last_transition_time == "1970-01-01T00:01:00Z"
    assert after["DiskPressure"].last_heartbeat_time == "1970-01-01T00:01:00Z"
    assert after["Own"].status == "True"
