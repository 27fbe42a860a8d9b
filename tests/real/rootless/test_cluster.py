"""A cluster of an ordinary user does what one of root's does, and says what it cannot."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.launch import running
from tests.real.rootless.people import Person

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  {pod}
  containers:
    - name: main
      image: podarium/host
      command: {command}
      {container}
"""


def pod(name: str, *command: str, pod: str = "", container: str = "") -> str:
    return POD.format(name=name, command=json.dumps(command), pod=pod, container=container)


def apply(owner: Person, manifest: str) -> None:
    owner.podarium("apply", "-f", "-", text=manifest)


def until(owner: Person, name: str, wanted: str) -> str:
    """Wait until the pod as JSON holds the pattern."""
    deadline = time.monotonic() + 60
    while not re.search(wanted, found := owner.podarium("get", "pod", name, "-o", "json")):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def events(owner: Person, about: str) -> str:
    told = json.loads(owner.does("kubectl", "get", "events", "-A", "-o", "json"))
    return "\n".join(
        f"{e['reason']}: {e['message']}"
        for e in told["items"]
        if e["involvedObject"]["name"] == about
    )


def test_a_container_is_root_of_the_ids_that_its_owner_has(owner: Person) -> None:
    told = owner.podarium(
        "run", "podarium/host", "--", "sh", "-c", "id -u; cat /proc/self/uid_map; ls -l /dev/null"
    )
    first, *map_, device = told.splitlines()
    assert first == "0"
    assert [line.split() for line in map_] == [
        ["0", str(owner.uid), "1"],
        *([["1", str(owner.subordinate), "65536"]] if owner.ids > 1 else []),
    ]
    assert device.startswith("crw-rw-rw-")
    assert "1, 3" in device


def test_kubectl_comes_by_the_machines_own_loopback(owner: Person) -> None:
    apply(owner, pod("k", "sh", "-c", "echo hello; exec sleep 1000"))
    owner.does("kubectl", "wait", "--for=condition=Ready", "pod/k", "--timeout=60s")
    assert owner.does("kubectl", "logs", "k") == "hello\n"
    assert owner.does("kubectl", "exec", "k", "--", "hostname") == "k\n"
    assert owner.podarium("exec", "k", "--", "id", "-u") == "0\n"
    assert owner.podarium("logs", "k") == "hello\n"
    # /proc is added up where no cgroup counts.
    deadline = time.monotonic() + 60
    while not (told := top(owner)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert re.search(r"^k +\d+m +\d+Mi", told, re.MULTILINE)
    owner.podarium("delete", "pod", "k")


def top(owner: Person) -> str:
    words = owner.command("kubectl", "top", "pod", "k")
    return subprocess.run(words, env=owner.env, capture_output=True, text=True).stdout


def test_a_memory_limit_is_kept_and_that_others_are_not_is_said(owner: Person) -> None:
    eat = (
        "import time\nheld = []\n"
        "while True:\n    held.append(bytearray(b'x') * (8 << 20)); time.sleep(.05)"
    )
    limit = "resources: {limits: {memory: 64Mi}}"
    apply(owner, pod("eats", "python", "-c", eat, container=limit))
    until(owner, "eats", '"reason": "OOMKilled"')
    owner.podarium("delete", "pod", "eats")
    assert "LimitsNotKept: No cgroups of this user can limit cpu, memory, pids" in events(
        owner, "node-1"
    )


def test_a_user_that_there_is_not_is_refused_by_its_field(owner: Person) -> None:
    asked = "securityContext: {runAsUser: 1000}"
    apply(owner, pod("other", "sh", "-c", "id -u; exec sleep 1000", container=asked))
    if owner.ids > 1:
        until(owner, "other", '"phase": "Running"')
        assert owner.podarium("logs", "other") == "1000\n"
    else:
        told = until(owner, "other", '"CreateContainerConfigError"')
        assert "runAsUser: uid 1000 does not exist here: without root only 0 exists" in told
        assert "--add-subuids" in told
    owner.podarium("delete", "pod", "other")


def test_files_of_others_in_an_image(owner: Person) -> None:
    """They keep their owners where those exist, and are one's own where not."""
    made = "FROM podarium/host\nCOPY --chown=77:88 f /f\n"
    context = owner.home / "context"
    context.mkdir()
    (context / "Containerfile").write_text(made)
    (context / "f").write_text("theirs\n")
    owner.does("podarium", "build", "-t", "theirs", str(context))
    told = owner.podarium("run", "theirs", "--", "stat", "-c", "%u:%g", "/f")
    assert told == ("77:88\n" if owner.ids > 1 else "0:0\n")
    assert "theirs" in owner.does("podarium", "images")
    owner.does("podarium", "rmi", "theirs")


@contextmanager
def server(address: str) -> Iterator[int]:
    """Says hello to whoever connects; gives its port."""
    with socket.create_server((address, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def address(owner: Person) -> Iterator[str]:
    """Of the machine, but none that the way out takes for its own."""
    link, address = f"pdm{owner.uid}", f"198.18.{owner.uid % 200}.7"
    subprocess.run(["ip", "link", "add", link, "type", "bridge"], check=True)
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", link], check=True)
    subprocess.run(["ip", "link", "set", link, "up"], check=True)
    yield address
    subprocess.run(["ip", "link", "del", link], check=True)


def test_the_way_out_leads_out_but_not_to_the_machines_loopback(
    owner: Person, address: str
) -> None:
    dial = (
        "import socket, sys\n"
        "for host in sys.argv[2:]:\n"
        "    try: print(socket.create_connection((host, int(sys.argv[1])), 3).recv(9).decode())\n"
        "    except OSError: print('no')\n"
    )
    route = subprocess.run(["ip", "-j", "route"], capture_output=True, text=True, check=True)
    gateways = [r["gateway"] for r in json.loads(route.stdout) if r["dst"] == "default"]
    with server(address) as port:
        told = owner.podarium(
            "run", "podarium/host", "--", "python", "-c", dial, str(port), address
        )
    assert told == "hello\n"
    with server("127.0.0.1") as port:
        hosts = [*gateways, "10.0.2.2", "10.64.0.1"]
        told = owner.podarium("run", "podarium/host", "--", "python", "-c", dial, str(port), *hosts)
    assert set(told.split()) == {"no"}


def test_containers_outlive_the_engine(owner: Person) -> None:
    apply(owner, pod("stays", "sleep", "1000"))
    before = json.loads(until(owner, "stays", '"phase": "Running"'))
    engine = running(owner.paths)
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while running(owner.paths) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    owner.podarium("up")
    after = json.loads(until(owner, "stays", '"phase": "Running"'))
    statuses = [p["status"]["containerStatuses"][0]["containerID"] for p in (before, after)]
    assert statuses[0] == statuses[1]
    assert owner.podarium("exec", "stays", "--", "hostname") == "stays\n"
    owner.podarium("delete", "pod", "stays")


def test_containers_outlive_the_keeper(owner: Person) -> None:
    apply(owner, pod("spared", "sh", "-c", "while ! test -e /go; do sleep 0.1; done; exit 3"))
    until(owner, "spared", r'"running"')
    (pid_file,) = owner.paths.run.glob("node-*.pid")
    keeper = int(pid_file.read_text().split()[0])
    os.kill(keeper, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while "KeeperAdopted: " not in (told := events(owner, "node-1")):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    assert "nothing is lost" in told
    found = json.loads(owner.podarium("get", "pod", "spared", "-o", "json"))
    assert found["status"]["containerStatuses"][0]["restartCount"] == 0
    owner.podarium("exec", "spared", "--", "touch", "/go")
    until(owner, "spared", r'"exitCode": ?3')
    owner.podarium("delete", "pod", "spared")


def test_the_doctor_tries_what_a_cluster_would(owner: Person) -> None:
    told = json.loads(owner.does("podarium", "doctor", "--json"))
    assert told["runs"]
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert "unknown" not in states.values()
    assert states["a user namespace"] == "ok"
    assert states["nf_tables, masquerade"] == "ok"
    assert states["subordinate ids"] == ("ok" if owner.ids > 1 else "degraded")
    assert states["delegated to this user"] == "degraded"
