"""Exec, attach, cp, port-forward and top: the real kubectl, and our own command, on real pods."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.client.http import HttpTransport
from engine.home import ClusterPaths
from tests.real.cluster.conftest import BIN, Shell
from tests.real.cluster.machine import processes
from tests.real.cluster.seat import seat
from tui.model.forwards import Forwards

pytestmark = pytest.mark.xdist_group("streams")

SERVER = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, bind='127.0.0.1', port=8000)"
PODS = f"""
apiVersion: v1
kind: Pod
metadata: {{name: box}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {{name: main, image: podarium/host, command: [sleep, "100000"]}}
    - {{name: web, image: podarium/host, workingDir: /tmp, command: [python3, -c, "{SERVER}"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: echo}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {{name: main, image: podarium/host, stdin: true, command: [cat]}}
"""


@pytest.fixture(scope="module")
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(ClusterPaths.of(home, "talk"))
    shell.podarium("up", "--nodes", "1")
    manifest = home / "pods.yaml"
    manifest.write_text(PODS)
    shell.podarium("apply", "-f", str(manifest))
    shell.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/box", "pod/echo")
    yield shell
    shell.podarium("down", "--purge")


def ran(shell: Shell, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program, *rest = command
    if program == "podarium":
        verb, *rest = rest
        rest = [verb, "--cluster", shell.paths.name, *rest]
    words = [str(BIN / program), *rest]
    return subprocess.run(words, env=shell.env, input=stdin, capture_output=True, timeout=120)


@contextmanager
def started(
    shell: Shell, *command: str, stderr: int = subprocess.STDOUT
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on; killed at the end."""
    process = subprocess.Popen(
        [str(BIN / command[0]), *command[1:]],
        env=shell.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sleepers(shell: Shell, seconds: str) -> list[int]:
    """Pids, seen from the machine, of `sleep SECONDS` in the cluster's containers."""
    wanted = f"sleep\0{seconds}\0".encode()
    found = []
    for pid in processes(shell.paths):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes() == wanted:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


BOTH = pytest.mark.parametrize("program", ["kubectl", "podarium"])


@BOTH
def test_outputs_and_exit_code(shell: Shell, program: str) -> None:
    said = ran(shell, program, "exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (said.returncode, said.stdout) == (42, b"out\n")
    assert b"\nerr\n" in said.stderr  # after the container that was chosen


@BOTH
def test_the_command_runs_as_the_container_does(shell: Shell, program: str) -> None:
    script = "pwd; echo $HOME; hostname; cat /proc/1/comm; id -u"
    said = ran(shell, program, "exec", "box", "-c", "web", "--", "sh", "-c", script)
    assert said.stdout == b"/tmp\n/root\nbox\npython3\n0\n"


@BOTH
def test_ten_megabytes_there_and_back(shell: Shell, program: str) -> None:
    data = os.urandom(10 << 20)
    said = ran(shell, program, "exec", "-i", "box", "--", "cat", stdin=data)
    assert said.returncode == 0, said.stderr
    assert hashlib.sha256(said.stdout).digest() == hashlib.sha256(data).digest()
    counted = ran(shell, program, "exec", "-i", "box", "--", "sha256sum", stdin=data)
    assert counted.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@BOTH
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nobody", "--", "true"), 1, b'pods "nobody" not found'),
        (("box", "-c", "none", "--", "true"), 1, b"container none is not valid for pod box"),
        (("box", "--", "no-such"), 127, b"not found in PATH"),
        (("box", "--", "/etc/passwd"), 126, b"ermission denied"),
    ],
)
def test_what_cannot_be_executed(
    shell: Shell, program: str, words: tuple[str, ...], code: int, says: bytes
) -> None:
    said = ran(shell, program, "exec", *words)
    assert (said.returncode, says in said.stderr) == (code, True), said.stderr


def test_a_container_that_has_ended(shell: Shell) -> None:
    shell.podarium("run", "-d", "--name", "over", "podarium/host", "--", "true")
    shell.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/over")
    assert b"completed pod" in ran(shell, "kubectl", "exec", "over", "--", "ls").stderr
    said = ran(shell, "podarium", "exec", "over", "--", "ls")
    assert (said.returncode, said.stderr) == (
        1,
        b'podarium: NotFound: container not found ("main")\n',
    )


@BOTH
def test_a_terminal_is_as_large_as_ours(shell: Shell, program: str) -> None:
    words = [program, "exec", "-it", "box", "--", "sh"]
    if program == "podarium":
        words[2:2] = ["--cluster", shell.paths.name]
    with seat(*words, env=shell.env, columns=101, rows=31) as person:
        person.until("# ")
        # What is typed is shown once: by the terminal over there, not by this one.
        person.type("stty size; tty; echo $TERM\n")
        person.until(r"^stty size; tty; echo \$TERM\n31 101\n/dev/pts/\d+\nxterm\n# ")
        person.resize(77, 22)
        person.type("until [ \"$(stty size)\" = '22 77' ]; do sleep 0.05; done; echo resized\n")
        person.until(r"\nresized\n# ")
        # The whole terminal is theirs: Ctrl-C ends what runs there, not what runs here.
        person.type("sleep 4321\n")
        person.until("sleep 4321")
        until(lambda: bool(sleepers(shell, "4321")))
        person.type("\x03")
        person.until("# ")
        person.type("exit 9\n")
        person.end()
        assert person.code == 9
    assert sleepers(shell, "4321") == []


def test_the_terminal_is_given_back(shell: Shell) -> None:
    inner = f"podarium exec --cluster {shell.paths.name} -it box -- sh -c 'echo here; exec cat'"
    with seat(
        "sh", "-c", f"stty -g; {inner}; echo code $?; stty -g; read x", env=shell.env
    ) as person:
        before = person.until(r"[0-9a-f:]{20,}\n")
        person.until("here")
        assert person.mode()[3] & 0o10 == 0  # ECHO is theirs now
        person.type("\x04")
        person.until("code 0\n")
        assert person.until(r"[0-9a-f:]{20,}\n") == before


@BOTH
@pytest.mark.parametrize("options", [["-i"], ["-it"]])
def test_a_killed_client_leaves_no_process(shell: Shell, program: str, options: list[str]) -> None:
    words = [program, "exec", *options, "box", "--", "sh", "-c", "sleep 5432 & sleep 5433"]
    if program == "podarium":
        words[2:2] = ["--cluster", shell.paths.name]
    with seat(*words, env=shell.env) as person:
        until(lambda: bool(sleepers(shell, "5432") and sleepers(shell, "5433")))
        os.kill(person.pid, signal.SIGKILL)
        person.wait()
    until(lambda: not sleepers(shell, "5432") and not sleepers(shell, "5433"))


def test_a_killed_client_whose_input_is_stuck(shell: Shell) -> None:
    with started(shell, "kubectl", "exec", "-i", "box", "--", "sleep", "6543") as client:
        assert client.stdin is not None
        os.set_blocking(client.stdin.fileno(), False)
        while select.select([], [client.stdin], [], 0.5)[1]:
            try:
                os.write(client.stdin.fileno(), bytes(65536))
            except BlockingIOError:
                break
        until(lambda: bool(sleepers(shell, "6543")))
    until(lambda: not sleepers(shell, "6543"))


def test_copying_both_ways(shell: Shell, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "data").write_bytes(os.urandom(3 << 20))
    (tree / "small").write_text("words\n")
    shell.kubectl("cp", str(tree), "box:/tmp/there")
    said = ran(shell, "kubectl", "exec", "box", "--", "cat", "/tmp/there/small")
    assert said.stdout == b"words\n"
    shell.kubectl("cp", "box:/tmp/there", str(tmp_path / "back"))
    for path in ("small", "deep/data"):
        assert (tmp_path / "back" / path).read_bytes() == (tree / path).read_bytes()


def test_attached_to_a_container_with_input(shell: Shell) -> None:
    quiet = subprocess.DEVNULL  # hints for people
    with (
        started(shell, "kubectl", "attach", "-i", "echo", stderr=quiet) as first,
        started(shell, "kubectl", "attach", "echo", stderr=quiet) as second,
    ):
        assert first.stdin is not None
        assert first.stdout is not None
        assert second.stdout is not None
        # The first line may come before the second client has joined.
        both = False
        for number in range(1000):
            first.stdin.write(b"line %d\n" % number)
            first.stdin.flush()
            until_line(first.stdout, b"line %d\n" % number)
            if both := bool(select.select([second.stdout], [], [], 0.05)[0]):
                break
        assert both
        assert b"line" in until_line(second.stdout, b"line ")
    assert "line 0" in shell.kubectl("logs", "echo")
    assert shell.kubectl("get", "pod", "echo", "-o", "jsonpath={.status.phase}") == "Running"
    said = ran(shell, "kubectl", "attach", "-i", "box", "-c", "main")
    assert b"takes no input" in said.stderr


def until_line(stream: object, words: bytes) -> bytes:
    line: bytes = b""
    while words not in line:
        line = stream.readline()  # type: ignore[attr-defined]
        assert line, f"ended without {words!r}"
    return line


def test_run_with_input_and_with_a_terminal(shell: Shell) -> None:
    words = ("--image=podarium/host", "--image-pull-policy=Never", "--restart=Never", "--rm")
    script = "read x; echo got $x; exit 4"
    said = ran(
        shell, "kubectl", "run", "piped", *words, "-i", "--", "sh", "-c", script, stdin=b"words\n"
    )
    assert (said.returncode, b"got words\n" in said.stdout) == (4, True), said
    command = ["kubectl", "run", "sat", *words, "-it", "--", "sh"]
    with seat(*command, env=shell.env, columns=90, rows=33) as person:
        person.type("\n")
        person.until("# ")
        person.type("until stty size | grep '33 90'; do sleep 0.05; done; tty; exit 5\n")
        person.until(r"\n33 90\n/dev/pts/0\n")
        person.end()
        assert person.code == 5
    assert shell.kubectl("get", "pods", "-o", "name").count("/sat") == 0


def test_our_run_with_input_and_with_a_terminal(shell: Shell) -> None:
    """Without -t by a pipe, with it by a person who leaves, comes back, and ends it."""
    script = "echo first; read x; echo got $x >&2; exit 4"
    words = ("podarium", "run", "-i", "podarium/host", "--", "sh", "-c", script)
    said = ran(shell, *words, stdin=b"words\n")
    assert (said.returncode, said.stdout, said.stderr) == (4, b"first\n", b"got words\n"), said
    said = ran(shell, "podarium", "run", "-i", "podarium/host", "--", "wc", "-c", stdin=bytes(9999))
    assert (said.returncode, said.stdout) == (0, b"9999\n"), said
    assert b"not a terminal" in ran(shell, "podarium", "run", "-it", "podarium/host").stderr
    cluster = ("--cluster", shell.paths.name)
    command = ["podarium", "run", *cluster, "--name", "seated", "-it", "podarium/host", "--", "sh"]
    with seat(*command, env=shell.env, columns=90, rows=33) as person:
        person.until("# ")  # though it was written before anybody had joined
        person.type("until stty size | grep '33 90'; do sleep 0.05; done; tty; x=kept\n")
        person.until(r"\n33 90\n/dev/pts/0\n# ")
        person.type("\x10")  # alone, it is the program's own
        person.type("echo on\n")
        person.until(r"on\n")
        person.type("\x10\x11")
        assert "podarium attach seated" in person.end()
        assert person.code == 0
    with seat("podarium", "attach", *cluster, "seated", env=shell.env, columns=70) as person:
        person.until("# ")  # the line that it is in
        person.type("echo $x; exit 5\n")
        person.until("kept")
        person.end()
    status = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
    until(lambda: shell.kubectl("get", "pod", "seated", "-o", status) == "5")
    shell.podarium("delete", "pod", "seated")
    shell.podarium("run", "--keep", "--name", "kept", "podarium/host", "--", "true")
    assert "kept" in shell.podarium("get", "pods", "-o", "name")


def test_what_a_container_writes_does_not_steer_the_terminal(shell: Shell) -> None:
    """Unless the container was given it."""
    evil = r"printf '\033]0;owned\007\033[31mred\033[0m\033[2J\303\251 .'"
    words = ["podarium", "exec", "--cluster", shell.paths.name]
    for options in ([], ["-i"]):
        with seat(*words, *options, "box", "--", "sh", "-c", evil, env=shell.env) as person:
            said = person.end()
            assert "\x1b]" not in said
            assert "\x1b[2J" not in said
            assert "\x1b[31mred" in said
            assert "é ." in said
    with seat(*words, "-t", "box", "--", "sh", "-c", evil, env=shell.env) as person:
        assert "\x1b]0;owned" in person.end()


def test_looking_into_a_pod_that_runs(shell: Shell) -> None:
    """kubectl debug: a container of one's own beside the others, among the processes of one."""
    image = "--image=podarium/host"
    pull = "--image-pull-policy=IfNotPresent"
    words = ["kubectl", "debug", "-it", "box", image, pull, "--target=web", "-c", "look"]
    with seat(*words, "--profile=general", "--", "sh", env=shell.env, columns=80) as person:
        person.type("\n")
        person.until("# ")
        person.type("tr '\\0' ' ' </proc/1/cmdline; echo; ls /proc/1/root/tmp | wc -l\n")
        person.until("http.server")
        person.type("exit 6\n")
        person.end()
    state = "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}"
    until(lambda: shell.kubectl("get", "pod", "box", "-o", state) == "6")
    assert "http.server" in shell.kubectl("logs", "box", "-c", "look")
    words = ["debug", "box", image, pull, "-c", "alone", "--profile=general", "--"]
    shell.kubectl(*words, "sh", "-c", "cat /proc/1/comm; hostname; sleep 100000")
    ready = "jsonpath={.status.ephemeralContainerStatuses[?(@.name=='alone')].state.running}"
    until(lambda: "startedAt" in shell.kubectl("get", "pod", "box", "-o", ready))
    until(lambda: shell.kubectl("logs", "box", "-c", "alone") == "sh\nbox\n")
    wait = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    assert shell.kubectl("get", "pod", "box", "-o", wait) == "True"
    said = ran(shell, "kubectl", "debug", "box", image, "--target=none", "-c", "x", "--", "sh")
    assert b"targetContainerName" in said.stderr
    said = ran(shell, "kubectl", "debug", "box", image, "-c", "web", "--", "sh")
    assert said.returncode != 0
    assert "look" in shell.podarium("plan", "box/look")


def test_what_a_start_did(shell: Shell) -> None:
    said = shell.podarium("plan", "box")
    assert "pod box, container main:" in said
    assert "pod box, container web:" in said
    assert "pivot" in said
    assert re.search(r"\d µs +execute", said) or re.search(r"\d µs .*sleep", said)
    assert "mount" in said
    assert "container web" not in shell.podarium("plan", "box/main")
    path = "/podarium/v1/namespaces/default/pods/box/containers/main/trace"
    trace = json.loads(shell.kubectl("get", "--raw", path))
    steps = trace["steps"]
    assert [step["op"] for step in steps][-1] == "exec"
    assert {"cgroup", "namespaces", "mounts"} <= {step["phase"] for step in steps}
    assert all(step["text"] for step in steps)
    assert sum(step.get("microseconds", 0) for step in steps) == trace["microseconds"] > 0
    assert 'pods "nobody" not found' in shell.podarium("plan", "nobody", code=1)
    assert "say which" in shell.podarium("plan", code=2)


@pytest.mark.parametrize(
    "command",
    [["kubectl", "port-forward", "box", ":8000"], ["podarium", "port-forward", "box", ":8000"]],
)
def test_a_page_through_a_forwarded_port(shell: Shell, command: list[str]) -> None:
    """The server listens on the pod's loopback only."""
    data = os.urandom(5 << 20)
    ran(shell, "kubectl", "exec", "-i", "box", "-c", "web", "--", "tee", "/tmp/page", stdin=data)
    if command[0] == "podarium":
        command = [
            *command[:2],
            "--cluster",
            shell.paths.name,
            *command[2:],
            "--address",
            "127.0.0.1",
        ]
    with started(shell, *command) as client:
        line = until_line(client.stdout, b"Forwarding from 127.0.0.1")
        found = re.search(rb":(\d+) -> 8000", line)
        assert found
        url = f"http://127.0.0.1:{found[1].decode()}/page"
        for _ in range(3):
            with urllib.request.urlopen(url, timeout=60) as page:
                assert page.read() == data


def test_a_port_where_nobody_listens(shell: Shell) -> None:
    command = ["podarium", "port-forward", "--cluster", shell.paths.name, "box", ":9"]
    with started(shell, *command, "--address", "127.0.0.1") as client:
        found = re.search(rb":(\d+) ->", until_line(client.stdout, b"Forwarding"))
        assert found
        url = f"http://127.0.0.1:{found[1].decode()}/"
        for _ in range(2):
            with pytest.raises(OSError):
                urllib.request.urlopen(url, timeout=60)
            until_line(client.stdout, b"connection refused")


def test_top(shell: Shell) -> None:
    until(lambda: ran(shell, "kubectl", "top", "pod", "box").returncode == 0)
    rows = shell.kubectl("top", "pods", "--containers").splitlines()
    assert rows[0].split() == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert any(re.match(r"box +web +\d+m +\d+Mi", row) for row in rows)
    heading, row = shell.kubectl("top", "nodes").splitlines()
    assert re.match(r"node-1 +\d+m +\d+% +\d+Mi +\d+%", row), heading


def test_python_clients_find_their_protocol(shell: Shell) -> None:
    """aiohttp offers v4 alone, as older clients do."""
    code = f"""
import asyncio, aiohttp
async def main():
    connector = aiohttp.UnixConnector({str(shell.paths.api_socket)!r})
    async with aiohttp.ClientSession(connector=connector) as session:
        url = "http://x/api/v1/namespaces/default/pods/box/exec?container=main&stdout=1"
        url += "&command=id&command=-u"
        async with session.ws_connect(url, protocols=["v4.channel.k8s.io"]) as end:
            print(end.protocol, [message.data async for message in end])
asyncio.run(main())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("v4.channel.k8s.io [b'\\x010\\n', b'\\x03{")
    assert "Success" in said.stdout


async def test_a_forward_of_the_dashboard_outlives_its_pod(shell: Shell, home: Path) -> None:
    """It says that the pod is gone, and works again when there is one of that name."""
    manifest = home / "late.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: late}\nspec:\n"
        "  terminationGracePeriodSeconds: 0\n  containers:\n"
        f'    - {{name: web, image: podarium/host, command: [python3, -c, "{SERVER}"]}}\n'
    )
    transport = HttpTransport(shell.paths.api_socket)
    forwards = Forwards(transport)
    changed = asyncio.Event()
    forwards.on_change = changed.set

    async def until_state(wanted: str) -> None:
        async with asyncio.timeout(60):
            while made.state != wanted:
                changed.clear()
                await changed.wait()

    async def page() -> int:
        def read() -> int:
            with urllib.request.urlopen(made.url, timeout=60) as answer:
                return int(answer.status)

        # The program listens a moment after its container runs.
        async with asyncio.timeout(60):
            while True:
                try:
                    return await asyncio.to_thread(read)
                except OSError:
                    await asyncio.sleep(0.05)

    async def apply() -> None:
        await asyncio.to_thread(shell.podarium, "apply", "-f", str(manifest))
        await asyncio.to_thread(
            shell.kubectl, "wait", "--for=condition=Ready", "--timeout=60s", "pod/late"
        )

    try:
        await apply()
        made = await forwards.start("default", "late", 0, 8000, uid="of the first")
        assert await page() == 200
        with pytest.raises(OSError, match="in use"):
            await forwards.start("default", "late", made.local, 8000)
        await asyncio.to_thread(shell.kubectl, "delete", "pod", "late", "--now")
        forwards.check({})
        await until_state("lost")
        await apply()
        await until_state("listening")
        assert await page() == 200
        await forwards.stop(made)
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(made.url, timeout=60)
    finally:
        await forwards.close()
        await transport.close()
        shell.kubectl("delete", "pod", "late", "--now", "--ignore-not-found")
