"""An operation that fails, put before each operation of a start, one by one: told, and gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.runtime.cgroup.api import detect
from engine.runtime.errors import StartError
from engine.runtime.ops.cgroups import LimitCgroup
from engine.runtime.plan import Plan
from engine.runtime.spec import default_spec
from tests.real.runtime.conftest import Node
from tests.real.runtime.test_pool import ahead, children

FAILING = LimitCgroup(((b"/no/such/file", b"1"),))
TOLD = "limit-cgroup 1 settings: /no/such/file <- 1: No such file or directory"


def broken(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """With the name of the operation that it fails before."""
    for name in ("host_ops", "child_ops", "limit_ops"):
        ops = getattr(plan, name)
        for at, op in enumerate(ops):
            yield f"{name} {op.NAME}", replace(plan, **{name: (*ops[:at], FAILING, *ops[at:])})


def mounted(home: Path) -> list[str]:
    return [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(home) in line
    ]


@pytest.mark.parametrize("prepared", [False, True])
async def test_a_failure_before_each_operation_leaves_nothing(node: Node, prepared: bool) -> None:
    keeper = node.runtime.keeper_pid
    mounts, held = mounted(node.home), list[int]()
    for name, plan in broken(node.config("c", default_spec(("sleep", "1000"))).plan):
        if prepared:
            assert await node.runtime.prepare(ahead(node, "c"))
        config = node.config("c", default_spec(("sleep", "1000")))
        with pytest.raises(StartError) as caught:
            await node.runtime.start(replace(config, plan=plan))
        assert TOLD in str(caught.value), name
        assert caught.value.step == "limit-cgroup", name
        await node.runtime.unprepare("c")
        assert await node.runtime.containers() == [], name
        assert children(keeper) == [], name
        assert not detect().exists(node.cgroup("c")), name
        held.append(len(os.listdir(f"/proc/{keeper}/fd")))
    assert len(held) > 30
    # But for spares that the first start had it make.
    assert len(set(held[1:])) == 1, held
    assert mounted(node.home) == mounts
    # And the same name can be used.
    await node.start("c", "sleep", "1000")
