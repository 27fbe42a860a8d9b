"""What fits on a node."""

from typing import Any

import pytest

from engine.kubelet.admission import Room, rejection
from engine.types import codec
from engine.types.pods import Pod

ROOM = Room(milli=1000, memory=1 << 30, pods=2)


def pod(cpu: str = "0", memory: str = "0") -> Pod:
    resources: dict[str, Any] = {"requests": {"cpu": cpu, "memory": memory}}
    return codec.from_dict(Pod, {"spec": {"containers": [{"name": "a", "resources": resources}]}})


@pytest.mark.parametrize(
    ("asked", "others", "reason"),
    [
        (pod("1"), [], None),
        (pod("1001m"), [], "OutOfcpu"),
        (pod("600m"), [pod("400m")], None),
        (pod("601m"), [pod("400m")], "OutOfcpu"),
        (pod(memory="600Mi"), [pod(memory="600Mi")], "OutOfmemory"),
        (pod(), [pod(), pod()], "OutOfpods"),
        (pod(), [pod("5")], None),
    ],
)
def test_rejection(asked: Pod, others: list[Pod], reason: str | None) -> None:
    found = rejection(asked, others, ROOM)
    assert (found and found[0]) == reason
