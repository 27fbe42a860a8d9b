"""One suite that every hierarchy passes: this machine's own, and each of its trees alone."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from engine.runtime.cgroup import mounts, tree
from engine.runtime.cgroup.api import UNLIMITED, Hierarchy, Resources, detect
from engine.runtime.cgroup.v1 import USED, V1
from engine.runtime.cgroup.v2 import V2

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

NEEDED = {b"cpu", b"memory", b"pids"}


def machine() -> tuple[dict[bytes, bytes], bytes | None]:
    v1, v2 = mounts.parse(tree.read(b"/proc/self/mountinfo"), b"/sys/fs/cgroup")
    return {name: root for name, root in v1.items() if name in USED}, v2


def hierarchies() -> dict[str, Hierarchy]:
    """The machine's own, and each of the trees that it is made of."""
    found: dict[str, Hierarchy] = {}
    roots, v2 = machine()
    if roots:
        found["v1"] = V1(roots)
    if v2:
        found["v2"] = V2(v2)
    if roots or v2:
        own = detect()
        found[own.name] = own
    return found


HIERARCHIES = hierarchies()


@dataclass
class Lab:
    """A cgroup of our own with a leaf, and the processes we put there."""

    hierarchy: Hierarchy
    top: bytes = field(default_factory=lambda: b"podarium-test-" + uuid.uuid4().hex[:8].encode())
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def leaf(self) -> bytes:
        return self.top + b"/node/pod/box"

    def start(self, code: str = "", *, forks: int = 0) -> subprocess.Popen[str]:
        """A process that is in the leaf before it runs `code`; it ends when it is killed."""
        script = f"""
import os, signal, sys, time
sys.path.insert(0, {os.getcwd()!r})
from engine.runtime.cgroup import mounts, tree
from engine.runtime.cgroup.api import detect
from engine.runtime.cgroup.v1 import V1
from engine.runtime.cgroup.v2 import V2
v1, v2 = mounts.parse(tree.read(b"/proc/self/mountinfo"), b"/sys/fs/cgroup")
roots = {{name: root for name, root in v1.items() if name in {set(self.hierarchy.controllers)!r}}}
name = {self.hierarchy.name!r}
hierarchy = V1(roots) if name == "v1" else V2(v2) if name == "v2" else detect()
hierarchy.join({self.leaf!r})
for _ in range({forks}):
    if os.fork() == 0:
        break
def spend(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
print("ready", flush=True)
{code}
while True:
    signal.pause()
"""
        command = [sys.executable, "-I", "-S", "-c", script]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.children.append(child)
        for _ in range(forks + 1):
            line = child.stdout.readline()
            assert line == "ready\n", line + child.stdout.read()
        return child

    def end(self, child: subprocess.Popen[str]) -> int:
        """How a process of ours ended, once it and all that share its output have."""
        child.stdout.read()
        return child.wait()


@pytest.fixture(params=sorted(HIERARCHIES))
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with opened(HIERARCHIES[request.param]) as lab:
        yield lab


@contextmanager
def opened(hierarchy: Hierarchy) -> Iterator[Lab]:
    lab = Lab(hierarchy)
    try:
        lab.hierarchy.create(lab.leaf)
        yield lab
    finally:
        lab.hierarchy.kill(lab.top)
        for child in lab.children:
            child.stdout.close()
            child.wait()
        lab.hierarchy.remove(lab.top)
        assert not any(
            os.path.exists(directory) for directory in lab.hierarchy.directories(lab.top)
        )


@pytest.fixture
def limited(lab: Lab) -> Lab:
    if not lab.hierarchy.controllers >= NEEDED:
        pytest.skip("this tree has no controllers here")
    return lab


def test_create_is_idempotent_and_makes_ancestors(lab: Lab) -> None:
    lab.hierarchy.create(lab.leaf)
    assert all(os.path.isdir(directory) for directory in lab.hierarchy.directories(lab.leaf))
    assert lab.hierarchy.exists(lab.top)
    assert lab.hierarchy.children(lab.top) == [b"node"]
    assert lab.hierarchy.children(lab.leaf) == []


def test_a_process_joins(lab: Lab) -> None:
    child = lab.start()
    assert lab.hierarchy.procs(lab.leaf) == [child.pid]
    assert lab.hierarchy.procs(lab.top) == [child.pid]
    with open(f"/proc/{child.pid}/cgroup", "rb") as file:
        joined = [line.rstrip().endswith(lab.leaf) for line in file]
    assert sum(joined) >= len(lab.hierarchy.directories(lab.leaf))


def test_a_process_is_born_inside(lab: Lab) -> None:
    fd = lab.hierarchy.directory_fd(lab.leaf)
    if fd is None:
        assert lab.hierarchy.name == "v1"
        return
    os.close(fd)
    code = f"""
import json, os, sys
sys.path.insert(0, {os.getcwd()!r})
from engine.linux.namespace import clone3
fd = os.open({os.fsdecode(lab.hierarchy.directories(lab.leaf)[-1])!r}, os.O_RDONLY)
pid, pidfd = clone3(0, cgroup=fd)
if pid == 0:
    os._exit(0 if open("/proc/self/cgroup", "rb").read().rstrip().endswith({lab.leaf!r}) else 1)
print(json.dumps(os.waitid(os.P_PIDFD, pidfd, os.WEXITED).si_status))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert json.loads(done.stdout) == 0


def test_kill_ends_the_whole_subtree(lab: Lab) -> None:
    child = lab.start(forks=3)
    assert len(lab.hierarchy.procs(lab.leaf)) == 4
    lab.hierarchy.kill(lab.top)
    assert lab.end(child) == -signal.SIGKILL
    await_empty(lab)


def test_kill_reaches_what_is_frozen(lab: Lab) -> None:
    child = lab.start(forks=1)
    lab.hierarchy.freeze(lab.leaf, True)
    await_frozen(lab, True)
    lab.hierarchy.kill(lab.leaf)
    assert lab.end(child) == -signal.SIGKILL


@pytest.mark.skipif("v1" not in HIERARCHIES, reason="no v1 here")
def test_kill_needs_no_freezer() -> None:
    """A process that forks meanwhile is found in a later pass."""
    roots, _ = machine()
    with opened(V1({name: root for name, root in roots.items() if name != b"freezer"})) as lab:
        child = lab.start(forks=5)
        lab.hierarchy.kill(lab.leaf)
        assert lab.end(child) == -signal.SIGKILL
        await_empty(lab)


def test_kill_outruns_a_fork_bomb(lab: Lab) -> None:
    bomb = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
    if lab.hierarchy.controllers >= NEEDED:
        lab.hierarchy.limit(lab.leaf, Resources(pids_limit=20))
        child = lab.start(bomb)
    else:
        child = lab.start(bomb.replace("while True:\n    try:", "for _ in range(4):\n    try:"))
    lab.hierarchy.kill(lab.leaf)
    assert lab.end(child) == -signal.SIGKILL
    await_empty(lab)


def test_kill_and_remove_of_nothing(lab: Lab) -> None:
    nothing = lab.top + b"/nothing"
    lab.hierarchy.kill(nothing)
    lab.hierarchy.remove(nothing)
    assert lab.hierarchy.procs(nothing) == []
    assert lab.hierarchy.children(nothing) == []
    assert not lab.hierarchy.exists(nothing)


def test_a_frozen_process_does_not_run(lab: Lab) -> None:
    child = lab.start("while True: pass")
    lab.hierarchy.freeze(lab.leaf, True)
    await_frozen(lab, True)
    stopped = on_cpu_ns(child.pid)
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        assert on_cpu_ns(child.pid) == stopped
    lab.hierarchy.freeze(lab.leaf, False)
    await_frozen(lab, False)
    while on_cpu_ns(child.pid) == stopped:
        os.sched_yield()


def test_remove_refuses_what_is_busy_and_says_with_whom(lab: Lab) -> None:
    child = lab.start()
    with pytest.raises(OSError, match=f"with {child.pid} in it") as raised:
        lab.hierarchy.remove(lab.top, timeout=0)
    assert raised.value.errno == errno.EBUSY
    assert lab.hierarchy.procs(lab.leaf) == [child.pid]


def test_remove_touches_nothing_else(lab: Lab) -> None:
    beside = lab.top + b"/other"
    lab.hierarchy.create(beside)
    lab.hierarchy.remove(lab.top + b"/node")
    assert lab.hierarchy.children(lab.top) == [b"other"]


def test_limits_are_in_the_kernel_s_files(limited: Lab) -> None:
    node = Resources(cpu_quota_us=200_000, memory_limit=1 << 30, pids_limit=100)
    limited.hierarchy.limit(limited.top + b"/node", node)
    box = Resources(
        cpu_shares=512, cpu_quota_us=50_000, memory_limit=64 << 20, pids_limit=UNLIMITED
    )
    limited.hierarchy.limit(limited.leaf, box)
    for file, value in limited.hierarchy.writes(limited.leaf, box):
        assert tree.read(file).strip() == value
    assert limited.hierarchy.sample(limited.leaf).memory_limit == 64 << 20


def test_a_memory_limit_goes_up_and_down(limited: Lab) -> None:
    for limit in (64 << 20, 256 << 20, 32 << 20, UNLIMITED, 16 << 20):
        limited.hierarchy.limit(limited.leaf, Resources(memory_limit=limit))
        seen = limited.hierarchy.sample(limited.leaf).memory_limit
        assert seen == (None if limit == UNLIMITED else limit)


def test_more_processes_than_allowed_are_refused(limited: Lab) -> None:
    limited.hierarchy.limit(limited.leaf, Resources(pids_limit=1))
    child = limited.start(
        """
try:
    os.fork()
except BlockingIOError:
    print("refused", flush=True)
"""
    )
    assert child.stdout.readline() == "refused\n"
    assert limited.hierarchy.sample(limited.leaf).pids == 1


def test_the_oom_killer_is_counted(limited: Lab) -> None:
    limited.hierarchy.limit(limited.leaf, Resources(memory_limit=24 << 20))
    child = limited.start("hog = [bytearray(1 << 20) for _ in range(200)]")
    assert limited.end(child) == -signal.SIGKILL
    assert limited.hierarchy.sample(limited.leaf).oom_kills == 1


def test_a_sample_counts_what_a_process_uses(limited: Lab) -> None:
    with limited.hierarchy.sampler(limited.leaf) as sampler:
        before = sampler.sample()
        limited.start(
            """
block = bytearray(os.urandom(1)) * (32 << 20)
spend(0.2)
print("used", flush=True)
"""
        ).stdout.readline()
        after = sampler.sample()
    assert before.pids == 0
    assert after.pids == 1
    assert after.cpu_ns - before.cpu_ns >= 150_000_000
    assert after.time_ns > before.time_ns
    assert after.anon >= 32 << 20
    assert after.memory >= after.anon
    assert after.memory_limit is None
    assert 0 < after.working_set <= after.memory


def test_a_quota_throttles(limited: Lab) -> None:
    limited.hierarchy.limit(limited.leaf, Resources(cpu_quota_us=2_000, cpu_period_us=20_000))
    child = limited.start(
        """
spend(0.05)
print("used", flush=True)
"""
    )
    assert child.stdout.readline() == "used\n"
    sample = limited.hierarchy.sample(limited.leaf)
    assert sample.throttled_periods > 0
    assert sample.periods >= sample.throttled_periods
    assert sample.throttled_ns > 0


def test_waiting_for_a_cpu_is_told(lab: Lab) -> None:
    pressure = lab.hierarchy.pressure(lab.leaf)
    if pressure is None:
        assert lab.hierarchy.name == "v1" or not os.path.exists("/proc/pressure/cpu")
        return
    cpu = min(os.sched_getaffinity(0))
    with pressure:
        assert pressure.sample().cpu == 0
        lab.start(f"os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass", forks=2)
        while not 0 < pressure.sample().cpu <= 1:
            os.sched_yield()
        assert 0 <= pressure.sample().io <= 1


def test_a_sampler_outlives_its_cgroup_but_reads_no_more(limited: Lab) -> None:
    with limited.hierarchy.sampler(limited.leaf) as sampler:
        limited.hierarchy.remove(limited.leaf)
        with pytest.raises(OSError, match="No such device"):
            sampler.sample()


def test_only_granted_devices_open(lab: Lab) -> None:
    """The last limits count, not those before: also of a living cgroup, and also where a v2 tree
    has no controllers."""
    if not lab.hierarchy.controls_devices:
        pytest.skip("devices cannot be controlled here")
    lab.hierarchy.limit(lab.leaf, Resources(devices=("c 1:3 rwm",)))
    child = lab.start(
        """
def tried():
    for name in ("null", "zero"):
        try:
            open("/dev/" + name).close()
            print(name, "opened", flush=True)
        except PermissionError:
            print(name, "refused", flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
tried()
signal.sigwait({signal.SIGUSR1})
tried()
"""
    )
    lines = [child.stdout.readline() for _ in range(2)]
    assert lines == ["null opened\n", "zero refused\n"]
    lab.hierarchy.limit(lab.leaf, Resources(devices=("a *:* rwm", "!c 1:3 rwm")))
    child.send_signal(signal.SIGUSR1)
    lines = [child.stdout.readline() for _ in range(2)]
    assert lines == ["null refused\n", "zero opened\n"]


def test_processes_are_only_in_leaves_of_v2(limited: Lab) -> None:
    child = limited.start()
    below = limited.leaf + b"/below"
    if limited.hierarchy.name == "v2":
        with pytest.raises(OSError, match="cannot hand its controllers down") as raised:
            limited.hierarchy.create(below)
        assert raised.value.errno == errno.EBUSY
    else:
        limited.hierarchy.create(below)
    assert limited.hierarchy.procs(limited.leaf) == [child.pid]


def test_a_limit_that_the_kernel_refuses_is_named(limited: Lab) -> None:
    with pytest.raises(OSError, match=r"box/none/pids.max <- 5") as raised:
        limited.hierarchy.limit(limited.leaf + b"/none", Resources(pids_limit=5))
    assert raised.value.errno == errno.ENOENT


def on_cpu_ns(pid: int) -> int:
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0])


def await_frozen(lab: Lab, frozen: bool) -> None:
    """v1 has no event for this, so look until it is so."""
    while lab.hierarchy.is_frozen(lab.leaf) is not frozen:
        os.sched_yield()


def await_empty(lab: Lab) -> None:
    """A process closes its files, which is what end() sees, before it leaves its cgroup."""
    while lab.hierarchy.procs(lab.top):
        os.sched_yield()
