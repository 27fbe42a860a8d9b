"""Workloads on the overview: kept up change by change, they are as if gathered anew."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.tui import made_up
from tests.tui.fakes import FakeCluster
from tests.tui.harness import SIZES, Driver, running
from tui.model.groups import Groups


def facts(groups: Groups) -> dict[tuple[str, str, str], Any]:
    return {
        (group.namespace, group.kind, group.name): (
            group.ordered(),
            {state: sorted(keys) for state, keys in group.states.items()},
        )
        for group in groups.all()
    }


def anew(driver: Driver) -> Groups:
    cluster = driver.screen.cluster
    groups = Groups(cluster)
    cluster.followers.remove(groups._changed)
    for key, pod in cluster.pods().items():
        groups._changed("pods", key, pod)
    return groups


async def test_what_changes_comes_to_the_same() -> None:
    dice = random.Random(7)
    async with running() as driver:
        fake, groups = driver.fake, driver.screen.pages.groups
        pods = fake.objects["pods"]
        spare: list[dict[str, Any]] = []
        for _ in range(120):
            key = dice.choice(list(pods))
            what = dice.random()
            if what < 0.3 and len(pods) > 3:
                spare.append(copy.deepcopy(pods[key]))
                fake.remove("pods", key)
            elif what < 0.6 and spare:
                fake.put("pods", spare.pop(dice.randrange(len(spare))))
            else:
                pod = copy.deepcopy(pods[key])
                pod["status"]["phase"] = dice.choice(["Running", "Pending", "Failed", "Succeeded"])
                fake.put("pods", pod)
        cluster = driver.screen.cluster

        def known() -> bool:
            there = cluster.pods()
            return set(there) == set(pods) and all(
                there[key].metadata.resource_version == pod["metadata"]["resourceVersion"]
                for key, pod in pods.items()
            )

        await driver.until(known)
        assert facts(groups) == facts(anew(driver))
        assert sum(len(group.pods) for group in groups.all()) == len(pods)


async def test_an_owner_that_is_known_late_gathers_its_pods() -> None:
    objects = made_up.objects()
    late, objects["replicasets"] = objects["replicasets"], []
    async with running(FakeCluster(objects)) as driver:
        kinds = {name[1] for name in facts(driver.screen.pages.groups)}
        assert "ReplicaSet" in kinds
        for owner in late:
            driver.fake.put("replicasets", owner)
        cluster = driver.screen.cluster
        await driver.until(lambda: len(cluster.objects("replicasets")) == len(late))
        found = facts(driver.screen.pages.groups)
        assert {name[1] for name in found} == {"Deployment", "Job", "Pod"}
        assert found == facts(anew(driver))


async def test_sums_are_those_of_the_containers() -> None:
    async with running() as driver:
        book = driver.screen.cluster.book
        group = next(g for g in driver.screen.pages.groups.all() if g.name == "web")
        keys = group.containers(book)
        assert group.trend(book, "cpu", 40) == book.sums(keys, "cpu", 40)
        for _ in range(3):
            tick = book.tick
            driver.fake.tick()
            await driver.until(lambda tick=tick: book.tick > tick)  # type: ignore[misc]
            await driver.settle()
        assert group.trend(book, "memory", 40) == book.sums(keys, "memory", 40)


def many(count: int) -> FakeCluster:
    objects = made_up.objects()
    first = objects["nodes"][0]
    for index in range(count):
        node = copy.deepcopy(first)
        node["metadata"] |= {"name": f"far-{index:03}", "uid": f"uid-far-{index}"}
        if index % 50 == 7:
            node["status"]["conditions"][0]["status"] = "False"
        objects["nodes"].append(node)
    return FakeCluster(objects)


async def test_very_many_nodes_are_a_map() -> None:
    async with running(many(300), size=SIZES["medium"]) as driver:
        text = driver.text()
        assert "nodes 303" in text
        assert text.count("■") > 303
        await driver.press("down")
        chosen = driver.screen.sheet.target
        assert chosen.startswith("nodes:")
        assert chosen.removeprefix("nodes:") in driver.text().splitlines()[2]
        await driver.press("enter")
        assert driver.screen.place.view == "node"


async def test_cells_show_heat_instead_of_state() -> None:
    async with running() as driver:
        rows = driver.text().splitlines()
        roles = {
            role for spans in driver.screen.sheet.page.lines for text, role in spans if "■" in text
        }
        assert roles <= {"ok", "done", "bad", "warn", "busy"} | {r for r in roles if "@" in r}
        await driver.press("H")
        assert "cells show CPU" in driver.text()
        hot = {
            role for spans in driver.screen.sheet.page.lines for text, role in spans if "■" in text
        }
        assert any(role.startswith("cpu.") for role in hot)
        assert "bad" in hot
        await driver.press("H", "H")
        driver.screen.keys.unflash()
        await driver.settle()
        assert driver.text().splitlines()[3:] == rows[3:]
