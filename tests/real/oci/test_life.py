"""Containers from create to delete, as a caller sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from engine.linux.process import pid_alive, start_time
from tests.real.oci.conftest import OCI, Oci, until


def test_create_start_delete(oci: Oci) -> None:
    output = oci.create("a", "sh", "-c", "echo hello; sleep 100")
    state = oci.state("a")
    assert (state["status"], state["bundle"]) == ("created", str(oci.home / "a"))
    assert output.read_text() == ""
    assert oci.refused("delete", "a").endswith("it must be stopped first, or use --force\n")
    oci.ok("start", "a")
    until(lambda: output.read_text() == "hello\n")
    assert oci.state("a")["status"] == "running"
    assert "only a created one can be started" in oci.refused("start", "a")
    oci.ok("kill", "a", "KILL")
    oci.ended("a")
    assert "not running" in oci.refused("kill", "a", "TERM")
    oci.ok("delete", "a")
    assert "does not exist" in oci.refused("state", "a")
    assert "does not exist" in oci.refused("delete", "a")
    oci.ok("delete", "--force", "a")


def test_a_created_container_is_deleted_by_force(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    pid = oci.state("a")["pid"]
    oci.ok("delete", "--force", "a")
    assert not os.path.exists(f"/proc/{pid}/ns/mnt")


def test_run_gives_the_exit_status_and_leaves_nothing(oci: Oci) -> None:
    assert oci.run("sh", "-c", "echo out; exit 7", code=7) == "out\n"
    assert oci.run("sh", "-c", "kill -9 $$; echo no", code=0) == "no\n"


def test_a_program_that_is_not_there_is_told_by_create(oci: Oci, tmp_path: Path) -> None:
    log = tmp_path / "log"
    bundle = oci.bundle("a", "no-such")
    words = ("--log", str(log), "--log-format", "json", "create", "-b", str(bundle), "a")
    assert "find no-such: executable file not found in $PATH" in oci.refused(*words)
    told = json.loads(log.read_text())
    assert told["level"] == "error"
    assert told["msg"].startswith("find no-such")


def test_an_exec_that_fails_is_told_by_start(oci: Oci) -> None:
    bundle = oci.bundle("a", "/tmp/broken")
    script = bundle / "rootfs" / "tmp" / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with open(os.devnull, "w") as nothing:
        oci.ok("create", "-b", str(bundle), "a", capture_output=False, stdout=nothing)
    said = oci.refused("start", "a")
    assert "exec /tmp/broken" in said
    assert "interpreter or dynamic loader" in said


def test_what_fails_in_the_child_names_step_and_object(oci: Oci) -> None:
    mount = {"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}
    bundle = oci.bundle("a", "true", mounts=[*oci.spec["mounts"], mount])
    said = oci.refused("run", "-b", str(bundle), "a")
    assert "bind /no/such on /x: No such file or directory" in said


def test_a_name_is_taken_once(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    assert "exists already" in oci.refused("create", "-b", str(oci.home / "a"), "a")
    assert oci.state("a")["status"] == "created"


def test_a_cgroup_that_is_in_use_is_not_taken(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    bundle = oci.bundle("b", "true")
    assert "has processes already" in oci.refused("run", "-b", str(bundle), "b")
    assert oci.state("a")["status"] == "created"


def test_pause_resume_and_update(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    oci.ok("pause", "a")
    assert oci.state("a")["status"] == "paused"
    assert "is paused" in oci.refused("exec", "a", "true")
    assert "is paused" in oci.refused("pause", "a")
    oci.ok("resume", "a")
    assert "is running" in oci.refused("resume", "a")
    memory = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        memory = "cat /sys/fs/cgroup/memory.max"
    oci.ok("update", "--memory", "64m", "a")
    assert oci.ok("exec", "a", "sh", "-c", memory) == f"{64 << 20}\n"
    resources = oci.home / "resources.json"
    resources.write_text(json.dumps({"memory": {"limit": 128 << 20}}))
    oci.ok("update", "--resources", str(resources), "a")
    assert oci.ok("exec", "a", "sh", "-c", memory) == f"{128 << 20}\n"
    oci.ok("pause", "a")
    oci.ok("delete", "--force", "a")


def test_what_is_told_of_containers(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    pid = oci.state("a")["pid"]
    assert oci.ok("list", "-q") == "a\n"
    (row,) = json.loads(oci.ok("list", "-f", "json"))
    assert (row["id"], row["pid"], row["status"]) == ("a", pid, "running")
    assert json.loads(oci.ok("ps", "-f", "json", "a")) == [pid]
    assert "sleep 100" in oci.ok("ps", "a")
    event = json.loads(oci.ok("events", "--stats", "a"))
    assert event["data"]["pids"]["current"] == 1
    assert event["data"]["memory"]["usage"]["usage"] > 0
    assert json.loads(oci.ok("features"))["linux"]["cgroup"]["v2"]


def test_exec(oci: Oci) -> None:
    oci.create("a", "sleep", "100", process__cwd="/tmp")
    oci.ok("start", "a")
    script = "id -u; pwd; echo $A; readlink /proc/self/ns/pid; grep -c . /proc/self/cgroup"
    said = oci.ok("exec", "-u", "7:8", "-e", "A=b", "a", "sh", "-c", script).splitlines()
    namespace = os.readlink(f"/proc/{oci.state('a')['pid']}/ns/pid")
    assert said[:4] == ["7", "/tmp", "b", namespace]
    status = "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"
    assert oci.ok("exec", "a", "sh", "-c", status) == oci.ok(
        "exec", "a", "sh", "-c", status.replace("self", "1")
    )
    assert oci.call("exec", "a", "sh", "-c", "exit 9").returncode == 9
    assert "executable file not found" in oci.refused("exec", "a", "no-such")
    assert oci.ok("exec", "a", "cat", stdin=None, input="typed") == "typed"


def test_exec_detached_with_a_process_file(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    process = {**oci.spec["process"], "args": ["sleep", "50"], "user": {"uid": 5, "gid": 6}}
    file, pid_file = oci.home / "process.json", oci.home / "pid"
    file.write_text(json.dumps(process))
    words = ("exec", "--detach", "--pid-file", str(pid_file), "-p", str(file), "a")
    oci.ok(*words, capture_output=False, stdout=subprocess.DEVNULL)
    pid = int(pid_file.read_text())
    assert os.stat(f"/proc/{pid}").st_uid == 5
    assert json.loads(oci.ok("ps", "-f", "json", "a")) == sorted([pid, oci.state("a")["pid"]])
    os.kill(pid, signal.SIGKILL)


def test_kill_all_without_a_pid_namespace(oci: Oci) -> None:
    namespaces = [n for n in oci.spec["linux"]["namespaces"] if n["type"] != "pid"]
    output = oci.create("a", "sh", "-c", "sleep 100 & echo $!; wait", linux__namespaces=namespaces)
    oci.ok("start", "a")
    until(lambda: output.read_text().endswith("\n"))
    child = int(output.read_text())
    began = start_time(child)
    oci.ok("kill", "a", "KILL")
    oci.ended("a")
    oci.ok("delete", "a")
    assert not pid_alive(child, began)


def test_a_container_in_the_namespaces_of_another(oci: Oci) -> None:
    oci.create("a", "sleep", "100")
    oci.ok("start", "a")
    pid = oci.state("a")["pid"]
    files = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    namespaces = [{"type": "mount"}]
    namespaces += [{"type": k, "path": f"/proc/{pid}/ns/{f}"} for k, f in files.items()]
    script = (
        "for n in pid net ipc uts; do readlink /proc/self/ns/$n; done;"
        " tr '\\0' ' ' < /proc/1/cmdline"
    )
    said = oci.run(
        "sh",
        "-c",
        script,
        linux__namespaces=namespaces,
        linux__cgroupsPath=f"/{oci.home.name}-b",
        hostname="",
    ).splitlines()
    assert said[:4] == [os.readlink(f"/proc/{pid}/ns/{f}") for f in files.values()]
    assert said[4] == "sleep 100 "


def test_hooks_at_every_point(oci: Oci) -> None:
    log = oci.home / "hooks"
    log.touch()
    hook = oci.home / "hook"
    hook.write_text(f'#!/bin/sh\necho $1 $(cat | grep -o \'"status": *"[a-z]*"\') >> {log}\n')
    hook.chmod(0o755)
    outside = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    hooks = {
        point: [{"path": str(hook), "args": ["hook", point], "env": ["PATH=/bin:/usr/bin"]}]
        for point in outside
    }
    inside = ["sh", "-c", "cat > /tmp/told"]
    hooks["startContainer"] = [{"path": "/bin/sh", "args": inside, "env": ["PATH=/bin"]}]
    output = oci.create("a", "sh", "-c", "cat /tmp/told; sleep 100", hooks=hooks)
    assert [line.split()[0] for line in log.read_text().splitlines()] == list(outside[:3])
    oci.ok("start", "a")
    until(lambda: "}" in output.read_text())
    assert json.loads(output.read_text())["id"] == "a"
    assert log.read_text().splitlines()[-1].startswith('poststart "status": "running"')
    oci.ok("delete", "--force", "a")
    assert log.read_text().splitlines()[-1].startswith('poststop "status": "stopped"')


def test_a_hook_that_fails_or_hangs_ends_the_creation(oci: Oci) -> None:
    failing = {"createRuntime": [{"path": "/bin/false"}]}
    bundle = oci.bundle("a", "true", hooks=failing)
    said = oci.refused("run", "-b", str(bundle), "a")
    assert "createRuntime /bin/false: hook ended with 1" in said
    hanging = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}
    bundle = oci.bundle("b", "true", hooks=hanging)
    assert "hook was still running after 1 s" in oci.refused("run", "-b", str(bundle), "b")
    missing = {"createContainer": [{"path": "/no/such/hook"}]}
    bundle = oci.bundle("c", "true", hooks=missing)
    assert "/no/such/hook: No such file" in oci.refused("run", "-b", str(bundle), "c")


def test_signals_reach_what_runs_in_the_foreground(oci: Oci) -> None:
    script = "trap 'echo got; exit 5' TERM; echo ready; while true; do sleep 0.01; done"
    bundle = oci.bundle("a", "sh", "-c", script)
    command = [OCI, "--root", str(oci.root), "run", "-b", str(bundle), "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "got\n"
        assert process.wait() == 5


def test_preserved_descriptors_reach_the_program_and_no_others(oci: Oci) -> None:
    bundle = oci.bundle("a", "sh", "-c", "cat /proc/self/fd/3; ls /proc/self/fd")
    file = oci.home / "given"
    file.write_text("given\n")
    command = f"exec 3<{file} 4<{file} 9<{file}; exec {OCI} --root {oci.root} run --preserve-fds 2"
    ran = subprocess.run(
        ["bash", "-c", f"{command} -b {bundle} a"], capture_output=True, text=True, check=True
    )
    # The last one is ls's own, of the directory.
    assert ran.stdout.split() == ["given", "0", "1", "2", "3", "4", "5"]
