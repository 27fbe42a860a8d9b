"""What a container finds when it looks around, and what it cannot do."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec

from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.spec import Capabilities, Mount, Rlimit, Root, User, default_spec
from tests.real.runtime.conftest import Node, python_spec


async def test_namespaces_and_identity(node: Node) -> None:
    state = await node.start("c", "sleep", "1000")
    inside = await node.runtime.exec(
        "c",
        ["sh", "-c", "cat /proc/sys/kernel/hostname; readlink /proc/1/exe; ls /proc"],
        timeout_s=10,
    )
    hostname, program, *processes = inside.output.decode().split()
    assert hostname == "web-1"
    assert program == "/bin/sleep"
    assert {p for p in processes if p.isdigit()} - {"1"} != {"1"}
    assert "2" not in processes or "1" in processes
    for kind in ("pid", "mnt", "net", "uts", "ipc", "cgroup"):
        theirs = os.readlink(f"/proc/{state.pid}/ns/{kind}")
        assert theirs != os.readlink(f"/proc/self/ns/{kind}"), kind
        keepers = os.readlink(f"/proc/{node.runtime.keeper_pid}/ns/{kind}")
        assert theirs != keepers, kind


async def test_status_shows_the_confinement(node: Node) -> None:
    text = await node.run("c", "cat", "/proc/self/status")
    status = dict(re.findall(r"(\w+):\s*(.*)", text))
    assert status["Pid"] == "1"
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    # Docker's fourteen capabilities without MKNOD.
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0xA00425FB & ~(1 << 27)
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert int(status["SigIgn"], 16) == int(status["SigBlk"], 16) == 0
    assert status["Umask"] == "0022"


async def test_no_descriptor_leaks(node: Node) -> None:
    outside = os.open("/", os.O_RDONLY)
    os.set_inheritable(outside, True)
    try:
        await node.start("c", "sleep", "1000")
        first = await node.runtime.exec("c", ["ls", "/proc/1/fd"], timeout_s=10)
        second = await node.runtime.exec(
            "c", ["sh", "-c", "exec 9</; ls /proc/$$/fd; true"], timeout_s=10
        )
    finally:
        os.close(outside)
    assert first.output.split() == [b"0", b"1", b"2"]
    assert second.output.split() == [b"0", b"1", b"2", b"9"]


async def test_mounts_are_dockers(node: Node) -> None:
    text = await node.run("c", "cat", "/proc/self/mountinfo")
    mounts = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        mounts[before.split()[4]] = (before.split()[5], after.split()[0])
    kinds = {
        "/": "overlay",
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
        "/sys": "sysfs",
    }
    assert {place: mounts[place][1] for place in kinds} == kinds
    assert "nodev" in mounts["/"][0].split(",")
    cgroups = [place for place in mounts if place.startswith("/sys/fs/cgroup")]
    assert cgroups
    for place in ("/sys", "/proc/sys", "/proc/bus", *cgroups):
        assert mounts[place][0].split(",")[0] == "ro", place
    # Nothing of the machine's tree is left, above all not the old root.
    assert not [place for place in mounts if str(node.home) in place]


async def test_what_is_masked_reads_as_nothing(node: Node) -> None:
    script = "cat /proc/keys /proc/timer_list /proc/interrupts; ls /sys/firmware; echo end"
    assert (await node.run("c", "sh", "-c", script)) == "end\n"


async def test_kernel_settings_are_read_only(node: Node) -> None:
    script = "echo 1 > /proc/sys/kernel/panic; touch /sys/x; mkdir /sys/fs/cgroup/x; echo end"
    text = await node.run("c", "sh", "-c", script)
    assert text.count("Read-only file system") == 3
    assert text.endswith("end\n")


async def test_devices(node: Node) -> None:
    text = await node.run(
        "c",
        "sh",
        "-c",
        "head -c 3 /dev/zero | cat; echo x > /dev/null; head -c 8 /dev/urandom > /x; ls /dev",
    )
    names = text.replace("\0", "").split()
    expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert " ".join(names) == expected
    assert (node.home / "c" / "c" / "upper" / "x").stat().st_size == 8


async def test_the_cgroup_as_seen_from_the_machine(node: Node) -> None:
    resources = Resources(memory_limit=64 << 20, pids_limit=17)
    state = await node.start("c", "sleep", "1000", resources=resources)
    hierarchy = detect()
    assert hierarchy.procs(node.cgroup("c")) == [state.pid]
    membership = Path(f"/proc/{state.pid}/cgroup").read_text()
    for controller in hierarchy.controllers:
        line = next(
            x
            for x in membership.splitlines()
            if controller.decode() in x.split(":")[1].split(",") or x.startswith("0::")
        )
        assert line.endswith(node.cgroup("c").decode())
    sample = hierarchy.sample(node.cgroup("c"))
    assert sample.memory_limit == 64 << 20
    assert sample.pids == 1
    inside = await node.runtime.exec("c", ["cat", "/proc/self/cgroup"], timeout_s=10)
    ours = [x for x in inside.output.decode().splitlines() if x.split(":")[1] in ("pids", "")]
    assert ours
    assert all(x.endswith(":/") for x in ours)


async def test_another_user(node: Node) -> None:
    user = User(uid=1000, gid=1001, additional_gids=(1002,), umask=0o077)
    spec = default_spec(
        ("sh", "-c", "id; cat /proc/self/status; echo more > /dev/stdout"), user=user
    )
    text = await node.run("c", spec=spec)
    assert "uid=1000 gid=1001 groups=1001,1002" in text
    status = dict(re.findall(r"(\w+):\s*(.*)", text))
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["Umask"] == "0077"
    assert text.endswith("more\n")


async def test_an_ambient_capability_is_kept_by_another_user(node: Node) -> None:
    spec = default_spec(("cat", "/proc/self/status"), user=User(uid=1000))
    only = ("CAP_NET_RAW",)
    held = Capabilities(
        bounding=only, effective=only, permitted=only, inheritable=only, ambient=only
    )
    process = msgspec.structs.replace(spec.process, capabilities=held)
    status = dict(
        re.findall(
            r"(\w+):\s*(.*)",
            await node.run("c", spec=msgspec.structs.replace(spec, process=process)),
        )
    )
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 1 << 13


async def test_without_no_new_privileges_the_filter_holds_too(node: Node) -> None:
    spec = default_spec(("cat", "/proc/self/status"), user=User(uid=1000))
    process = msgspec.structs.replace(spec.process, no_new_privileges=False)
    status = dict(
        re.findall(
            r"(\w+):\s*(.*)",
            await node.run("c", spec=msgspec.structs.replace(spec, process=process)),
        )
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("0", "2")


async def test_a_read_only_root_with_a_writable_volume(node: Node) -> None:
    volume = node.home / "v"
    volume.mkdir()
    spec = default_spec(("sh", "-c", "touch /x; touch /data/y; touch /etc/z; echo end"))
    mount = Mount(destination="/data", source=str(volume), options=("rbind", "rw"))
    spec = msgspec.structs.replace(spec, root=Root(readonly=True), mounts=(*spec.mounts, mount))
    text = await node.run("c", spec=spec)
    assert text.count("ead-only") == 2
    assert [file.name for file in volume.iterdir()] == ["y"]


async def test_files_and_volumes_are_mounted_where_asked(node: Node) -> None:
    hosts, readonly = node.home / "hosts", node.home / "ro"
    hosts.write_text("127.0.0.1 localhost\n")
    (readonly / "deep").mkdir(parents=True)
    (readonly / "deep" / "key").write_text("secret\n")
    spec = default_spec(
        ("sh", "-c", "cat /etc/hosts /new/place/deep/key /only/key; touch /new/place/x; ls /ram")
    )
    more = (
        Mount(destination="/new/place", source=str(readonly), options=("rbind", "ro")),
        Mount(destination="/only", source=str(readonly), below="deep", options=("rbind", "ro")),
        Mount(destination="/ram", type="tmpfs", options=("size=1m",)),
    )
    spec = msgspec.structs.replace(spec, mounts=spec.mounts + more)
    text = await node.run("c", spec=spec, hosts=hosts)
    assert text.startswith("127.0.0.1 localhost\nsecret\nsecret\n")
    assert text.count("ead-only") == 1
    assert not (readonly / "x").exists()


async def test_the_working_directory_is_made(node: Node) -> None:
    spec = default_spec(("readlink", "/proc/self/cwd"), cwd="/srv/app")
    assert await node.run("c", spec=spec) == "/srv/app\n"


async def test_limits_that_may_not_be_raised_are_told(node: Node) -> None:
    spec = default_spec(("sh", "-c", "ulimit -n; ulimit -Hn"))
    limits = (Rlimit(type="RLIMIT_NOFILE", soft=64, hard=128),)
    process = msgspec.structs.replace(spec.process, rlimits=limits)
    assert await node.run("a", spec=msgspec.structs.replace(spec, process=process)) == "64\n128\n"
    beyond = (Rlimit(type="RLIMIT_NOFILE", soft=1 << 30, hard=1 << 30),)
    process = msgspec.structs.replace(spec.process, rlimits=beyond)
    state = await node.start("b", spec=msgspec.structs.replace(spec, process=process))
    assert len(state.warnings) == 1
    assert state.warnings[0].startswith("RLIMIT_NOFILE: ")
    assert (await node.future("b")).exit_code == 0


async def test_who_the_oom_killer_takes_first(node: Node) -> None:
    spec = default_spec(("cat", "/proc/self/oom_score_adj"))
    process = msgspec.structs.replace(spec.process, oom_score_adj=900)
    assert await node.run("c", spec=msgspec.structs.replace(spec, process=process)) == "900\n"


SYSCALLS = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, call):
    try:
        done = call()
        print(name, "ok" if done != -1 else errno.errorcode[ctypes.get_errno()])
    except OSError as error:
        print(name, errno.errorcode[error.errno])
attempt("unshare", lambda: libc.unshare(0x10000000))
attempt("mount", lambda: libc.mount(b"x", b"/tmp", b"tmpfs", 0, None))
attempt("mknod", lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)))
attempt("alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET).fileno())
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno())
attempt("fork", lambda: os.waitpid(os.posix_spawn("/bin/id", ["id"], {}), 0)[1])
attempt("keyctl", lambda: libc.syscall(250, 0, -3, 0))
attempt("newer", lambda: libc.syscall(3000))
attempt("chroot", lambda: os.chroot("/tmp"))
"""


async def test_system_calls(node: Node) -> None:
    text = await node.run("c", spec=python_spec(SYSCALLS))
    assert [line for line in text.splitlines() if not line.startswith("uid=")] == [
        "unshare EPERM",
        "mount EPERM",
        "mknod EPERM",
        "alg EPERM",
        "raw ok",
        "fork ok",
        "keyctl EPERM",
        "newer ENOSYS",
        "chroot ok",
    ], sys.version
