"""Volumes, environment, users: what a container finds when it starts, and when it changes."""

from pathlib import Path

from engine.types.core import ConfigMap, Secret
from engine.types.meta import ObjectMeta
from engine.types.pods import Pod
from tests.real.kubelet.conftest import IMAGE, NOTHING, Cluster


def meta(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default")


def done(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


async def output(cluster: Cluster, script: str, **container) -> str:
    """What a pod of one container prints; pod fields go in `spec`."""
    spec = container.pop("spec", {})
    await cluster.run(
        "out", {"command": ["sh", "-c", script], **container}, restartPolicy="Never", **spec
    )
    await cluster.until("out", done)
    return await cluster.log("out")


async def test_environment(cluster: Cluster) -> None:
    await cluster.client.create(ConfigMap(metadata=meta("conf"), data={"COLOR": "blue"}))
    await cluster.client.create(Secret(metadata=meta("sec"), data={"PASS": "czNjcmV0"}))
    text = await output(
        cluster,
        'echo "$COLOR $SECRET $GREETING $NAME $IP $CPU $(hostname) $HOSTNAME"',
        envFrom=[{"configMapRef": {"name": "conf"}}],
        env=[
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "PASS"}}},
            {"name": "GREETING", "value": "hi-$(SECRET)-$$(SECRET)"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
        resources={"limits": {"cpu": "1500m"}},
    )
    color, secret, greeting, name, ip, cpu, *hostnames = text.split()
    assert (color, secret, greeting) == ("blue", "s3cret", "hi-s3cret-$(SECRET)")
    assert (name, cpu, hostnames) == ("out", "2", ["out", "out"])
    assert ip.startswith("10.99.1.")


async def test_a_missing_config_map_is_waited_for(cluster: Cluster) -> None:
    await cluster.run(
        "late",
        {
            "command": ["sh", "-c", "echo $COLOR"],
            "envFrom": [{"configMapRef": {"name": "late"}}],
        },
        restartPolicy="Never",
    )
    pod = await cluster.until(
        "late",
        lambda p: (
            p.status.container_statuses
            and p.status.container_statuses[0].state.waiting.reason == "CreateContainerConfigError"
        ),
    )
    message = pod.status.container_statuses[0].state.waiting.message
    assert message == 'configmap "late" not found'
    await cluster.client.create(ConfigMap(metadata=meta("late"), data={"COLOR": "red"}))
    await cluster.until("late", done)
    assert await cluster.log("late") == "red"


async def test_a_config_map_volume_follows_its_source(cluster: Cluster) -> None:
    await cluster.client.create(ConfigMap(metadata=meta("conf"), data={"key": "old"}))
    await cluster.run(
        "follows",
        {
            "command": [
                "sh",
                "-c",
                "cat /conf/key; echo; until grep -q new /conf/key; do sleep 0.1; done;"
                "cat /conf/key; echo; cat /one; echo; touch /conf/x 2>/dev/null || echo read-only",
            ],
            "volumeMounts": [
                {"name": "conf", "mountPath": "/conf"},
                {"name": "conf", "mountPath": "/one", "subPath": "key"},
            ],
        },
        restartPolicy="Never",
        volumes=[{"name": "conf", "configMap": {"name": "conf"}}],
    )
    await cluster.until("follows", lambda p: p.status.phase == "Running")
    following = cluster.follow("follows")
    assert await anext(following) == b"old"
    await cluster.client.patch(ConfigMap, "conf", "default", {"data": {"key": "new"}})
    assert [line async for line in following] == [b"new", b"old", b"read-only"]


async def test_a_source_that_goes_stops_nobody(cluster: Cluster) -> None:
    await cluster.client.create(ConfigMap(metadata=meta("conf"), data={"key": "kept"}))
    await cluster.run(
        "goes-on",
        {
            "command": ["sh", "-c", "cat /conf/key; echo; exec sleep 1000"],
            "volumeMounts": [{"name": "conf", "mountPath": "/conf"}],
        },
        volumes=[{"name": "conf", "configMap": {"name": "conf"}}],
        terminationGracePeriodSeconds=0,
    )
    await cluster.until("goes-on", lambda p: p.status.phase == "Running")
    await cluster.client.delete(ConfigMap, "conf", "default")
    gone = 'MountVolume.SetUp failed for volume "conf" : configmap "conf" not found'
    await cluster.until_told("goes-on", {gone})
    await cluster.kill("goes-on")
    await cluster.until(
        "goes-on",
        lambda p: (
            p.status.container_statuses[0].restart_count == 1
            and p.status.container_statuses[0].state.running
        ),
    )
    following = cluster.follow("goes-on")
    assert await anext(following) == b"kept"
    await cluster.delete("goes-on", grace=0)


async def test_volumes_of_every_kind(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.client.create(Secret(metadata=meta("sec"), data={"a": "QQ==", "b": "Qg=="}))
    (tmp_path / "file").write_text("host")
    text = await output(
        cluster,
        "cat /sec/sub/b; stat -L -c %a /sec/sub/b; cat /down/name; echo; cat /all/a /all/n; echo;"
        "cat /host/file; echo; stat -f -c %T /mem; echo x > /mem/x; cat /dir/deep/er/file",
        volumeMounts=[
            {"name": "sec", "mountPath": "/sec"},
            {"name": "down", "mountPath": "/down"},
            {"name": "all", "mountPath": "/all"},
            {"name": "host", "mountPath": "/host", "readOnly": True},
            {"name": "mem", "mountPath": "/mem"},
            {"name": "dir", "mountPath": "/dir"},
        ],
        spec={
            "volumes": [
                {
                    "name": "sec",
                    "secret": {
                        "secretName": "sec",
                        "items": [{"key": "b", "path": "sub/b", "mode": 0o400}],
                    },
                },
                {
                    "name": "down",
                    "downwardAPI": {
                        "items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
                    },
                },
                {
                    "name": "all",
                    "projected": {
                        "sources": [
                            {"secret": {"name": "sec"}},
                            {
                                "downwardAPI": {
                                    "items": [
                                        {"path": "n", "fieldRef": {"fieldPath": "spec.nodeName"}}
                                    ]
                                }
                            },
                        ]
                    },
                },
                {"name": "host", "hostPath": {"path": str(tmp_path), "type": "Directory"}},
                {"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "dir", "emptyDir": {}},
            ],
            "initContainers": [
                {
                    "name": "init",
                    "image": IMAGE,
                    "command": ["sh", "-c", "echo deep > /part/file"],
                    "volumeMounts": [{"name": "dir", "mountPath": "/part", "subPath": "deep/er"}],
                }
            ],
        },
    )
    assert text.split() == ["B400", "out", "An1", "host", "tmpfs", "deep"]


async def test_memory_is_shared_between_containers(cluster: Cluster) -> None:
    mount = [{"name": "mem", "mountPath": "/mem"}]
    await cluster.run(
        "two",
        {
            "command": ["sh", "-c", "until cat /mem/x 2>/dev/null; do sleep 0.05; done"],
            "volumeMounts": mount,
        },
        {"name": "other", "command": ["sh", "-c", "echo hi > /mem/x"], "volumeMounts": mount},
        restartPolicy="Never",
        volumes=[{"name": "mem", "emptyDir": {"medium": "Memory"}}],
    )
    await cluster.until("two", done)
    assert await cluster.log("two") == "hi"
    await cluster.delete("two")
    assert await cluster.settled() == NOTHING


async def test_a_subpath_cannot_leave_its_volume(cluster: Cluster) -> None:
    mount = [{"name": "dir", "mountPath": "/dir"}]
    init = {
        "name": "evil",
        "image": IMAGE,
        "command": ["ln", "-s", "/etc", "/dir/etc"],
        "volumeMounts": mount,
    }
    await cluster.run(
        "evil",
        {
            "command": ["ls", "/part"],
            "volumeMounts": [{"name": "dir", "mountPath": "/part", "subPath": "etc/x"}],
        },
        initContainers=[init],
        volumes=[{"name": "dir", "emptyDir": {}}],
    )
    await cluster.until(
        "evil",
        lambda p: (
            p.status.container_statuses
            and p.status.container_statuses[0].state.waiting.reason == "CreateContainerError"
        ),
    )
    assert not Path("/etc/x").exists()


async def test_users_and_privileges(cluster: Cluster) -> None:
    text = await output(
        cluster,
        "id -u; id -g; id -G; grep CapEff /proc/self/status | cut -f2; touch /x 2>&1 | tail -c 22;"
        "grep NoNewPrivs /proc/self/status | cut -f2; echo $HOME; echo ok > /dir/x && echo wrote",
        securityContext={"runAsUser": 1000, "readOnlyRootFilesystem": True},
        volumeMounts=[{"name": "dir", "mountPath": "/dir"}],
        spec={
            "securityContext": {"runAsGroup": 2000, "fsGroup": 3000},
            "volumes": [{"name": "dir", "emptyDir": {}}],
        },
    )
    lines = text.split("\n")
    assert lines[:3] == ["1000", "2000", "2000 3000"]
    assert lines[3] == "0000000000000000"
    assert "Read-only file system" in lines[4]
    assert lines[5:] == ["1", "/", "wrote"]
