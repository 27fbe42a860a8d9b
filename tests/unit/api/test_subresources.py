"""Binding, scale, eviction, logs, statistics: what lies under and beside objects."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.api import begun
from engine.api.gateway import LogOptions
from engine.types.core import Pod
from engine.types.stats import Tick
from engine.types.status import InternalError, NotFound
from tests.unit.api.world import DEPLOYMENT, POD, START, World, deployment, pod

BINDING = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n1"}}
ANATOMY = "/podarium/v1/namespaces/default/pods/p/containers/{}/anatomy"


class OneNode:
    """A gateway that answers with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, LogOptions]] = []

    async def logs(self, pod: Pod, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked.append((pod.metadata.name, container, options))
        if options.tail == 404:
            raise NotFound("logs", container)
        for line in (b"one\n", b"two\n"):
            yield line

    async def anatomy(self, pod: Pod, container: str) -> dict[str, Any]:
        if container == "broken":
            raise InternalError("no such cgroup")
        return {"pod": pod.metadata.name, "container": container}

    async def stats(self, history: int) -> AsyncIterator[Tick]:
        for t in range(history):
            yield Tick(t=float(t))


@pytest.fixture
async def running(world: World) -> OneNode:
    made = await world.ask("POST", POD, pod(nodeName="n1"))
    made["status"]["containerStatuses"] = [{"name": "c", "state": {"running": {}}}]
    await world.ask("PUT", f"{POD}/p/status", made)
    node = OneNode()
    world.api.gateway = node
    return node


async def text(world: World, path: str, **query: str) -> bytes:
    response = await world.send("GET", path, **query)
    assert response.status == 200, response.body
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


async def test_binding(world: World) -> None:
    await world.ask("POST", POD, pod())
    assert (await world.ask("POST", f"{POD}/p/binding", BINDING))["status"] == "Success"
    bound = await world.ask("GET", f"{POD}/p")
    assert bound["spec"]["nodeName"] == "n1"
    (condition,) = bound["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    again = await world.refused("POST", f"{POD}/p/binding", BINDING)
    assert again["message"] == (
        'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"'
    )
    assert (again["code"], again["reason"]) == (409, "Conflict")


async def test_bindings_refused(world: World) -> None:
    made = await world.ask("POST", POD, pod())
    other = {**BINDING, "metadata": {"name": "p", "uid": "other"}}
    assert (await world.refused("POST", f"{POD}/p/binding", other))["code"] == 409
    nowhere = {**BINDING, "target": {}}
    assert (await world.refused("POST", f"{POD}/p/binding", nowhere))["code"] == 422
    assert (await world.refused("POST", f"{POD}/q/binding", BINDING))["code"] == 404
    same = {**BINDING, "metadata": {"name": "p", "uid": made["metadata"]["uid"]}}
    await world.ask("POST", f"{POD}/p/binding", same)


async def test_scale(world: World) -> None:
    await world.ask("POST", DEPLOYMENT, deployment(replicas=2))
    path = f"{DEPLOYMENT}/web/scale"
    scale = await world.ask("GET", path)
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    scale["spec"]["replicas"] = 5
    after = await world.ask("PUT", path, scale)
    assert after["spec"] == {"replicas": 5}
    assert (await world.refused("PUT", path, scale))["code"] == 409
    kind = "application/merge-patch+json"
    zero = await world.ask("PATCH", path, {"spec": {"replicas": 0}}, content_type=kind)
    assert "replicas" not in zero["spec"]
    status = await world.refused("PATCH", path, {"spec": {"replicas": -1}}, content_type=kind)
    assert status["code"] == 422
    stored = await world.ask("GET", f"{DEPLOYMENT}/web")
    assert stored["spec"]["replicas"] == 0
    assert stored["metadata"]["generation"] == 3
    assert (await world.refused("GET", f"{POD}/p/scale"))["code"] == 404


async def test_eviction_is_deletion(world: World) -> None:
    await world.ask("POST", POD, pod(nodeName="n1"))
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    body["deleteOptions"] = {"gracePeriodSeconds": 3}
    assert (await world.ask("POST", f"{POD}/p/eviction", body))["status"] == "Success"
    marked = await world.ask("GET", f"{POD}/p")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 3


async def test_logs_with_all_their_options(world: World, running: OneNode) -> None:
    assert await text(world, f"{POD}/p/log") == b"one\ntwo\n"
    query = {"tailLines": "3", "sinceSeconds": "10", "timestamps": "true", "limitBytes": "9"}
    await text(world, f"{POD}/p/log", container="c", follow="true", **query)
    await text(world, f"{POD}/p/log", sinceTime="2027-01-15T08:00:01Z")
    assert running.asked == [
        ("p", "c", LogOptions()),
        (
            "p",
            "c",
            LogOptions(follow=True, tail=3, since=START - 10, timestamps=True, limit_bytes=9),
        ),
        ("p", "c", LogOptions(since=START + 1)),
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"container": "x"}, "container x is not valid for pod p"),
        ({"previous": "true"}, 'previous terminated container "c" in pod "p" not found'),
        ({"tailLines": "-1"}, "tailLines: Invalid value: -1"),
        ({"tailLines": "many"}, "is not a number"),
        ({"follow": "maybe"}, "neither true nor false"),
        ({"sinceTime": "yesterday"}, "RFC 3339"),
        ({"sinceTime": "2027-01-15T08:00:00Z", "sinceSeconds": "1"}, "at most one"),
    ],
)
async def test_logs_refused(
    world: World, running: OneNode, query: dict[str, str], message: str
) -> None:
    status = await world.refused("GET", f"{POD}/p/log", **query)
    assert status["code"] == 400
    assert message in status["message"]


async def test_what_a_node_refuses_is_the_answer(world: World, running: OneNode) -> None:
    status = await world.refused("GET", f"{POD}/p/log", tailLines="404")
    assert status["message"] == 'logs "c" not found'


async def test_a_log_that_says_nothing_yet_is_answered_and_can_be_closed(
    world: World, running: OneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begun, "BEGIN", 0.001)
    closed = asyncio.Event()

    async def silent(pod: Pod, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    monkeypatch.setattr(running, "logs", silent)
    response = await world.send("GET", f"{POD}/p/log", follow="true")
    assert response.status == 200
    await response.body.aclose()
    assert closed.is_set()


async def test_logs_of_pods_that_do_not_run(world: World) -> None:
    assert (await world.refused("GET", f"{POD}/p/log"))["code"] == 404
    two = [{"name": name, "image": "i:1"} for name in ("a", "b")]
    await world.ask("POST", POD, pod(containers=two))
    status = await world.refused("GET", f"{POD}/p/log")
    assert status["message"] == (
        "a container name must be specified for pod p, choose one of: [a b]"
    )
    assert await text(world, f"{POD}/p/log", container="a") == b""
    await world.ask("POST", POD, pod("q", nodeName="n1"))
    status = await world.refused("GET", f"{POD}/q/log")
    assert status["message"] == ('container "c" in pod "q" is waiting to start: ContainerCreating')


async def test_without_a_node_there_is_nothing_to_ask(world: World, running: OneNode) -> None:
    world.api.gateway = None
    for path in (f"{POD}/p/log", "/podarium/v1/stats", ANATOMY.format("c")):
        assert (await world.refused("GET", path))["code"] == 503


async def test_statistics_are_lines(world: World, running: OneNode) -> None:
    lines = (await text(world, "/podarium/v1/stats", history="3")).splitlines()
    assert [json.loads(line)["t"] for line in lines] == [0, 1, 2]


async def test_anatomy(world: World, running: OneNode) -> None:
    found = await world.ask("GET", ANATOMY.format("c"))
    assert found == {"pod": "p", "container": "c"}
    assert (await world.refused("GET", ANATOMY.format("x")))["code"] == 400


async def test_cluster_version_and_health(world: World) -> None:
    cluster = await world.ask("GET", "/podarium/v1/cluster")
    assert (cluster["name"], cluster["nodes"]) == ("test", 0)
    assert cluster["started"] == "2027-01-15T08:00:00Z"
    assert (await world.ask("GET", "/version/"))["gitVersion"] == "v1.33.0+podarium"
    for path in ("/healthz", "/readyz", "/livez", "/livez/ping"):
        assert await text(world, path) == b"ok"


EPHEMERAL = {"name": "look", "image": "i"}
MERGE = "application/strategic-merge-patch+json"


async def test_ephemeral_containers_come_and_stay(world: World) -> None:
    await world.ask("POST", POD, pod(nodeName="n1"))
    path = f"{POD}/p/ephemeralcontainers"
    body = {"spec": {"ephemeralContainers": [EPHEMERAL]}}
    changed = await world.ask("PATCH", path, body, content_type=MERGE)
    (added,) = changed["spec"]["ephemeralContainers"]
    assert (added["name"], added["terminationMessagePolicy"]) == ("look", "File")
    assert changed["metadata"]["generation"] == 2
    # Of the rest nothing changes by this way, and by the main way they do not.
    body = {"spec": {"nodeName": "n2", "ephemeralContainers": [{"name": "more", "image": "i"}]}}
    changed = await world.ask("PATCH", path, body, content_type=MERGE)
    assert changed["spec"]["nodeName"] == "n1"
    assert [c["name"] for c in changed["spec"]["ephemeralContainers"]] == ["look", "more"]
    refused = [
        ({**EPHEMERAL, "image": "other"}, "may not be changed"),
        ({"name": "c", "image": "i"}, "Duplicate value"),
        ({"name": "x", "image": "i", "targetContainerName": "none"}, "targetContainerName"),
        ({"name": "x", "image": "i", "ports": [{"containerPort": 1}]}, "cannot be set for an Eph"),
        ({"name": "x"}, "image: Required value"),
    ]
    for container, words in refused:
        body = {"spec": {"ephemeralContainers": [container]}}
        answer = await world.refused("PATCH", path, body, content_type=MERGE)
        assert words in answer["message"]
    changed["spec"]["ephemeralContainers"] = []
    answer = await world.refused("PUT", path, changed)
    assert "may not be removed" in answer["message"]
    answer = await world.refused("PATCH", f"{POD}/p", body, content_type=MERGE)
    assert "ephemeralContainers" in answer["message"] or "may not change" in answer["message"]


async def test_resizing_changes_cpu_and_memory_alone(world: World) -> None:
    await world.ask("POST", POD, pod(nodeName="n1"))
    path = f"{POD}/p/resize"

    def resources(**limits: str) -> dict[str, Any]:
        return {"spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}}

    changed = await world.ask("PATCH", path, resources(cpu="1"), content_type=MERGE)
    assert changed["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1"}
    body = resources(cpu="2") | {"metadata": {"labels": {"a": "b"}}}
    body["spec"]["containers"][0]["image"] = "other"
    changed = await world.ask("PATCH", path, body, content_type=MERGE)
    assert changed["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2"}
    assert changed["spec"]["containers"][0]["image"] != "other"
    assert "a" not in changed["metadata"].get("labels", {})
    storage = resources(**{"ephemeral-storage": "1Gi"})
    answer = await world.refused("PATCH", path, storage, content_type=MERGE)
    assert "only cpu and memory" in answer["message"]
    del changed["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    answer = await world.refused("PUT", path, changed)
    assert "cannot be removed" in answer["message"]
    await world.refused("PATCH", f"{POD}/p", resources(cpu="3"), content_type=MERGE)
