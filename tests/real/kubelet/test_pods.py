"""A pod's life on a real node."""

import asyncio
import os
from pathlib import Path

import pytest

from engine.kubelet import decision, kubelet
from engine.kubelet.backoff import Backoff
from engine.types import codec
from engine.types.images import Image
from engine.types.pods import Pod
from tests.real.kubelet.conftest import IMAGE, NOTHING, Cluster

# Port 1 (tcpmux) is nobody's.
NOWHERE = "127.0.0.1:1"
OBEDIENT = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done"


def main(pod: Pod):
    """The status of the container `main`; None before there is one."""
    return next((s for s in pod.status.container_statuses if s.name == "main"), None)


def waits_for(reason: str):
    def holds(pod: Pod) -> bool:
        waiting = main(pod).state.waiting if main(pod) else None
        return waiting is not None and waiting.reason == reason

    return holds


def running(pod: Pod) -> bool:
    return pod.status.phase == "Running"


def condition(pod: Pod, kind: str) -> str:
    return next((c.status for c in pod.status.conditions if c.type == kind), "")


async def test_a_pod_runs_and_leaves_nothing(cluster: Cluster) -> None:
    await cluster.run("p", {"command": ["sh", "-c", "echo hello; exec sleep 1000"]})
    pod = await cluster.until("p", running)
    status = main(pod)
    assert pod.status.pod_ip.startswith("10.99.1.")
    assert (status.ready, status.started, status.restart_count) == (True, True, 0)
    assert status.container_id.startswith("podarium://")
    assert status.image_id.startswith("sha256:")
    assert [c.status for c in pod.status.conditions] == ["True"] * 5
    assert cluster.cgroups() == [b"pod" + pod.metadata.uid.encode()]
    # The program has only begun to run.
    assert await anext(cluster.follow("p")) == b"hello"
    assert await cluster.events("p") == ["Pulled", "Created", "Started"]
    await cluster.delete("p", grace=0)
    assert await cluster.settled() == NOTHING


async def test_readiness_is_asked_over_http(cluster: Cluster) -> None:
    server = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler)"
    await cluster.run(
        "web",
        {
            "command": ["python3", "-c", f"{server}.serve_forever()"],
            "ports": [{"name": "http", "containerPort": 8000}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
        },
    )
    pod = await cluster.until("web", lambda p: condition(p, "Ready") == "True")
    assert running(pod)
    await cluster.delete("web", grace=0)


async def test_a_failing_liveness_probe_restarts(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "/sick"]}, "periodSeconds": 1}
    await cluster.run(
        "ill",
        {
            # The trap first: pid 1 is not sent a signal that it has no handler for.
            "command": ["sh", "-c", OBEDIENT.replace("echo up", "touch /sick")],
            "livenessProbe": {**probe, "failureThreshold": 1},
        },
    )
    pod = await cluster.until("ill", lambda p: main(p) and main(p).restart_count == 1)
    assert main(pod).last_state.terminated.exit_code == 0
    assert {"Unhealthy", "Killing"} <= set(await cluster.events("ill"))
    await cluster.delete("ill", grace=0)


async def test_a_crash_loop_is_slowed(cluster: Cluster) -> None:
    await cluster.run("crash", {"command": ["sh", "-c", "echo life; exit 3"]})
    pod = await cluster.until("crash", waits_for("CrashLoopBackOff"))
    status = main(pod)
    assert status.restart_count == 1
    assert status.last_state.terminated.exit_code == 3
    assert status.last_state.terminated.reason == "Error"
    assert status.state.waiting.message == (
        f"back-off 10s restarting failed container=main pod=crash_default({pod.metadata.uid})"
    )
    assert pod.status.phase == "Running"
    assert condition(pod, "Ready") == "False"
    assert "BackOff" in await cluster.events("crash")
    assert await cluster.log("crash", previous=True) == "life"
    await cluster.delete("crash")


async def test_the_reason_of_an_oom_kill(cluster: Cluster) -> None:
    grow = "data = []\nwhile True: data.append(bytearray(1 << 20))"
    await cluster.run(
        "oom",
        {"command": ["python3", "-c", grow], "resources": {"limits": {"memory": "32Mi"}}},
        restartPolicy="Never",
    )
    pod = await cluster.until("oom", lambda p: p.status.phase == "Failed")
    ended = main(pod).state.terminated
    assert (ended.reason, ended.exit_code) == ("OOMKilled", 137)
    await cluster.delete("oom")


async def test_init_containers_run_in_order_and_the_pod_completes(cluster: Cluster) -> None:
    share = [{"name": "shared", "mountPath": "/shared"}]
    step = "cat /shared/log; echo {} >> /shared/log"
    init = [
        {
            "name": name,
            "image": IMAGE,
            "command": ["sh", "-c", step.format(name)],
            "volumeMounts": share,
        }
        for name in ("one", "two")
    ]
    await cluster.run(
        "steps",
        {"command": ["cat", "/shared/log"], "volumeMounts": share},
        initContainers=init,
        restartPolicy="Never",
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    pod = await cluster.until("steps", lambda p: p.status.phase == "Succeeded")
    assert await cluster.log("steps") == "one\ntwo"
    assert await cluster.log("steps", "two") == "one"
    assert main(pod).state.terminated.reason == "Completed"
    assert condition(pod, "Initialized") == "True"
    await cluster.delete("steps")
    assert await cluster.settled() == NOTHING


async def test_a_failed_init_container_fails_the_pod(cluster: Cluster) -> None:
    init = {"name": "one", "image": IMAGE, "command": ["false"]}
    await cluster.run("no", {"command": ["true"]}, initContainers=[init], restartPolicy="Never")
    pod = await cluster.until("no", lambda p: p.status.phase == "Failed")
    assert main(pod).state.waiting.reason == "PodInitializing"
    await cluster.delete("no")


async def test_a_sidecar_starts_first_and_ends_last(cluster: Cluster) -> None:
    sidecar = {
        "name": "side",
        "image": IMAGE,
        "restartPolicy": "Always",
        "command": ["sh", "-c", OBEDIENT],
    }
    await cluster.run("job", {"command": ["true"]}, initContainers=[sidecar], restartPolicy="Never")
    pod = await cluster.until("job", lambda p: p.status.phase == "Succeeded")
    assert pod.status.init_container_statuses[0].state.terminated.exit_code == 0
    await cluster.delete("job")


async def test_termination_is_graceful(cluster: Cluster) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /proc/1/fd/1"]}}}
    await cluster.run("calm", {"command": ["sh", "-c", OBEDIENT], "lifecycle": hook})
    await cluster.until("calm", running)
    following = cluster.follow("calm")
    assert await anext(following) == b"up"
    await cluster.delete("calm", grace=30)
    assert [line async for line in following] == [b"hook", b"bye"]


async def test_one_that_ignores_sigterm_is_killed(cluster: Cluster) -> None:
    await cluster.run("deaf", {"command": ["sh", "-c", "trap '' TERM; echo up; sleep 1000"]})
    await cluster.until("deaf", running)
    await cluster.delete("deaf", grace=1)
    assert await cluster.settled() == NOTHING


async def test_a_deadline_fails_the_pod(cluster: Cluster) -> None:
    await cluster.run(
        "late",
        {"command": ["sleep", "1000"]},
        activeDeadlineSeconds=1,
        terminationGracePeriodSeconds=0,
    )
    pod = await cluster.until("late", lambda p: p.status.phase == "Failed")
    assert pod.status.reason == "DeadlineExceeded"
    await cluster.delete("late")


async def test_a_missing_image_is_waited_for(cluster: Cluster) -> None:
    await cluster.run("none", {"command": ["true"], "image": f"{NOWHERE}/no/such:1"})
    pod = await cluster.until("none", waits_for("ErrImagePull"))
    assert "cannot be reached: Connection refused" in main(pod).state.waiting.message
    await cluster.until("none", waits_for("ImagePullBackOff"))
    assert pod.status.phase == "Pending"
    await cluster.delete("none")


async def test_an_image_that_comes_is_noticed(cluster: Cluster) -> None:
    late = f"{NOWHERE}/late:1"
    await cluster.run("early", {"command": ["true"], "image": late}, restartPolicy="Never")
    await cluster.until("early", waits_for("ErrImagePull"))
    cluster.add_image(late)
    await cluster.until("early", lambda p: p.status.phase == "Succeeded")
    names = [name for each in (await cluster.client.list(Image)).items for name in each.references]
    assert {late, IMAGE} <= set(names)
    await cluster.delete("early")


async def test_a_command_that_is_not_there(cluster: Cluster) -> None:
    await cluster.run("typo", {"command": ["pyton3"]}, restartPolicy="Never")
    pod = await cluster.until("typo", lambda p: p.status.phase == "Failed")
    ended = main(pod).state.terminated
    assert (ended.reason, ended.exit_code) == ("StartError", 128)
    assert "pyton3" in ended.message
    await cluster.delete("typo")
    assert await cluster.settled() == NOTHING


async def test_last_words_are_kept(cluster: Cluster) -> None:
    await cluster.run(
        "words",
        {"command": ["sh", "-c", "echo because > /dev/termination-log; exit 1"]},
        {
            "name": "other",
            "command": ["sh", "-c", "echo from the log; exit 2"],
            "terminationMessagePolicy": "FallbackToLogsOnError",
        },
        restartPolicy="Never",
    )
    pod = await cluster.until("words", lambda p: p.status.phase == "Failed")
    messages = {s.name: s.state.terminated.message for s in pod.status.container_statuses}
    assert messages == {"main": "because\n", "other": "from the log\n"}
    await cluster.delete("words")


async def test_a_new_engine_adopts_what_runs(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.run("stays", {"command": ["sh", "-c", OBEDIENT]})
    await cluster.run(
        "ends",
        {
            "command": ["sh", "-c", "until [ -e /gate/open ]; do sleep 0.05; done; exit 7"],
            "volumeMounts": [{"name": "gate", "mountPath": "/gate"}],
        },
        restartPolicy="Never",
        volumes=[{"name": "gate", "hostPath": {"path": str(tmp_path)}}],
    )
    before = await cluster.until("stays", running)
    ends = await cluster.until("ends", running)
    pids = {state.sandbox: state.pid for state in await cluster.runtime.containers()}
    await cluster.stop_kubelet()
    (tmp_path / "open").touch()
    await end_of(pids[ends.metadata.uid])
    await cluster.restart_kubelet(stopped=True)
    states = {state.sandbox: state for state in await cluster.runtime.containers()}
    assert states[before.metadata.uid].pid == pids[before.metadata.uid]
    assert states[before.metadata.uid].running
    pod = await cluster.until("stays", running)
    assert main(pod).container_id == main(before).container_id
    assert main(pod).restart_count == 0
    ended = main(await cluster.until("ends", lambda p: p.status.phase == "Failed"))
    assert ended.state.terminated.exit_code == 7
    await cluster.delete("stays")
    await cluster.delete("ends")
    assert await cluster.settled() == NOTHING


async def end_of(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    fd = os.pidfd_open(pid)
    loop.add_reader(fd, ended.set)
    await ended.wait()
    loop.remove_reader(fd)
    os.close(fd)


async def test_a_new_engine_removes_what_nobody_knows(cluster: Cluster) -> None:
    await cluster.run("orphan", {"command": ["sleep", "1000"]})
    await cluster.until("orphan", running)
    await cluster.stop_kubelet()
    await cluster.client.delete(Pod, "orphan", "default", grace_period=0)
    await cluster.restart_kubelet(stopped=True)
    assert await cluster.settled() == NOTHING


async def test_of_a_restarted_container_only_the_last_is_kept(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubelet.node.crashes = Backoff(0.0, 0.0)
    (tmp_path / "n").write_text("0")
    count = 'n=$(cat /count/n); echo $((n+1)) > /count/n; echo "life $n"; [ $n -ge 4 ]'
    await cluster.run(
        "many",
        {
            "command": ["sh", "-c", count],
            "volumeMounts": [{"name": "count", "mountPath": "/count"}],
        },
        restartPolicy="OnFailure",
        volumes=[{"name": "count", "hostPath": {"path": str(tmp_path)}}],
    )
    pod = await cluster.until("many", lambda p: p.status.phase == "Succeeded")
    assert main(pod).restart_count == 4
    assert await cluster.log("many") == "life 4"
    assert await cluster.log("many", previous=True) == "life 3"
    node, uid = cluster.paths.node("n1"), pod.metadata.uid
    assert {p.name for p in node.logs.glob(f"*_{uid}/main/*")} == {"3.log", "4.log"}
    assert {p.name for p in (node.pods / uid / "containers/main").iterdir()} == {
        "4",
        "4.plan",
        "4.words",
    }
    await cluster.delete("many")


async def test_a_defect_delays_a_pod_and_does_not_lose_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = decision.due

    def defective(*arguments):
        monkeypatch.setattr(decision, "due", real)
        raise ZeroDivisionError

    monkeypatch.setattr(kubelet, "AFTER_DEFECT_S", 0.0)
    monkeypatch.setattr(decision, "due", defective)
    await cluster.run("p", {"command": ["sleep", "1000"]})
    pod = await cluster.until("p", running)
    assert main(pod).restart_count == 0
    await cluster.delete("p", grace=0)


async def test_a_pod_that_does_not_fit_fails(cluster: Cluster) -> None:
    big = {"resources": {"requests": {"cpu": "1500m"}}, "command": ["sleep", "1000"]}
    await cluster.run("first", big)
    await cluster.until("first", running)
    await cluster.run("second", big)
    pod = await cluster.until("second", lambda p: p.status.phase == "Failed")
    assert pod.status.reason == "OutOfcpu"
    assert pod.status.message == (
        "Pod was rejected: Node didn't have enough resource: cpu,"
        " requested: 1500, used: 1500, capacity: 2000"
    )
    await cluster.delete("second")
    await cluster.delete("first", grace=0)


async def test_another_image_restarts_a_container(cluster: Cluster) -> None:
    cluster.add_image("other:1")
    await cluster.run("web", {"command": ["sh", "-c", OBEDIENT]}, restartPolicy="Never")
    await cluster.until("web", running)
    assert await anext(cluster.follow("web")) == b"up"  # it hears signals from then on
    patch = {"spec": {"containers": [{"name": "main", "image": "other:1"}]}}
    await cluster.strategic_patch("web", patch)
    pod = await cluster.until("web", lambda p: main(p).restart_count == 1 and running(p))
    assert main(pod).image == "other:1"
    assert "Killing" in await cluster.events("web")
    await cluster.delete("web", grace=0)


def _ready(pod: Pod) -> bool:
    return condition(pod, "Ready") == "True"


async def test_what_others_wrote_while_the_node_was_silent_is_put_right(cluster: Cluster) -> None:
    await cluster.run("steady", {"command": ["sleep", "600"]})
    pod = await cluster.until("steady", _ready)
    lost = [
        {**codec.to_dict(c), "status": "False"} if c.type == "Ready" else codec.to_dict(c)
        for c in pod.status.conditions
    ]
    patch = {"status": {"conditions": lost}}
    written = await cluster.client.patch(Pod, "steady", "default", patch, subresource="status")
    assert not _ready(written)
    revision = int(written.metadata.resource_version)
    await cluster.until(
        "steady", lambda p: _ready(p) and int(p.metadata.resource_version) > revision
    )


async def test_other_resources_while_it_runs(cluster: Cluster) -> None:
    """In place, or with a new life where the container wants that; a limit below what is in use
    waits."""

    def sized(**limits: str) -> dict[str, object]:
        resources = {"limits": limits, "requests": limits}
        return {"spec": {"containers": [{"name": "main", "resources": resources}]}}

    async def resize(**limits: str) -> None:
        await cluster.client.raw(
            "PATCH",
            "/api/v1/namespaces/default/pods/p/resize",
            body=codec.encode(sized(**limits)),
            content_type="application/strategic-merge-patch+json",
        )

    def in_force(name: str, value: str):
        def holds(pod: Pod) -> bool:
            status = main(pod)
            return bool(status and status.resources and status.resources.limits[name] == value)

        return holds

    def memory() -> int | None:
        node = cluster.kubelet.node
        (cgroup,) = (
            node.pod_cgroup(pod.metadata.uid) + b"/" + name
            for name in cluster.hierarchy.children(node.pod_cgroup(pod.metadata.uid))
        )
        return cluster.hierarchy.sample(cgroup).memory_limit

    hog = "x = bytearray(24 << 20); print('up', flush=True); import time; time.sleep(1000)"
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    limits = {"cpu": "100m", "memory": "64Mi"}
    await cluster.run(
        "p",
        {
            "command": ["python3", "-c", hog],
            "resources": {"limits": limits},
            "resizePolicy": policy,
        },
        terminationGracePeriodSeconds=0,
    )
    pod = await cluster.until("p", in_force("memory", "64Mi"))
    assert await anext(cluster.follow("p")) == b"up"
    life = main(pod).container_id
    await resize(cpu="100m", memory="128Mi")
    pod = await cluster.until("p", in_force("memory", "128Mi"))
    assert memory() == 128 << 20
    assert main(pod).container_id == life
    assert main(pod).allocated_resources == {"cpu": "100m", "memory": "128Mi"}
    await cluster.restart_kubelet()  # knows what is in force
    await resize(cpu="100m", memory="16Mi")
    async with asyncio.timeout(60):
        said: list[str] = []
        while not any("below current usage" in text for text in said):
            await asyncio.sleep(0.01)
            said = await cluster.messages("p")
    assert memory() == 128 << 20
    await resize(cpu="200m", memory="128Mi")
    pod = await cluster.until("p", in_force("cpu", "200m"))
    assert main(pod).container_id != life
    assert main(pod).restart_count == 1
