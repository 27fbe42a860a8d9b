"""The scheduler: its core at 5,000 nodes, and pods through the API to a durable binding.

Bars: the core must place 2,700 pods a second with every plugin on (ten times the threshold of
Kubernetes' own scheduler_perf for the plain case); create, schedule and bind 1,000 a second.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from engine.api.direct import DirectTransport
from engine.api.handler import Api
from engine.client.client import Client
from engine.controllers.runtime import SharedInformers
from engine.scheduler.columns import Columns
from engine.scheduler.cycle import Cycle
from engine.scheduler.decision import Decisions
from engine.scheduler.node import NodeInfo, TaintKey
from engine.scheduler.plugins.default import default_plugins
from engine.scheduler.pod import PodInfo
from engine.scheduler.scheduler import Scheduler
from engine.store.store import Store
from engine.types.codec import from_dict
from engine.types.nodes import Node
from engine.types.pods import Pod
from tests.bench.table import Row

NODES, PODS = 5000, 1000
CONTAINER = {
    "name": "c",
    "image": "i",
    "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}},
}
NOT_TAPE = {"key": "disk", "operator": "NotIn", "values": ["tape"]}
CHOOSY = {
    "nodeSelector": {"kind": "worker"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [NOT_TAPE]}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 10,
                    "preference": {
                        "matchExpressions": [{"key": "zone", "operator": "In"} | {"values": ["1"]}]
                    },
                }
            ],
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "a"}}}
            ]
        },
    },
    "topologySpreadConstraints": [
        {"maxSkew": 5, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        | {"labelSelector": {"matchLabels": {"app": "a"}}}
    ],
}


def _pod(number: int, spec: dict[str, object]) -> Pod:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r"}
    meta = {
        "name": f"pod-{number}",
        "uid": f"uid-{number}",
        "namespace": "default",
        "labels": {"app": "a"},
        "ownerReferences": [owner | {"controller": True}],
    }
    return from_dict(Pod, {"metadata": meta, "spec": {"containers": [CONTAINER], **spec}})


def _core(spec: dict[str, object]) -> float:
    """Milliseconds of processor time to read, decide and place PODS pods."""
    columns = Columns()
    for number in range(NODES):
        taints = (TaintKey("k", "v", "NoSchedule"),) if number % 5 == 0 else ()
        labels = {"host": str(number), "zone": str(number % 3), "kind": "worker"}
        room = {"cpu": 4000, "memory": 32 << 30, "pods": 110}
        columns.set_node(NodeInfo(f"node-{number}", labels, taints, False, room))
    cycle, kept = Cycle(columns, default_plugins()), Decisions()
    pods = [_pod(number, spec) for number in range(PODS)]
    start = time.process_time()
    for pod in pods:
        info = PodInfo.of(pod)
        decision = cycle.decide(info)
        kept.add(decision)
        columns.place(info, decision.node)
    return (time.process_time() - start) * 1000


async def _through_the_api(folder: Path) -> float:
    """Milliseconds from the first create to the last binding seen by a watcher; on the disk."""
    store = Store.open(folder / "store.db", volatile=("events",))
    api = Api(store)
    await api.bootstrap()
    client = Client(DirectTransport(api))
    informers = SharedInformers(client)
    scheduler = Scheduler(client, informers.of(Pod), informers.of(Node))
    bound, all_bound = 0, asyncio.Event()

    def count(old: Pod | None, new: Pod | None) -> None:
        nonlocal bound
        if new and new.spec.node_name and not (old and old.spec.node_name):
            bound += 1
            if bound == PODS:
                all_bound.set()

    informers.of(Pod).add_handler(count)
    tasks = [asyncio.create_task(work) for work in (informers.run(), scheduler.run())]
    for number in range(100):
        room = {"cpu": "64", "memory": "256Gi", "pods": "250"}
        meta = {"name": f"node-{number}"}
        await client.create(
            from_dict(Node, {"metadata": meta, "status": {"capacity": room, "allocatable": room}})
        )
    await informers.synced()
    slots = asyncio.Semaphore(100)

    async def create(number: int) -> None:
        async with slots:
            await client.create(_pod(number, {}))

    start = time.perf_counter()
    await asyncio.gather(*(create(number) for number in range(PODS)))
    await all_bound.wait()
    elapsed = (time.perf_counter() - start) * 1000
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await api.close()
    await store.close()
    return elapsed


def measure(runs: int) -> list[Row]:
    """Rows in milliseconds per 1,000 pods."""
    plain = [_core({}) for _ in range(runs)]
    choosy = [_core(CHOOSY) for _ in range(runs)]
    durable = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="pdm") as folder:
            durable.append(asyncio.run(_through_the_api(Path(folder))))
    return [
        Row("schedule 1,000 pods at 5,000 nodes", "ms", plain, PODS / 2.7),
        Row("the same, every plugin on", "ms", choosy, PODS / 2.7),
        Row("create, schedule, bind 1,000 pods on disk", "ms", durable, PODS / 1.0),
    ]
