"""What pods ask of their node beyond what every pod gets, on a real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.linux.process import capget
from engine.types.pods import Pod
from tests.real.kubelet.conftest import NOTHING, Cluster


def running(pod: Pod) -> bool:
    return pod.status.phase == "Running"


def ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


async def said(cluster: Cluster, script: str, container: dict | None = None, **spec: object) -> str:
    """What a pod of one container says."""
    spec.setdefault("restartPolicy", "Never")
    main = {"command": ["sh", "-c", script], **(container or {})}
    await cluster.run("p", main, **spec)
    pod = await cluster.until("p", ended)
    text = await cluster.log("p")
    assert pod.status.phase == "Succeeded", text
    await cluster.delete("p", grace=0)
    return text


async def until_ready(cluster: Cluster) -> list[str]:
    """What it says before it says "ready"."""
    lines = []
    async for line in cluster.follow("p"):
        if line == b"ready":
            break
        lines.append(line.decode())
    return lines


def own(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


async def test_in_the_network_of_the_node(cluster: Cluster) -> None:
    """The node's, which is not the machine's."""
    keeper = cluster.kubelet.node.runtime.keeper_pid
    script = "readlink /proc/self/ns/net; hostname; cat /etc/hosts; echo $HOSTNAME;"
    script += " echo ready; sleep 1000"
    await cluster.run("p", {"command": ["sh", "-c", script]}, hostNetwork=True)
    pod = await cluster.until("p", running)
    assert (pod.status.pod_ip, pod.status.host_ip) == ("10.99.0.11", "10.99.0.11")
    await cluster.restart_kubelet()  # an engine to come knows it again
    lines = await until_ready(cluster)
    assert lines[:2] == [os.readlink(f"/proc/{keeper}/ns/net"), "n1"]
    assert lines[0] != own("net")
    assert "10.99.0.11\tn1" in lines
    assert lines[-1] == "n1"
    assert (await cluster.client.get(Pod, "p", "default")).status.pod_ip == "10.99.0.11"
    await cluster.delete("p", grace=0)
    assert await cluster.settled() == NOTHING


async def test_beside_the_processes_of_the_machine(cluster: Cluster) -> None:
    """What it has begun ends with it all the same."""
    script = "readlink /proc/self/ns/pid /proc/self/ns/ipc; sleep 7654 &"
    script += f" tr '\\0' ' ' </proc/{os.getpid()}/cmdline"
    text = await said(cluster, script, hostPID=True, hostIPC=True)
    lines = text.splitlines()
    assert lines[:2] == [own("pid"), own("ipc")]
    assert "pytest" in lines[2] or "python" in lines[2]
    assert not [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if _read(path) == b"sleep\x007654\x00"
    ]
    assert await cluster.settled() == NOTHING


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_containers_that_share_their_processes(cluster: Cluster) -> None:
    """The first is one that only waits and reaps; one container's end is not another's, and exec
    sees what the container does."""
    look = (
        "until [ -e /dev/shm/up ]; do sleep 0.01; done; tr '\\0' '\\n' </proc/1/cmdline;"
        " grep -l tail /proc/[0-9]*/comm 2>/dev/null | wc -l; echo ready;"
        " touch /dev/shm/seen; sleep 1000"
    )
    other = (
        "tail -f /dev/null & touch /dev/shm/up; until [ -e /dev/shm/seen ]; do sleep 0.01; done;"
        " (sleep 0.01 &) ; exit 3"
    )
    await cluster.run(
        "p",
        {"command": ["sh", "-c", look]},
        {"name": "other", "command": ["sh", "-c", other]},
        shareProcessNamespace=True,
        restartPolicy="Never",
    )

    def one_is_over(pod: Pod) -> bool:
        return any(s.state.terminated for s in pod.status.container_statuses)

    pod = await cluster.until("p", one_is_over)
    statuses = {s.name: s.state for s in pod.status.container_statuses}
    assert statuses["other"].terminated.exit_code == 3
    assert statuses["main"].running
    first, seen = await until_ready(cluster)
    assert first == "/pause"
    assert int(seen) >= 1
    # What the other began went with it, and left no zombie.
    await cluster.exec("p", "sh", "-c", "! grep -l tail /proc/[0-9]*/comm")
    await cluster.exec("p", "sh", "-c", "! grep -h '^State:.*Z' /proc/[0-9]*/status")
    await cluster.delete("p", grace=0)
    assert await cluster.settled() == NOTHING


async def test_what_holds_a_shared_pid_namespace_has_nothing_to_give(cluster: Cluster) -> None:
    """Even to one who may trace it."""
    script = (
        "ls /proc/1/root | wc -l; ls /proc/1/fd | tr '\\n' ' '; readlink /proc/1/exe;"
        " grep -E 'Uid|CapPrm|NoNewPrivs|^Groups' /proc/1/status; true"
    )
    text = await said(
        cluster,
        script,
        {"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}},
        shareProcessNamespace=True,
    )
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["0"]
    assert lines[1] == ["0", "1", "2", "/memfd:pause", "(deleted)"]
    assert ["Uid:", *["65535"] * 4] in lines
    assert ["CapPrm:", "0000000000000000"] in lines
    assert ["NoNewPrivs:", "1"] in lines
    assert ["Groups:"] in lines


async def test_a_privileged_container(cluster: Cluster, tmp_path: Path) -> None:
    os.mknod(tmp_path / "kmsg", 0o20600, os.makedev(1, 11))
    script = (
        "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status; test -c /dev/kmsg && echo device;"
        " : < /dev/kmsg && echo read; : < /data/kmsg && echo read;"
        " grep -c . /proc/keys >/dev/null; mount -t tmpfs x /tmp && echo mounted;"
        " mkdir /sys/fs/cgroup/*/x 2>/dev/null; rmdir /sys/fs/cgroup/*/x 2>/dev/null;"
        " grep ' /sys ' /proc/mounts; grep ' /proc/sys ' /proc/mounts; true"
    )
    main = {
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "d", "mountPath": "/data"}],
    }
    volumes = [{"name": "d", "hostPath": {"path": str(tmp_path)}}]
    lines = (await said(cluster, script, main, volumes=volumes)).splitlines()
    assert f"CapEff:\t{capget()[1]:016x}" in lines
    assert "Seccomp:\t0" in lines
    assert "NoNewPrivs:\t0" in lines
    assert lines.count("read") == 2
    assert {"device", "mounted"} <= set(lines)
    (sys,) = (line for line in lines if " /sys " in line)
    assert "rw," in sys
    assert not [line for line in lines if " /proc/sys " in line]
    assert await cluster.settled() == NOTHING


async def test_settings_of_the_pods_own_namespaces(cluster: Cluster) -> None:
    safe = [
        {"name": "net.ipv4.tcp_fin_timeout", "value": "33"},
        {"name": "kernel.shm_rmid_forced", "value": "1"},
    ]
    script = "cat /proc/sys/net/ipv4/tcp_fin_timeout /proc/sys/kernel/shm_rmid_forced"
    before = Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text()
    assert await said(cluster, script, securityContext={"sysctls": safe}) == "33\n1"
    assert Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text() == before
    refused = [
        ({"name": "kernel.msgmax", "value": "1"}, {}, '"kernel.msgmax" not allowlisted'),
        (safe[0], {"hostNetwork": True}, "not allowed with host net enabled"),
        (safe[1], {"hostIPC": True}, "not allowed with host ipc enabled"),
    ]
    for setting, more, words in refused:
        context = {"sysctls": [setting]}
        await cluster.run("p", {"command": ["true"]}, securityContext=context, **more)
        pod = await cluster.until("p", ended)
        assert (pod.status.phase, pod.status.reason) == ("Failed", "SysctlForbidden")
        assert words in pod.status.message
        await cluster.delete("p", grace=0)


async def test_shared_memory_is_the_pods(cluster: Cluster) -> None:
    """Of all its containers, and it outlives each."""
    first = "echo mine > /dev/shm/a; until [ -e /dev/shm/b ]; do sleep 0.01; done; cat /dev/shm/b"
    second = "until [ -e /dev/shm/a ]; do sleep 0.01; done; cat /dev/shm/a; echo yours > /dev/shm/b"
    await cluster.run(
        "p",
        {"command": ["sh", "-c", first]},
        {"name": "other", "command": ["sh", "-c", second]},
        restartPolicy="Never",
    )
    await cluster.until("p", ended)
    assert await cluster.log("p") == "yours"
    assert await cluster.log("p", "other") == "mine"
    await cluster.delete("p", grace=0)
    assert await cluster.settled() == NOTHING


async def test_a_terminal_is_the_console_too(cluster: Cluster) -> None:
    script = "test -t 0 && echo terminal; echo to the console > /dev/console; ls -l /dev/console"
    text = await said(cluster, script, {"tty": True})
    lines = text.replace("\r", "").splitlines()
    assert lines[:2] == ["terminal", "to the console"]
    assert lines[2].startswith("crw")
    assert "136," in lines[2]
    assert "No such file" in await said(cluster, "ls /dev/console 2>&1; true")


async def test_the_full_name_as_hostname(cluster: Cluster) -> None:
    spec = {"hostname": "web", "subdomain": "shop", "setHostnameAsFQDN": True}
    full = "web.shop.default.svc.cluster.local"
    text = await said(cluster, "hostname; echo $HOSTNAME; cat /etc/hostname", **spec)
    assert text.splitlines() == [full] * 3
    spec["subdomain"] = "s" * 40
    await cluster.run("p", {"command": ["true"]}, **spec)
    long = spec["subdomain"]
    length = len(f"web.{long}.default.svc.cluster.local")
    message = (
        "Failed to create pod sandbox: failed to construct FQDN from pod hostname and cluster"
        f" domain, FQDN web.{long}.default.svc.cluster.local is too long (64 characters is the max,"
        f" {length} characters requested)"
    )
    await cluster.until_told("p", {message})


@pytest.mark.parametrize(
    ("spec", "container", "words"),
    [
        ({"hostUsers": False}, {}, "hostUsers: false is not supported"),
        ({"securityContext": {"seLinuxOptions": {"level": "s0"}}}, {}, "seLinuxOptions is not"),
        ({}, {"securityContext": {"procMount": "Unmasked"}}, "procMount"),
    ],
)
async def test_what_is_refused_says_so(
    cluster: Cluster, spec: dict, container: dict, words: str
) -> None:
    def waiting(pod: Pod) -> bool:
        states = [s.state.waiting for s in pod.status.container_statuses]
        return any(state and state.message for state in states)

    await cluster.run("p", {"command": ["true"], **container}, **spec)
    pod = await cluster.until("p", waiting)
    state = pod.status.container_statuses[0].state.waiting
    assert state.reason == "CreateContainerConfigError"
    assert words in state.message
