"""podman on our runtime: what its users do, told apart from the same on crun where that is here.

Storage, state and cgroups are of the test's own, so that nobody's podman is touched.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.oci.conftest import MINUTE, OCI

pytestmark = [
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman"),
    # One storage for all.
    pytest.mark.xdist_group("podman"),
]

IMAGE = "localhost/t:1"
V2 = not os.path.isdir("/sys/fs/cgroup/memory")
# Beside the machine's own: limits that every machine can give.
LIMITS = ("--ulimit", "nofile=1024:2048", "--ulimit", "nproc=1000:1000", "--network", "none")
CRUN = shutil.which("crun")
# crun 1.8 gives its standard streams to the container's user, the machine's /dev/null too: so it
# reads from another one.
_OWN_NULL = "#!/bin/sh\n[ /proc/self/fd/0 -ef /dev/null ] && exec <{null}\n"
# And it refuses hybrid cgroups, so it is shown v1's alone.
_V1_ALONE = (
    "exec unshare --mount --propagation slave sh -c "
    '\'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun "$@"\' sh "$@"\n'
)
_AS_IT_IS = 'exec crun "$@"\n'


@dataclass
class Podman:
    home: Path
    config: Path
    reference: str | None

    def call(
        self, *words: str, runtime: str = OCI, typed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = self.command(*words, runtime=runtime)
        source = {"stdin": subprocess.DEVNULL} if typed is None else {"input": typed}
        return subprocess.run(
            command,
            text=True,
            capture_output=True,
            timeout=2 * MINUTE,
            check=False,
            # Where conmon leaves a file when memory runs out.
            cwd=self.home,
            env=self.environment,
            **source,  # type: ignore[call-overload]
        )

    def command(self, *words: str, runtime: str = OCI) -> list[str]:
        command = ["podman", "--root", f"{self.home}/r", "--runroot", f"{self.home}/x"]
        command += ["--tmpdir", f"{self.home}/t", "--cgroup-manager", "cgroupfs"]
        return [*command, "--events-backend", "file", "--runtime", runtime, *words]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": str(self.config)}

    def ok(self, *words: str, typed: str | None = None) -> str:
        ran = self.call(*words, typed=typed)
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        said: str = ran.stdout
        return said

    def both(self, *words: str) -> tuple[int, str]:
        """Exit status and output on ours, which are those on the reference."""
        ran = self.call("run", "--rm", *LIMITS, *words)
        if self.reference is not None:
            theirs = self.call("run", "--rm", *LIMITS, *words, runtime=self.reference)
            told = (theirs.returncode, theirs.stdout)
            assert told == (ran.returncode, ran.stdout), f"{theirs.stderr}{ran.stderr}"
        return ran.returncode, ran.stdout


@pytest.fixture(scope="module")
def podman(layer: Path) -> Iterator[Podman]:
    home = Path(tempfile.mkdtemp(prefix="pdp"))
    config = home / "containers.conf"
    # Else podman reads our errors from stderr alone.
    config.write_text('[engine]\nruntime_supports_json = ["podarium-oci", "crun"]\n')
    crun, null = home / "crun", home / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    crun.write_text(_OWN_NULL.format(null=null) + (_AS_IT_IS if V2 else _V1_ALONE))
    crun.chmod(0o755)
    owner = os.stat("/dev/null").st_uid
    made = Podman(home, config, CRUN and str(crun))
    archive = home / "image.tar"
    subprocess.run(["tar", "-C", str(layer), "-cf", str(archive), "."], check=True)
    made.ok("import", str(archive), IMAGE)
    try:
        yield made
    finally:
        made.call("rm", "--all", "--force", "--time", "0")
        made.call("rmi", "--all", "--force")
        made.call("system", "reset", "--force")
        subprocess.run(["umount", "-R", f"{home}/r/overlay"], capture_output=True, check=False)
        shutil.rmtree(home)
    assert os.stat("/dev/null").st_uid == owner, "the machine's own went to a container's user"


@pytest.mark.parametrize(
    "words",
    [
        (IMAGE, "sh", "-c", "id; pwd; env | grep -v HOSTNAME; cat /proc/self/status | grep -E Cap"),
        (IMAGE, "sh", "-c", "stat -c '%a %u %t:%T %n' /dev/[!c]*"),
        ("--read-only", IMAGE, "sh", "-c", "touch /x; touch /tmp/y && echo fine"),
        ("--tmpfs", "/etc", IMAGE, "sh", "-c", "ls /etc; grep ' /etc ' /proc/mounts"),
        ("--tmpfs", "/new:size=1m", IMAGE, "stat", "-c", "%a", "/new"),
        ("--user", "7:8", "--group-add", "9", IMAGE, "sh", "-c", "id; echo x > /dev/stdout"),
        ("--cap-drop", "all", "--cap-add", "net_raw", IMAGE, "grep", "Cap", "/proc/self/status"),
        ("--privileged", IMAGE, "grep", "CapEff", "/proc/self/status"),
        ("--security-opt", "no-new-privileges", IMAGE, "grep", "NoNew", "/proc/self/status"),
        ("--security-opt", "seccomp=unconfined", IMAGE, "grep", "Seccomp:", "/proc/self/status"),
        ("--umask", "0077", IMAGE, "sh", "-c", "umask"),
        ("--workdir", "/etc", IMAGE, "ls"),
        ("--hostname", "web", IMAGE, "cat", "/proc/sys/kernel/hostname"),
        ("--sysctl", "kernel.msgmax=1234", IMAGE, "cat", "/proc/sys/kernel/msgmax"),
        ("--oom-score-adj", "500", IMAGE, "cat", "/proc/self/oom_score_adj"),
        ("--pid", "host", IMAGE, "readlink", "/proc/self/ns/pid"),
        ("--ipc", "host", "--uts", "host", IMAGE, "readlink", "/proc/self/ns/ipc"),
        ("--shm-size", "1m", IMAGE, "grep", "/dev/shm", "/proc/mounts"),
        ("-t", IMAGE, "sh", "-c", "tty; stat -c %t:%T /dev/console"),
        ("--init", IMAGE, "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 4"),
        (
            "--uidmap",
            "0:100000:500",
            IMAGE,
            "sh",
            "-c",
            "cat /proc/self/uid_map; id; stat -c %u /",
        ),
        ("--uidmap", "0:1000:500", "--user", "7", IMAGE, "sh", "-c", "id -u; touch /tmp/x && ls /"),
        ("--cgroupns", "host", IMAGE, "sh", "-c", "grep -c /sys/fs/cgroup /proc/mounts | wc -l"),
        ("--device", "/dev/kmsg:/dev/mine:r", IMAGE, "stat", "-c", "%t:%T %a", "/dev/mine"),
        (
            "--security-opt",
            "mask=/etc/passwd:/tmp",
            IMAGE,
            "sh",
            "-c",
            "wc -c /etc/passwd; ls /tmp",
        ),
        ("--security-opt", "unmask=ALL", IMAGE, "sh", "-c", "head -c1 /proc/timer_list | wc -c"),
        ("--mount", "type=tmpfs,dst=/m,tmpfs-size=1m,ro", IMAGE, "grep", " /m ", "/proc/mounts"),
        ("--personality", "LINUX32", IMAGE, "cat", "/proc/self/personality"),
        ("--cpu-shares", "512", "--memory", "64m", "--memory-swap", "96m", IMAGE, "true"),
        ("--read-only", "--tmpfs", "/run:mode=700", IMAGE, "stat", "-c", "%a", "/run", "/tmp"),
        ("--security-opt", "label=type:no", "--annotation", "a=b", IMAGE, "true"),
        (IMAGE, "sh", "-c", "exit 7"),
        (IMAGE, "no-such"),
        (IMAGE, "/etc/passwd"),
    ],
    ids=lambda words: " ".join(words)[:50],
)
def test_the_same_as_on_crun(podman: Podman, words: tuple[str, ...]) -> None:
    podman.both(*words)


def test_limits(podman: Podman) -> None:
    if V2:
        script = "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"
        expected = f"{64 << 20}\n50000 100000\n50\n"
    else:
        files = ("memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "pids/pids.max")
        script = f"cd /sys/fs/cgroup; cat {' '.join(files)}"
        expected = f"{64 << 20}\n50000\n50\n"
    limits = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--cpuset-cpus", "0")
    code, said = podman.both(
        *limits, IMAGE, "sh", "-c", f"{script}; grep -o '_list.*' /proc/1/status"
    )
    assert code == 0
    assert said.startswith(expected)
    assert said.splitlines()[3].split() == ["_list:", "0"]


def test_volumes(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("shown\n")
    script = "cat /v/file; echo new > /v/new; cat /v/new"
    assert podman.both("-v", f"{tmp_path}:/v", IMAGE, "sh", "-c", script) == (0, "shown\nnew\n")
    code, _ = podman.both("-v", f"{tmp_path}:/v:ro", IMAGE, "touch", "/v/x")
    assert code == 1
    code, said = podman.both("-v", f"{tmp_path}:/v:O", IMAGE, "sh", "-c", "touch /v/x; ls /v")
    assert said.split() == ["file", "new", "x"]
    assert sorted(os.listdir(tmp_path)) == ["file", "new"]


def test_an_error_of_ours_reaches_the_user(podman: Podman) -> None:
    ran = podman.call("run", "--rm", *LIMITS, IMAGE, "no-such")
    assert ran.returncode == 127
    assert "find no-such: executable file not found in $PATH" in ran.stderr
    ran = podman.call("run", "--rm", *LIMITS, IMAGE, "/etc/passwd")
    assert ran.returncode == 126


SCRIPT = "trap 'echo term; exit 3' TERM; echo started; while true; do sleep 0.05; done"


def test_a_container_through_its_life(podman: Podman) -> None:
    podman.ok("run", "-d", "--name", "a", *LIMITS, "--memory", "64m", IMAGE, "sh", "-c", SCRIPT)
    assert podman.ok("exec", "a", "sh", "-c", "echo in; id -u") == "in\n0\n"
    assert podman.ok(
        "exec", "-u", "7", "-w", "/tmp", "-e", "A=b", "a", "sh", "-c", "pwd; echo $A"
    ) == ("/tmp\nb\n")
    assert podman.ok("exec", "-i", "a", "cat", typed="typed") == "typed"
    assert "/dev/pts/" in podman.ok("exec", "-t", "a", "tty")
    assert podman.call("exec", "a", "sh", "-c", "exit 9").returncode == 9
    assert podman.call("exec", "a", "no-such").returncode == 127
    podman.ok("pause", "a")
    assert podman.ok("inspect", "--format", "{{.State.Status}}", "a") == "paused\n"
    podman.ok("unpause", "a")
    podman.ok("update", "--memory", "128m", "a")
    limit = f"cat {'memory.max' if V2 else 'memory/memory.limit_in_bytes'}"
    assert podman.ok("exec", "-w", "/sys/fs/cgroup", "a", *limit.split()) == f"{128 << 20}\n"
    found = json.loads(podman.ok("stats", "--no-stream", "--format", "json", "a"))
    assert int(found[0]["pids"]) >= 1
    assert "sleep" in podman.ok("top", "a", "args")
    podman.ok("stop", "--time", "10", "a")
    state = json.loads(podman.ok("inspect", "a"))[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 3)
    assert podman.ok("logs", "a") == "started\nterm\n"
    podman.ok("start", "a")
    podman.ok("restart", "--time", "0", "a")
    podman.ok("rm", "--force", "--time", "0", "a")


def test_too_much_memory_ends_it(podman: Podman) -> None:
    script = "x=$(head -c 50000000 /dev/zero | tr '\\0' a); echo no"
    limits = ("--memory", "20m", "--memory-swap", "20m")
    assert podman.both(*limits, IMAGE, "sh", "-c", script) == (137, "")


def test_containers_that_share_namespaces(podman: Podman) -> None:
    podman.ok("run", "-d", "--name", "b", *LIMITS, IMAGE, "sleep", "1000")
    shared = ("--pid", "container:b", "--ipc", "container:b", "--network", "container:b")
    limits = LIMITS[:4]
    said = podman.ok("run", "--rm", *limits, *shared, IMAGE, "cat", "/proc/1/cmdline")
    assert said == "sleep\x001000\x00"
    podman.ok("rm", "--force", "--time", "0", "b")


def test_created_then_started_and_attached(podman: Podman) -> None:
    podman.ok("create", "--name", "c", *LIMITS, IMAGE, "cat", "/etc/passwd")
    podman.ok("init", "c")
    assert podman.ok("inspect", "--format", "{{.State.Status}}", "c") == "initialized\n"
    assert podman.ok("start", "--attach", "c").startswith("root:")
    podman.ok("rm", "c")


def test_typed_on_a_terminal(podman: Podman) -> None:
    """Answered, and ended with the status of what was typed, on ours as on crun."""

    def session(runtime: str) -> tuple[int, bytes]:
        words = podman.command("run", "--rm", "-it", *LIMITS, IMAGE, "sh", runtime=runtime)
        pid, master = pty.fork()
        if pid == 0:
            os.execve(shutil.which("podman") or "", words, podman.environment)
        said = b""
        os.write(master, b"stty size; echo an''swer; exit 6\n")
        while True:
            try:
                said += os.read(master, 4096)
            except OSError:
                break
        os.close(master)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), said

    code, said = session(OCI)
    assert code == 6
    assert b"answer" in said
    if podman.reference is not None:
        assert session(podman.reference)[0] == code


def test_a_volume_of_other_ids(podman: Podman, tmp_path: Path) -> None:
    volume = f"{tmp_path}:/v:idmap"
    ran = podman.call(
        *("run", "--rm", "--uidmap", "0:100000:500", *LIMITS, "-v", volume, IMAGE),
        *("sh", "-c", "touch /v/new; stat -c %u /v/new"),
    )
    assert (ran.returncode, ran.stdout) == (0, "0\n"), ran.stderr
    assert (tmp_path / "new").stat().st_uid == 0
