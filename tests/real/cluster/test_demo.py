"""The demo from the first command to the last: real containers, seen from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from engine.launch import running
from tests.real.cluster.conftest import DEMO, Shell
from tests.real.cluster.machine import contained, traces

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def demo(shell: Shell) -> Shell:
    """The cluster with the demo's pods serving."""
    shell.podarium("apply", "-f", str(DEMO))
    deployments = ["deployment/web", "deployment/wave", "deployment/breathe"]
    shell.kubectl("wait", "--for=condition=Available", "--timeout=60s", *deployments)
    return shell


def test_every_pod_has_namespaces_of_its_own(demo: Shell) -> None:
    pids = contained(demo.paths, "app.py")
    assert len(pids) == 3
    for kind in ("pid", "mnt", "net", "uts", "ipc", "cgroup"):
        theirs = {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}
        assert len(theirs) == 3, kind
        assert os.readlink(f"/proc/self/ns/{kind}") not in theirs, kind


def test_limits_of_the_manifest_are_in_force(demo: Shell) -> None:
    (pid,) = contained(demo.paths, "leak.py") or contained(demo.paths, "breathe.py")
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    rows = [line.split(":", 2) for line in lines]
    memory = next((row[2] for row in rows if "memory" in row[1].split(",")), None)
    if memory is None:  # one tree for all controllers
        limit = Path(f"/sys/fs/cgroup{rows[0][2]}/memory.max")
    else:
        limit = Path(f"/sys/fs/cgroup/memory{memory}/memory.limit_in_bytes")
    assert int(limit.read_text()) in (48 << 20, 128 << 20)


def test_kubectl_sees_the_same_cluster(demo: Shell) -> None:
    wide = demo.kubectl("get", "nodes,pods", "-o", "wide")
    assert len(re.findall(r"^node/node-\d +Ready", wide, re.MULTILINE)) == 3
    pods = json.loads(demo.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 3
    for pod in pods:
        assert re.search(f"pod/{pod['metadata']['name']} +1/1 +Running", wide)
        assert f" {pod['status']['podIP']} " in wide
    names = demo.podarium("get", "pods", "-o", "name").split()
    assert sorted(names) == sorted(demo.kubectl("get", "pods", "-o", "name").split())


def test_pods_answer_the_host_and_pods_of_other_nodes(demo: Shell) -> None:
    pods = json.loads(demo.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    fetch = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=9).read())"
    callers = [[], *(["nsenter", "-t", str(p), "-n"] for p in contained(demo.paths, "app.py"))]
    for caller in callers:
        for pod in pods:
            url = f"http://{pod['status']['podIP']}:8000/"
            command = [*caller, "python3", "-c", fetch, url]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert f'"pod": "{pod["metadata"]["name"]}"' in answer
            assert f'"node": "{pod["spec"]["nodeName"]}"' in answer


def test_logs_reach_kubectl_and_the_shell(demo: Shell) -> None:
    (pod,) = demo.kubectl("get", "pods", "-l", "app=breathe", "-o", "name").split()
    name = pod.removeprefix("pod/")
    demo.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod", "-l", "app=batch")
    (batch, *_) = demo.kubectl("get", "pods", "-l", "app=batch", "-o", "name").split()
    said = demo.kubectl("logs", batch)
    assert said.splitlines()[-1] == "done"
    assert demo.podarium("logs", batch.removeprefix("pod/")) == said
    assert demo.podarium("logs", batch.removeprefix("pod/"), "--tail", "1") == "done\n"
    assert "no-such" in demo.podarium("logs", name, "-c", "no-such", code=1)


def test_the_out_of_memory_killer_is_told_of_rightly(demo: Shell) -> None:
    where = "{.status.containerStatuses[0].lastState.terminated.reason}=OOMKilled"
    demo.kubectl("wait", f"--for=jsonpath={where}", "--timeout=60s", "pod", "-l", "app=leak")
    told = demo.kubectl("describe", "pod", "-l", "app=leak")
    last = told[told.index("Last State:") :]
    assert re.match(r"Last State: +Terminated\n +Reason: +OOMKilled\n +Exit Code: +137\n", last)
    assert int(re.search(r"Restart Count: +(\d+)", told)[1]) >= 1  # type: ignore[index]


def test_what_cannot_be_scheduled_says_why(demo: Shell) -> None:
    told = demo.kubectl("describe", "pod", "giant")
    assert "0/3 nodes are available: 3 Insufficient memory." in told


def test_containers_outlive_a_killed_engine_and_are_adopted(demo: Shell) -> None:
    before = contained(demo.paths, "app.py")
    ids = "{.items[*].status.containerStatuses[*].containerID}"
    known = demo.kubectl("get", "pods", "-l", "app=web", "-o", f"jsonpath={ids}")
    engine = running(demo.paths)
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    demo.podarium("up")
    assert running(demo.paths) not in (None, engine)
    assert contained(demo.paths, "app.py") == before
    restarts = "{.items[*].status.containerStatuses[*].restartCount}"
    assert demo.kubectl("get", "pods", "-l", "app=web", "-o", f"jsonpath={ids}") == known
    said = demo.kubectl("get", "pods", "-l", "app=web", "-o", f"jsonpath={restarts}")
    assert set(said.split()) == {"0"}


def test_a_node_whose_keeper_died_goes_on_with_its_pods(demo: Shell) -> None:
    pods = json.loads(demo.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    (pod,) = [pod for pod in pods if pod["spec"]["nodeName"] == "node-3"]
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    before = contained(demo.paths, "app.py")
    keeper = int(demo.paths.node("node-3").keeper_pid.read_text().split()[0])
    os.kill(keeper, signal.SIGKILL)
    fields = "--field-selector=involvedObject.name=node-3,reason=KeeperAdopted"
    demo.kubectl("wait", "--for=create", "--timeout=60s", "events", fields)
    demo.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "node/node-3", f"pod/{name}")
    assert contained(demo.paths, "app.py") == before
    again = json.loads(demo.kubectl("get", "pod", name, "-o", "json"))["status"]
    assert again["podIP"] == address
    assert again["containerStatuses"][0]["restartCount"] == 0
    subprocess.run(
        ["python3", "-c", f"import socket; socket.create_connection(('{address}', 8000), 9)"],
        check=True,
    )


def test_scaling_and_deleting_reach_the_processes(demo: Shell) -> None:
    demo.kubectl("scale", "deployment/web", "--replicas=1")
    demo.kubectl("wait", "--for=jsonpath={.status.replicas}=1", "deployment/web")
    demo.kubectl("delete", "deployment/web", "--cascade=foreground", "--timeout=60s")
    assert contained(demo.paths, "app.py") == []
    assert demo.podarium("get", "pods", "-l", "app=web", "-o", "name") == ""


def test_down_leaves_nothing_and_up_brings_the_objects_back(demo: Shell) -> None:
    assert traces(demo.paths)
    demo.podarium("down")
    assert traces(demo.paths) == []
    assert "not running" in demo.podarium("status", code=3)
    demo.podarium("up")
    demo.kubectl("wait", "--for=condition=Available", "--timeout=60s", "deployment/breathe")
