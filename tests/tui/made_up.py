"""A made-up cluster as plain API objects: three nodes and the demo's workloads, always the same."""

from __future__ import annotations

import math
from typing import Any

from engine.types import clock

NOW = 1_767_323_045.0
"""2026-01-02T03:04:05Z."""
MIB = 1 << 20
Dict = dict[str, Any]


def ago(seconds: float) -> str:
    return clock.format(NOW - seconds)


def meta(name: str, namespace: str = "default", age: float = 300, **more: Any) -> Dict:
    data: Dict = {
        "name": name,
        "uid": f"uid-{namespace}-{name}",
        "creationTimestamp": ago(age),
        "resourceVersion": "1",
        "generation": 1,
    }
    if namespace:
        data["namespace"] = namespace
    return data | more


def owned(kind: str, name: str) -> Dict:
    api = "batch/v1" if kind == "Job" else "apps/v1"
    ref = {"apiVersion": api, "kind": kind, "name": name, "uid": f"uid-default-{name}"}
    return {"ownerReferences": [ref | {"controller": True, "blockOwnerDeletion": True}]}


def node(index: int) -> Dict:
    name = f"node-{index}"
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": reason,
            "message": f"kubelet says {reason}",
            "lastTransitionTime": ago(610),
        }
        for kind, reason in (
            ("MemoryPressure", "KubeletHasSufficientMemory"),
            ("DiskPressure", "KubeletHasNoDiskPressure"),
            ("PIDPressure", "KubeletHasSufficientPID"),
            ("Ready", "KubeletReady"),
        )
    ]
    capacity = {"cpu": "2", "memory": "1Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta(name, "", 620, labels={"kubernetes.io/hostname": name}),
        "spec": {"podCIDR": f"10.64.{index}.0/24"},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": f"10.64.0.{10 + index}"}],
            "nodeInfo": {"kernelVersion": "6.18.5", "kubeletVersion": "v1.33.0-podarium"},
        },
    }


def container(name: str, cpu: str, memory: str, command: str) -> Dict:
    return {
        "name": name,
        "image": "podarium/host:latest",
        "command": ["python", command],
        "resources": {
            "requests": {"cpu": "50m", "memory": "32Mi"},
            "limits": {"cpu": cpu, "memory": memory},
        },
    }


def pod(
    name: str,
    on: int,
    spec: Dict,
    owner: Dict,
    *,
    age: float = 240,
    restarts: int = 0,
    state: Dict | None = None,
    last: Dict | None = None,
    phase: str = "Running",
    ready: bool = True,
) -> Dict:
    status = {
        "name": spec["name"],
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "image": spec["image"],
        "imageID": "sha256:1111",
        "containerID": f"podarium://{name}",
        "state": state or {"running": {"startedAt": ago(age - 2)}},
        "lastState": last or {},
    }
    flag = "True" if ready else "False"
    conditions = [
        {"type": kind, "status": value, "lastTransitionTime": ago(age - 1)}
        for kind, value in (
            ("PodScheduled", "True"),
            ("Initialized", "True"),
            ("ContainersReady", flag),
            ("Ready", flag),
        )
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, age=age, labels={"app": spec["name"]}, **owner),
        "spec": {"containers": [spec], "nodeName": f"node-{on}", "restartPolicy": "Always"},
        "status": {
            "phase": phase,
            "podIP": f"10.64.{on}.{20 + len(name)}",
            "hostIP": f"10.64.0.{10 + on}",
            "qosClass": "Burstable",
            "startTime": ago(age - 1),
            "conditions": conditions,
            "containerStatuses": [status],
        },
    }


def ended(reason: str, code: int, seconds: float) -> Dict:
    times = {"startedAt": ago(seconds + 14), "finishedAt": ago(seconds)}
    return {"terminated": {"reason": reason, "exitCode": code, **times}}


WEB = container("web", "500m", "64Mi", "app.py")
WAVE = container("wave", "300m", "64Mi", "wave.py")
BREATHE = container("breathe", "200m", "128Mi", "breathe.py")
LEAK = container("leak", "200m", "48Mi", "leak.py")
BATCH = container("batch", "500m", "64Mi", "batch.py")


def pods() -> list[Dict]:
    web = owned("ReplicaSet", "web-6d4b75cb6d")
    done: Dict = {"state": ended("Completed", 0, 150), "phase": "Succeeded", "ready": False}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting"}}
    giant: Dict = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta("giant", age=241, labels={"app": "giant"}),
        "spec": {
            "containers": [
                {
                    "name": "giant",
                    "image": "podarium/host:latest",
                    "resources": {"requests": {"cpu": "100m", "memory": "1Ti"}},
                }
            ]
        },
        "status": {
            "phase": "Pending",
            "qosClass": "Burstable",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes are available: 3 Insufficient memory.",
                    "lastTransitionTime": ago(240),
                }
            ],
        },
    }
    return [
        pod("web-6d4b75cb6d-x7k2p", 1, WEB, web),
        pod("web-6d4b75cb6d-m4qzt", 2, WEB, web),
        pod("web-6d4b75cb6d-9hv8c", 3, WEB, web),
        pod("wave-7f9c6b5d8-tq2ws", 1, WAVE, owned("ReplicaSet", "wave-7f9c6b5d8")),
        pod("wave-7f9c6b5d8-k8r5n", 2, WAVE, owned("ReplicaSet", "wave-7f9c6b5d8")),
        pod("breathe-5c8d7f6b9-z6xvb", 3, BREATHE, owned("ReplicaSet", "breathe-5c8d7f6b9")),
        pod(
            "leak-84b6c9d7f-p5jlm",
            2,
            LEAK,
            owned("ReplicaSet", "leak-84b6c9d7f"),
            restarts=4,
            state=waiting,
            last=ended("OOMKilled", 137, 9),
            ready=False,
        ),
        pod("batch-4kzp2", 1, BATCH, owned("Job", "batch"), age=200, **done),
        pod("batch-9s7lw", 2, BATCH, owned("Job", "batch"), age=200, **done),
        pod("batch-tb5xn", 3, BATCH, owned("Job", "batch"), age=90),
        giant,
    ]


def deployment(name: str, replicas: int, ready: int, spec: Dict) -> Dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(name, age=242, labels={"app": name}),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [spec]}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    }


def replicaset(name: str, owner: str, replicas: int, ready: int, spec: Dict) -> Dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta(name, age=241, labels={"app": owner}, **owned("Deployment", owner)),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": owner}},
            "template": {"spec": {"containers": [spec]}},
        },
        "status": {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready},
    }


def job() -> Dict:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta("batch", age=201, labels={"app": "batch"}),
        "spec": {
            "completions": 3,
            "parallelism": 2,
            "template": {"spec": {"containers": [BATCH]}},
        },
        "status": {"startTime": ago(200), "active": 1, "succeeded": 2},
    }


def event(
    index: int, kind: str, name: str, reason: str, message: str, seconds: float, **more: Any
) -> Dict:
    warning = more.pop("warning", False)
    namespace = "" if kind == "Node" else "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta(f"{name}.{index}", age=seconds),
        "involvedObject": {
            "kind": kind,
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
        },
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "count": more.pop("count", 1),
        "source": {"component": more.pop("source", "kubelet")},
        "firstTimestamp": ago(seconds + 60),
        "lastTimestamp": ago(seconds),
    }


def events() -> list[Dict]:
    leak = "leak-84b6c9d7f-p5jlm"
    return [
        event(
            1,
            "Pod",
            leak,
            "BackOff",
            "Back-off restarting failed container leak",
            4,
            warning=True,
            count=7,
        ),
        event(2, "Pod", leak, "Started", "Started container leak", 23, count=5),
        event(
            3,
            "Pod",
            leak,
            "Pulled",
            'Container image "podarium/host:latest" already present on machine',
            23,
            count=5,
        ),
        event(
            4,
            "Pod",
            "giant",
            "FailedScheduling",
            "0/3 nodes are available: 3 Insufficient memory.",
            31,
            warning=True,
            count=3,
            source="default-scheduler",
        ),
        event(
            5,
            "Job",
            "batch",
            "SuccessfulCreate",
            "Created pod: batch-tb5xn",
            90,
            source="job-controller",
        ),
        event(6, "Pod", "batch-4kzp2", "Started", "Started container batch", 198),
        event(
            7,
            "Pod",
            "wave-7f9c6b5d8-tq2ws",
            "Scheduled",
            "Successfully assigned default/wave-7f9c6b5d8-tq2ws to node-1",
            239,
            source="default-scheduler",
        ),
        event(
            8,
            "Deployment",
            "web",
            "ScalingReplicaSet",
            "Scaled up replica set web-6d4b75cb6d to 3",
            241,
            source="deployment-controller",
        ),
        event(9, "Node", "node-1", "NodeReady", "Node node-1 status is now: NodeReady", 610),
    ]


def layer(letter: str, size: float, entries: int, command: str, shared: list[str]) -> Dict:
    return {
        "digest": f"sha256:{letter * 64}",
        "diffID": f"sha256:{letter * 64}",
        "size": int(size * MIB),
        "unpackedSize": int(size * MIB),
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "createdBy": command,
        "entries": entries,
        "sharedWith": shared,
    }


def images() -> list[Dict]:
    base = "podarium/host:latest"
    tools = "podarium/tools:latest"
    shared = layer("a", 14.2, 212, "host tools: sh, coreutils and their libraries", [tools])
    return [
        {
            "apiVersion": "podarium.io/v1",
            "kind": "Image",
            "metadata": meta("1" * 64, "", 600),
            "references": [base],
            "digest": "sha256:" + "1" * 64,
            "size": int((14.2 + 38.6 + 0.1) * MIB),
            "created": ago(600),
            "config": {
                "cmd": ["python", "app.py"],
                "env": ["PATH=/usr/bin:/bin"],
                "workingDir": "/app",
            },
            "layers": [
                shared,
                layer("b", 38.6, 1894, "host python 3.11 with its standard library", []),
                layer("c", 0.1, 9, "app: app.py wave.py breathe.py leak.py batch.py", []),
            ],
        },
        {
            "apiVersion": "podarium.io/v1",
            "kind": "Image",
            "metadata": meta("2" * 64, "", 600),
            "references": [tools],
            "digest": "sha256:" + "2" * 64,
            "size": int(14.2 * MIB),
            "created": ago(600),
            "config": {"cmd": ["sh"]},
            "layers": [shared | {"sharedWith": [base]}],
        },
    ]


def namespaces() -> list[Dict]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": meta(name, "", 620),
            "status": {"phase": "Active"},
        }
        for name in ("default", "kube-system", "kube-public")
    ]


def objects() -> dict[str, list[Dict]]:
    """Every object by the plural of its kind."""
    return {
        "nodes": [node(index) for index in (1, 2, 3)],
        "pods": pods(),
        "deployments": [
            deployment("web", 3, 3, WEB),
            deployment("wave", 2, 2, WAVE),
            deployment("breathe", 1, 1, BREATHE),
            deployment("leak", 1, 0, LEAK),
        ],
        "replicasets": [
            replicaset("web-6d4b75cb6d", "web", 3, 3, WEB),
            replicaset("wave-7f9c6b5d8", "wave", 2, 2, WAVE),
            replicaset("breathe-5c8d7f6b9", "breathe", 1, 1, BREATHE),
            replicaset("leak-84b6c9d7f", "leak", 1, 0, LEAK),
        ],
        "jobs": [job()],
        "events": events(),
        "images": images(),
        "namespaces": namespaces(),
        "services": [],
        "configmaps": [],
        "secrets": [],
        "serviceaccounts": [],
        "leases": [],
    }


def tick(t: float) -> Dict:
    """One second of numbers: waves, breath, leaks, calm servers."""
    found: Dict = {}

    def add(
        pod: str,
        name: str,
        on: int,
        cpu: float,
        memory: float,
        limits: tuple[float, float],
        **more: Any,
    ) -> None:
        found[f"default/{pod}/{name}"] = {
            "node": f"node-{on}",
            "cpu": round(cpu, 4),
            "memory": int(memory * MIB),
            "anon": int(memory * 0.72 * MIB),
            "file": int(memory * 0.2 * MIB),
            "kernel": int(memory * 0.08 * MIB),
            "cpuLimit": limits[0],
            "memoryLimit": int(limits[1] * MIB),
            "pids": 1,
            **more,
        }

    for index, (name, on) in enumerate((("x7k2p", 1), ("m4qzt", 2), ("9hv8c", 3))):
        cpu = (
            0.012
            + 0.01 * abs(math.sin(t / 3 + index))
            + (0.06 if int(t + index * 7) % 23 == 0 else 0)
        )
        busy = 900 + 400 * math.sin(t / 5 + index)
        add(
            f"web-6d4b75cb6d-{name}",
            "web",
            on,
            cpu,
            18.4 + index,
            (0.5, 64),
            pids=3,
            rx=busy,
            tx=busy * 2.5,
        )
    for index, (name, on) in enumerate((("tq2ws", 1), ("k8r5n", 2))):
        wanted = 0.25 + 0.25 * math.sin(t * math.tau / 20 + index * 2)
        add(
            f"wave-7f9c6b5d8-{name}",
            "wave",
            on,
            min(0.3, wanted),
            11.2,
            (0.3, 64),
            throttled=max(0.0, wanted - 0.3) * 2,
        )
    breath = 36 + 34 * math.sin(t * math.tau / 45)
    add("breathe-5c8d7f6b9-z6xvb", "breathe", 3, 0.02, 14 + max(0, breath), (0.2, 128))
    add("batch-tb5xn", "batch", 3, 0.31 + 0.05 * math.sin(t), 21.0, (0.5, 64), pids=2)
    nodes = {}
    for on in (1, 2, 3):
        mine = [c for c in found.values() if c["node"] == f"node-{on}"]
        nodes[f"node-{on}"] = {
            "cpu": sum(c["cpu"] for c in mine),
            "memory": sum(c["memory"] for c in mine),
            "pids": sum(c["pids"] for c in mine),
            "pods": len(mine),
            "rx": sum(c.get("rx", 0) for c in mine),
            "tx": sum(c.get("tx", 0) for c in mine),
        }
    return {"t": t, "nodes": nodes, "containers": found}


def log(lines: int = 400) -> bytes:
    """A log with colours, a long line and something nasty."""
    out = []
    for index in range(lines):
        stamp = clock.format_micro(NOW - lines + index).replace("Z", "000Z")
        if index == lines - 3:
            text = "\x1b[31mERROR\x1b[0m bad request \x1b]0;title\x07[bold]not markup[/bold] \x07"
        elif index == lines - 6:
            text = "long line " + "0123456789" * 30
        else:
            text = f'10.64.1.7 - "GET /healthz HTTP/1.1" 200 in {index % 7}.{index % 10} ms'
        out.append(f"{stamp} {text}\n")
    return "".join(out).encode()


ANATOMY: Dict = {
    "layers": [
        {"kind": "rw", "size": 12288, "path": "3 files added, 1 changed"},
        {"kind": "init", "size": 512, "path": "/etc/hosts /etc/hostname /etc/resolv.conf"},
        {"kind": "image", "createdBy": "app: app.py wave.py", "size": 0.1 * MIB},
        {"kind": "image", "createdBy": "host python 3.11", "size": 38.6 * MIB},
        {"kind": "image", "createdBy": "host tools", "size": 14.2 * MIB},
    ]
}
