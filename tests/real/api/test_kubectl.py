"""What people do with kubectl, done with kubectl. Only nodes are missing."""

import asyncio
import json
import re

from engine.api.direct import DirectTransport
from engine.client.client import Client
from engine.types import codec
from engine.types.core import Event, EventSource, Node, ObjectReference, Pod
from engine.types.meta import ObjectMeta
from tests.real.api.kubectl import Cluster

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {color: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: shop/web:1
          ports: [{containerPort: 8080}]
          env: [{name: A, value: "1"}, {name: B, value: "2"}]
          resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}
          readinessProbe: {httpGet: {port: 8080}}
          volumeMounts: [{name: settings, mountPath: /etc/settings}]
      volumes: [{name: settings, configMap: {name: settings}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "i:1"}]}}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: p}}
spec:
  containers: [{name: main, image: "i:1"}, {name: side, image: "i:1"}]
"""
NODE = {
    "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/worker": ""}},
    "spec": {"podCIDR": "10.64.1.0/24"},
    "status": {
        "capacity": {"cpu": "2", "memory": "1Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        "addresses": [{"type": "InternalIP", "address": "10.64.0.11"}],
        "nodeInfo": {
            "kubeletVersion": "v1.33.0+podarium",
            "osImage": "Debian",
            "kernelVersion": "6.1.0",
            "containerRuntimeVersion": "podarium://0.1.0",
        },
    },
}


def client(kubectl: Cluster) -> Client:
    return Client(DirectTransport(kubectl.api))


async def bound(kubectl: Cluster) -> Client:
    """The pod p on the node n1, running."""
    to = client(kubectl)
    await to.create(codec.from_dict(Node, NODE))
    await kubectl("apply -f -", stdin=POD)
    await to.bind("default", "p", "n1")
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    status = {
        "phase": "Running",
        "podIP": "10.64.1.2",
        "podIPs": [{"ip": "10.64.1.2"}],
        "containerStatuses": [
            {"name": name, "ready": True, "state": running} for name in ("main", "side")
        ],
    }
    await to.patch(Pod, "p", "default", {"status": status}, subresource="status")
    return to


async def test_first_contact(kubectl: Cluster) -> None:
    version = json.loads(await kubectl("version -o json"))
    assert version["serverVersion"]["gitVersion"] == "v1.33.0+podarium"
    assert re.search(
        r"deployments\s+deploy\s+apps/v1\s+true\s+Deployment", await kubectl("api-resources")
    )
    assert "apps/v1" in (await kubectl("api-versions")).split()
    assert await kubectl("get --raw /readyz") == "ok"
    assert f"https://127.0.0.1:{kubectl.port}" in await kubectl("cluster-info")
    assert await kubectl("config current-context") == "podarium-test\n"


async def test_apply_is_idempotent_and_merges(kubectl: Cluster) -> None:
    first = await kubectl("apply -f -", stdin=MANIFEST)
    assert first.count("created") == 4
    again = await kubectl("apply -f -", stdin=MANIFEST)
    assert again.count("unchanged") == 4
    await kubectl("-n shop set image deploy/web web=shop/web:2")
    await kubectl("-n shop scale deploy/web --replicas=5")
    diff = await kubectl.run("diff", "-f", "-", stdin=MANIFEST)
    assert diff.code == 1
    assert "-  replicas: 5" in diff.out
    assert "+  replicas: 2" in diff.out
    changed = MANIFEST.replace('{name: A, value: "1"}, ', "").replace("web:1", "web:3")
    out = await kubectl("apply -f -", stdin=changed)
    assert out.count("unchanged") == 3
    deployment = await kubectl.object("-n shop deploy web")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "shop/web:3"
    assert container["env"] == [{"name": "B", "value": "2"}]
    assert deployment["spec"]["replicas"] == 2


async def test_get_in_every_output(kubectl: Cluster) -> None:
    await bound(kubectl)
    heading, row = await kubectl.table("get pods")
    assert heading == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row[:4] == ["p", "2/2", "Running", "0"]
    wide = await kubectl("get pods -o wide")
    heading, row = wide.splitlines()
    assert heading.split()[5:] == ["IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES"]
    assert row.split()[5:7] == ["10.64.1.2", "n1"]
    assert await kubectl("get pods -o name") == "pod/p\n"
    assert await kubectl("get pod/p -o jsonpath={.spec.nodeName}") == "n1"
    assert "nodeName: n1" in await kubectl("get pod p -o yaml")
    assert (await kubectl.table("get po -A"))[1][:2] == ["default", "p"]
    assert await kubectl("get po -l app=p -o name") == "pod/p\n"
    assert await kubectl("get po -l app!=p -o name") == ""
    assert await kubectl("get po --field-selector=spec.nodeName=n1 -o name") == "pod/p\n"
    assert (await kubectl.table("get po -o custom-columns=N:.metadata.name"))[1] == ["p"]
    assert (await kubectl.table("get po --sort-by=.metadata.name --show-labels"))[1][-1] == "app=p"
    heading, row = await kubectl.table("get nodes")
    assert heading == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert row[:3] == ["n1", "Ready", "worker"]
    wide = await kubectl("get nodes -o wide")
    assert "CONTAINER-RUNTIME" in wide
    assert "podarium://0.1.0" in wide
    everything = await kubectl("get all,cm,secret,sa,ns,lease,ev,images")
    assert "pod/p" in everything


async def test_tables_of_workloads(kubectl: Cluster) -> None:
    await kubectl("apply -f -", stdin=MANIFEST)
    heading, row = await kubectl.table("-n shop get deploy -o wide")
    assert heading == [
        *("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        *("CONTAINERS", "IMAGES", "SELECTOR"),
    ]
    assert row[:4] == ["web", "0/2", "0", "0"]
    assert row[5:] == ["web", "shop/web:1", "app=web"]
    heading, row = await kubectl.table("-n shop get jobs")
    assert heading == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert row[:3] == ["once", "Running", "0/1"]


async def test_describe(kubectl: Cluster) -> None:
    to = await bound(kubectl)
    pod = await to.get(Pod, "p", "default")
    event = Event(
        metadata=ObjectMeta(name="p.1", namespace="default"),
        involved_object=ObjectReference(
            api_version="v1",
            kind="Pod",
            name="p",
            namespace="default",
            uid=pod.metadata.uid,
        ),
        reason="Started",
        message="Started container main",
        type="Normal",
        source=EventSource(component="kubelet", host="n1"),
        first_timestamp="2026-01-01T00:00:00Z",
        last_timestamp="2026-01-01T00:00:00Z",
        count=3,
    )
    await to.create(event)
    text = await kubectl("describe pod p")
    for expected in (
        r"Node:\s+n1",
        r"Status:\s+Running",
        r"QoS Class:\s+BestEffort",
        r"not-ready:NoExecute op=Exists for 300s",
        r"Normal\s+Started\s+.*kubelet\s+Started container main",
    ):
        assert re.search(expected, text), (expected, text)
    text = await kubectl("describe node n1")
    assert re.search(r"Non-terminated Pods:\s+\(1 in total\)", text)
    await kubectl("apply -f -", stdin=MANIFEST)
    text = await kubectl("-n shop describe deploy web")
    assert re.search(r"Replicas:\s+2 desired \| 0 updated", text)
    assert re.search(r"StrategyType:\s+RollingUpdate", text)
    assert re.search(r"Readiness:\s+http-get http://:8080/ delay=0s timeout=1s period=10s", text)
    assert re.search(r"Completions:\s+1", await kubectl("-n shop describe job once"))
    assert "Started container main" in await kubectl("get events")
    assert "Started container main" in await kubectl("events --for pod/p")
    assert "Started" in await kubectl("describe events")


async def test_errors_in_the_words_of_kubernetes(kubectl: Cluster) -> None:
    assert await kubectl.fails("get pod x") == (
        'Error from server (NotFound): pods "x" not found\n'
    )
    await kubectl("apply -f -", stdin=POD)
    assert 'pods "p" already exists' in await kubectl.fails("create -f -", stdin=POD)
    bad = POD.replace("main", "MAIN").replace('image: "i:1"}]', "}]")
    text = await kubectl.fails("create -f -", stdin=bad.replace("name: p,", "name: q,"))
    assert 'The Pod "q" is invalid:' in text
    assert '* spec.containers[0].name: Invalid value: "MAIN"' in text
    assert "* spec.containers[1].image: Required value" in text
    unknown = POD.replace("spec:", "spec:\n  frog: 1")
    assert 'strict decoding error: unknown field "spec.frog"' in (
        await kubectl.fails("apply -f -", stdin=unknown)
    )
    warned = await kubectl.run("apply", "--validate=warn", "-f", "-", stdin=unknown)
    assert 'Warning: unknown field "spec.frog"' in warned.err
    assert "field label not supported: spec.frog" in (
        await kubectl.fails("get po --field-selector=spec.frog=1")
    )


async def test_create_by_generators(kubectl: Cluster) -> None:
    for line in (
        "create namespace team",
        "create deployment d --image=i:1 --replicas=3 --port=80",
        "create job j --image=i:1 -- true",
        "create configmap c --from-literal=a=b",
        "create secret generic s --from-literal=a=b",
        "create serviceaccount me",
        "create service clusterip v --tcp=80:8080",
        "run r --image=i:1 --env=A=B --labels=x=y",
        "expose deployment d --port=80",
    ):
        await kubectl(line)
    deployment = await kubectl.object("deploy d")
    assert deployment["spec"]["replicas"] == 3
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert (await kubectl.object("cm c"))["data"] == {"a": "b"}
    assert (await kubectl.object("secret s"))["data"] == {"a": "Yg=="}
    job = await kubectl.object("job j")
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["true"]
    service = await kubectl.object("svc v")
    assert service["spec"]["ports"][0]["targetPort"] == 8080


async def test_change_in_every_way(kubectl: Cluster) -> None:
    await kubectl("create deployment d --image=i:1")
    await kubectl("scale deploy d --replicas=4")
    await kubectl("label deploy d tier=front")
    await kubectl("annotate deploy d note=x")
    await kubectl("set image deploy/d i=i:2")
    await kubectl("set env deploy/d A=B")
    await kubectl("set resources deploy/d --limits=cpu=1")
    await kubectl.run("patch", "deploy", "d", "-p", '{"spec":{"minReadySeconds":1}}')
    for kind, patch in (
        ("merge", '{"spec":{"revisionHistoryLimit":3}}'),
        ("json", '[{"op":"replace","path":"/spec/progressDeadlineSeconds","value":99}]'),
    ):
        ran = await kubectl.run("patch", "deploy", "d", "--type", kind, "-p", patch)
        assert ran.code == 0, ran.err
    await kubectl("edit deploy d", EDITOR="sed -i s/replicas:.4/replicas:\\ 6/")
    await kubectl("rollout pause deploy d")
    spec = (deployment := await kubectl.object("deploy d"))["spec"]
    assert (spec["replicas"], spec["paused"], spec["minReadySeconds"]) == (6, True, 1)
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (3, 99)
    (container,) = spec["template"]["spec"]["containers"]
    assert (container["image"], container["env"]) == ("i:2", [{"name": "A", "value": "B"}])
    assert container["resources"]["limits"] == {"cpu": "1"}
    assert deployment["metadata"]["labels"]["tier"] == "front"
    await kubectl("rollout resume deploy d")
    await kubectl("rollout restart deploy d")
    replaced = json.dumps(await kubectl.object("deploy d"))
    await kubectl("replace -f -", stdin=replaced)
    assert "modified" in await kubectl.fails("replace -f -", stdin=json.dumps(deployment))


async def test_rollout_status_waits(kubectl: Cluster) -> None:
    await kubectl("create deployment d --image=i:1")
    process = await kubectl.start("rollout", "status", "deploy/d")
    assert process.stdout is not None
    assert b"Waiting for deployment" in await process.stdout.readline()
    patch = {
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
        }
    }
    ran = await kubectl.run(
        *("patch", "deploy", "d", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    )
    assert ran.code == 0, ran.err
    out, _ = await process.communicate()
    assert b'deployment "d" successfully rolled out' in out
    assert process.returncode == 0


async def test_watch_and_wait(kubectl: Cluster) -> None:
    await kubectl("apply -f -", stdin=POD)
    watching = await kubectl.start("get", "pods", "-w")
    waiting = await kubectl.start("wait", "--for=delete", "pod/p", "--timeout=30s")
    assert watching.stdout is not None
    assert (await watching.stdout.readline()).split()[:2] == [b"NAME", b"READY"]
    assert (await watching.stdout.readline()).split()[:3] == [b"p", b"0/2", b"Pending"]
    await kubectl("wait --for=jsonpath={.status.phase}=Pending pod/p --timeout=30s")
    await kubectl("label pod p seen=yes")
    assert (await watching.stdout.readline()).split()[:3] == [b"p", b"0/2", b"Pending"]
    assert await kubectl("delete pod p") == 'pod "p" deleted\n'
    assert (await watching.stdout.readline()).split()[0] == b"p"
    watching.terminate()
    await watching.wait()
    _, err = await waiting.communicate()
    assert waiting.returncode == 0, err


async def test_cordon_and_taint_and_drain(kubectl: Cluster) -> None:
    to = await bound(kubectl)
    await kubectl("cordon n1")
    assert (await kubectl.table("get nodes"))[1][1] == "Ready,SchedulingDisabled"
    await kubectl("taint nodes n1 gpu=yes:NoSchedule")
    assert (await kubectl.object("node n1"))["spec"]["taints"] == [
        {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    ]
    await kubectl("taint nodes n1 gpu:NoSchedule-")
    draining = await kubectl.start("drain", "n1", "--force", "--timeout=30s")
    async for event in to.watch(Pod, "default", resource_version="0"):
        if event.object.metadata.deletion_timestamp:
            assert event.object.metadata.deletion_grace_period_seconds == 30
            break
    await to.delete(Pod, "p", "default", grace_period=0)  # as its kubelet does
    _, err = await draining.communicate()
    assert draining.returncode == 0, err
    await kubectl("uncordon n1")
    assert (await kubectl.table("get nodes"))[1][1] == "Ready"


async def test_deletion(kubectl: Cluster) -> None:
    await kubectl("create namespace team")
    await kubectl("delete namespace team --wait=false")
    assert (await kubectl.table("get ns team"))[1][1] == "Terminating"
    assert "being terminated" in await kubectl.fails("-n team create configmap c")
    for name in ("a", "b", "c"):
        await kubectl(f"create configmap {name}")
    assert await kubectl("delete cm a") == 'configmap "a" deleted\n'
    out = await kubectl("delete cm --all")
    assert out.count("deleted") == 2
    await bound(kubectl)
    out = await kubectl("delete pod p --grace-period=0 --force")
    assert 'pod "p" force deleted' in out
    assert await kubectl("get pods -o name") == ""


async def test_logs(kubectl: Cluster) -> None:
    await bound(kubectl)
    assert (await kubectl("logs p -c side --tail=2")).splitlines() == [
        "side line 3",
        "side line 4",
    ]
    assert "main line 0" in await kubectl("logs p")
    assert "previous terminated container" in await kubectl.fails("logs p -c main --previous")
    assert "container x is not valid for pod p" in await kubectl.fails("logs p -c x")
    following = await kubectl.start("logs", "-f", "p", "-c", "main", "--tail=1")
    assert following.stdout is not None
    assert await following.stdout.readline() == b"main line 4\n"
    for line in (b"one\n", b"two\n"):
        await kubectl.node.more.put(line)
        assert await following.stdout.readline() == line
    await kubectl.node.more.put(b"")
    assert await asyncio.wait_for(following.wait(), 30) == 0


async def test_explain(kubectl: Cluster) -> None:
    text = await kubectl("explain deployment.spec.strategy")
    assert "rollingUpdate" in text
    assert "KIND:" in text
