"""What a node shows of its containers: what they use, and what they are made of."""

import asyncio
from pathlib import Path

from engine.types.pods import Pod
from tests.real.kubelet.conftest import PATIENCE_S, Cluster


async def test_statistics_and_anatomy(cluster: Cluster) -> None:
    burn = "while :; do :; done"
    await cluster.run(
        "busy",
        {
            "command": ["sh", "-c", f"echo x > /new; {burn}"],
            "resources": {"limits": {"cpu": "200m", "memory": "64Mi"}},
        },
    )
    await cluster.until("busy", lambda p: p.status.phase == "Running")
    async with asyncio.timeout(PATIENCE_S):
        async for tick in cluster.gateway.stats(10):
            sample = tick.containers.get("default/busy/main")
            if sample is not None and sample.throttled > 0:
                break
    assert sample.cpu_limit == 0.2
    assert 0.05 < sample.cpu < 0.4
    assert sample.memory_limit == 64 << 20
    assert 0 < sample.memory < 64 << 20
    assert sample.pids >= 1
    assert tick.nodes["n1"].pods == 1
    assert tick.nodes["n1"].cpu > 0.05
    pod = await cluster.client.get(Pod, "busy", "default")
    found = await cluster.gateway.anatomy(pod, "main")
    assert [layer["kind"] for layer in found["layers"]] == ["rw", "init", *["image"] * 3]
    assert all(layer["digest"].startswith("sha256:") for layer in found["layers"][2:])
    assert {"kind": "added", "path": "/new", "size": 2} in found["changes"]
    assert set(found["namespaces"]) >= {"pid", "mnt", "net", "uts", "ipc", "cgroup"}
    own = {name: Path(f"/proc/self/ns/{name}").stat().st_ino for name in ("pid", "mnt", "net")}
    assert all(found["namespaces"][name] != inode for name, inode in own.items())
    assert found["cgroup"]["limits"]["memory_limit"] == 64 << 20
    assert "/proc" in [mount["path"] for mount in found["mounts"]]
    assert "CAP_CHOWN" in found["capabilities"]["effective"]
    assert found["plan"][-1]["op"] == "exec"
    images = cluster.gateway.images
    told = await images.diff_container("podarium/host", pod, "main", offset=0, limit=10)
    assert (told.base, told.now) == ("podarium/host:latest", "pod/busy/main")
    assert [(row.path, row.mark, row.size) for row in told.rows] == [("/new", "added", 2)]
    assert found["sharedBy"]["mnt"] == found["sharedBy"]["pid"] == "container"
    assert found["sharedBy"]["net"] == "pod"
    assert found["sharedBy"]["user"] == "machine"
    first, *_ = found["processes"]
    assert (first["pid"], first["inner"]) == (found["pid"], 1)
    assert first["command"].startswith("sh -c echo x > /new;")
    assert first["rss"] > 0
    assert found["confinement"]["seccomp"] == "filter"
    assert found["confinement"]["noNewPrivileges"] is True
    assert found["network"]["ip"] == pod.status.pod_ip
    assert found["network"]["link"]


async def test_traffic_is_counted_as_the_pod_sees_it(cluster: Cluster) -> None:
    listen = "import socket; s = socket.create_server(('', 8000)); c = s.accept()[0]"
    await cluster.run(
        "taker",
        {"command": ["python3", "-c", f"{listen}\nwhile c.recv(65536): pass"]},
    )
    pod = await cluster.until("taker", lambda p: p.status.phase == "Running")
    send = (
        "import socket, time\n"
        "while True:\n"
        f"  try: s = socket.create_connection(('{pod.status.pod_ip}', 8000)); break\n"
        "  except OSError: time.sleep(0.05)\n"
        "while True: s.send(bytes(10000)); time.sleep(0.01)"
    )
    await cluster.run("giver", {"command": ["python3", "-c", send]})
    async with asyncio.timeout(PATIENCE_S):
        async for tick in cluster.gateway.stats(0):
            giver = tick.containers.get("default/giver/main")
            taker = tick.containers.get("default/taker/main")
            if giver and taker and giver.tx > 100_000 and taker.rx > 100_000:
                break
    assert giver.rx < giver.tx / 4
    assert taker.tx < taker.rx / 4
    assert tick.nodes["n1"].rx == giver.rx + taker.rx
    await cluster.delete("giver", grace=0)
    await cluster.delete("taker", grace=0)
