"""What a container finds, for what its config.json says; told by the container itself."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import socket
import stat
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from engine.runtime.wire import receive_fd
from tests.real.oci.conftest import MINUTE, OCI, PYTHON, Oci


def test_process(oci: Oci) -> None:
    process = oci.spec["process"]
    capabilities = {
        **process["capabilities"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    }
    said = oci.run(
        "sh",
        "-c",
        "id -u; id -G; umask; pwd; ulimit -n; cat /proc/self/oom_score_adj;"
        " grep -E 'CapEff|CapAmb' /proc/self/status; echo > /dev/stdout",
        process__user={"uid": 7, "gid": 8, "additionalGids": [9, 10], "umask": 0o077},
        process__cwd="/new/place",
        process__rlimits=[{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}],
        process__oomScoreAdj=500,
        process__capabilities=capabilities,
    ).split("\n")
    assert said[:6] == ["7", "8 9 10", "0077", "/new/place", "50", "500"]
    assert said[7].split()[1] == "0000000000000001"


def test_readonly_root_names_and_sysctls(oci: Oci) -> None:
    said = oci.run(
        "sh",
        "-c",
        "touch /x 2>&1; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"
        " /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start",
        root__readonly=True,
        hostname="web",
        domainname="example.org",
        linux__sysctl={"kernel.msgmax": "1234", "net.ipv4.ip_unprivileged_port_start": "7"},
    ).splitlines()
    assert "Read-only file system" in said[0]
    assert said[1:] == ["web", "example.org", "1234", "7"]


def test_the_machine_keeps_its_own_sysctls(oci: Oci) -> None:
    namespaces = [n for n in oci.spec["linux"]["namespaces"] if n["type"] != "ipc"]
    bundle = oci.bundle(
        "a", "true", linux__namespaces=namespaces, linux__sysctl={"kernel.msgmax": "1"}
    )
    assert "needs a ipc namespace" in oci.refused("run", "-b", str(bundle), "a")


def test_mounts(oci: Oci, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("shown\n")
    binds = [
        {"destination": "/rw", "source": str(source), "options": ["bind"]},
        {"destination": "/ro", "source": str(source), "options": ["rbind", "ro", "nosuid"]},
        {"destination": "/etc/one", "source": str(source / "file"), "options": ["bind"]},
        {"destination": "/scratch", "type": "tmpfs", "options": ["size=1m", "mode=700", "noexec"]},
        {"destination": "/etc2", "type": "tmpfs", "options": ["tmpcopyup", "ro"]},
    ]
    bundle = oci.bundle(
        "a",
        "sh",
        "-c",
        "echo new > /rw/new; touch /ro/x 2>&1; cat /etc/one; stat -c %a /scratch; cat /etc2/kept;"
        " stat -c '%a %u' /etc2/kept; readlink /etc2/link; touch /etc2/x 2>&1;"
        " grep ' /scratch ' /proc/mounts",
        mounts=[*oci.spec["mounts"], *binds],
    )
    covered = bundle / "rootfs" / "etc2"
    covered.mkdir()
    (covered / "kept").write_text("kept\n")
    (covered / "kept").chmod(0o640)
    os.chown(covered / "kept", 7, 7)
    (covered / "link").symlink_to("kept")
    said = oci.ok("run", "-b", str(bundle), "a").splitlines()
    assert "Read-only file system" in said[0]
    assert said[1:6] == ["shown", "700", "kept", "640 7", "kept"]
    assert "Read-only file system" in said[6]
    assert "noexec" in said[7]
    assert "size=1024k" in said[7]
    assert (source / "new").read_text() == "new\n"


def test_a_recursive_read_only_bind(oci: Oci, tmp_path: Path) -> None:
    source = tmp_path / "source"
    below = source / "below"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    try:
        mounts = [
            {"destination": "/ro", "source": str(source), "options": ["rbind", "ro"]},
            {"destination": "/rro", "source": str(source), "options": ["rbind", "rro"]},
        ]
        script = "touch /ro/below/x && echo one; touch /rro/below/x 2>&1"
        said = oci.run("sh", "-c", script, code=1, mounts=[*oci.spec["mounts"], *mounts])
    finally:
        subprocess.run(["umount", str(below)], check=True)
    assert said.splitlines()[0] == "one"
    assert "Read-only file system" in said.splitlines()[1]


@pytest.mark.parametrize(
    ("word", "fields"), [("rslave", "master:"), ("rshared", "shared:"), ("rprivate", "")]
)
def test_propagation(oci: Oci, tmp_path: Path, word: str, fields: str) -> None:
    """Of a mount that is shared on the machine, and nothing there is unmounted by our leaving."""
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(source)], check=True)
    try:
        subprocess.run(["mount", "--make-shared", str(source)], check=True)
        mount = {"destination": "/m", "source": str(source), "options": ["rbind", word]}
        said = oci.run(
            "sh",
            "-c",
            "grep ' /m ' /proc/self/mountinfo",
            mounts=[*oci.spec["mounts"], mount],
            linux__rootfsPropagation=word,
        )
    finally:
        # Which fails when it was unmounted already.
        subprocess.run(["umount", str(source)], check=True)
    optional = said.split(" - ")[0].split()[6:]
    assert [tag.split(":")[0] + ":" for tag in optional] == ([fields] if fields else [])


def test_devices_and_their_rules(oci: Oci) -> None:
    device = {"path": "/dev/deep/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640}
    deny: dict[str, Any] = {"allow": False, "access": "rwm"}
    allow = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    kmsg = {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}
    said = oci.run(
        "sh",
        "-c",
        "stat -c '%F %t:%T %a' /dev/deep/mine; head -c1 /dev/zero | wc -c;"
        " echo > /dev/kmsg; true; readlink /dev/stdout /dev/ptmx",
        linux__devices=[device, kmsg],
        linux__resources={"devices": [deny, allow]},
    ).splitlines()
    assert said == ["character special file 1:5 640", "1", "/proc/self/fd/1", "pts/ptmx"]


def test_masked_and_readonly_paths(oci: Oci) -> None:
    said = oci.run(
        "sh",
        "-c",
        "cat /etc/passwd | wc -c; ls /tmp | wc -l; touch /sys/x 2>&1; touch /etc/x 2>&1",
        code=1,
        linux__maskedPaths=["/etc/passwd", "/tmp", "/not/there"],
        linux__readonlyPaths=["/etc"],
    ).splitlines()
    assert said[:2] == ["0", "0"]
    assert "Read-only file system" in said[3]


def test_seccomp(oci: Oci) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV},
            {
                "names": ["kill"],
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_GE"}],
            },
        ],
    }
    script = "mkdir /tmp/x 2>&1; kill -0 $$ && echo fine; kill -15 $$ 2>&1"
    for no_new_privileges in (True, False):
        said = oci.run(
            "sh",
            "-c",
            script,
            code=1,
            linux__seccomp=profile,
            process__noNewPrivileges=no_new_privileges,
        ).splitlines()
        assert os.strerror(errno.EXDEV) in said[0]
        assert said[1] == "fine"
        assert os.strerror(errno.EPERM) in said[2]


def test_a_user_namespace(oci: Oci) -> None:
    namespaces = [*oci.spec["linux"]["namespaces"], {"type": "user"}]
    mapping = [{"containerID": 0, "hostID": 100_000, "size": 1000}]
    bundle = oci.bundle(
        "a",
        "sh",
        "-c",
        "cat /proc/self/uid_map; id -u; touch /tmp/mine; echo > /dev/null; ls /dev; sleep 100",
        linux__namespaces=namespaces,
        linux__uidMappings=mapping,
        linux__gidMappings=mapping,
    )
    # Everybody may pass, as podman has it for such containers.
    for folder in (bundle / "rootfs", bundle, *bundle.parents[:-2]):
        folder.chmod(0o755)
    output = oci.home / "out"
    with output.open("w") as file:
        oci.ok("create", "-b", str(bundle), "a", capture_output=False, stdout=file)
    oci.ok("start", "a")
    assert oci.ok("exec", "a", "id", "-u") == "0\n"
    oci.ok("delete", "--force", "a")
    said = output.read_text().split()
    assert said[:4] == ["0", "100000", "1000", "0"]
    assert {"null", "zero", "urandom", "pts"} <= set(said)
    assert (bundle / "rootfs" / "tmp" / "mine").stat().st_uid == 100_000


def test_a_terminal_goes_to_the_console_socket(oci: Oci) -> None:
    address = str(oci.home / "t")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        bundle = oci.bundle(
            "a",
            "sh",
            "-c",
            "tty; stty size; test /dev/console -ef /dev/pts/0 && echo console; sleep 100",
            process__terminal=True,
            process__consoleSize={"height": 30, "width": 90},
        )
        assert "needs a terminal" in oci.refused("create", "-b", str(bundle), "a")
        oci.ok("create", "-b", str(bundle), "--console-socket", address, "a")
        connection, _ = server.accept()
        with connection:
            master = receive_fd(connection)
        oci.ok("start", "a")
        said = b""
        while said.count(b"\n") < 3:
            said += os.read(master, 4096)
        assert said.split() == [b"/dev/pts/0", b"30", b"90", b"console"]
        os.close(master)


def on_a_terminal(*words: str) -> tuple[int, int]:
    """Our command as a person types it, on a terminal of 33 rows and 99 columns: pid, master."""
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("=4H", 33, 99, 0, 0))
        os.execv(OCI, [OCI, *words])
    return pid, master


def read_until(master: int, wanted: bytes) -> None:
    """Raise AssertionError when it ends, or falls silent, before it says that."""
    said = b""
    while wanted not in said:
        assert select.select([master], [], [], MINUTE)[0], said
        try:
            said += os.read(master, 4096)
        except OSError:
            raise AssertionError(said) from None


def test_run_and_exec_on_our_own_terminal(oci: Oci) -> None:
    """Typed here, answered there, with the size that ours has."""
    bundle = oci.bundle("a", "sh", "-c", "stty size; read x; echo got $x", process__terminal=True)
    pid, master = on_a_terminal("--root", str(oci.root), "run", "-b", str(bundle), "a")
    read_until(master, b"33 99")
    other, console = on_a_terminal("--root", str(oci.root), "exec", "-t", "a", "stty", "size")
    read_until(console, b"33 99")
    os.write(master, b"typed\n")
    read_until(master, b"got typed")
    for process, terminal in ((other, console), (pid, master)):
        _, status = os.waitpid(process, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == 0


def test_the_interpreter_cannot_be_overwritten(oci: Oci) -> None:
    """CVE-2019-5736: the image has us execute ourselves, and reopens the file that we are.

    Changed here is only its mode, to what it is: writing would be ETXTBSY while anybody runs it.
    """
    prefix = sys.base_prefix
    places = [prefix] if prefix != "/usr" else ["/usr/lib", os.path.dirname(PYTHON)]
    mounts = [{"destination": p, "source": p, "options": ["rbind", "ro"]} for p in places]
    code = (
        "import os\n"
        "try:\n"
        "    os.chmod('/proc/self/exe', os.stat('/proc/self/exe').st_mode & 0o7777)\n"
        "    print('changed')\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    bundle = oci.bundle(
        "a",
        "/proc/self/exe",
        "-I",
        "-S",
        "-c",
        code,
        process__env=["PATH=/bin", f"PYTHONHOME={prefix}", f"LD_LIBRARY_PATH={prefix}/lib"],
        mounts=[*oci.spec["mounts"], *mounts],
    )
    ran = oci.call("run", "-b", str(bundle), "a")
    assert (ran.stdout, ran.stderr) == (f"{errno.EROFS}\n", "")


@pytest.mark.parametrize("place", ["data", "dev", "proc", "sys"])
def test_a_symlink_at_a_mounts_target_never_leads_out(oci: Oci, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    mount = {"destination": "/data", "type": "tmpfs", "options": ["size=1m"]}
    bundle = oci.bundle("a", "sh", "-c", "ls -d /", mounts=[*oci.spec["mounts"], mount])
    target = bundle / "rootfs" / place
    if target.exists():
        target.rmdir()
    target.symlink_to(outside)
    oci.call("run", "-b", str(bundle), "a")
    assert os.listdir(outside) == []
    assert str(outside) not in Path("/proc/self/mountinfo").read_text()


def test_a_working_directory_is_never_a_leaked_descriptor(oci: Oci) -> None:
    """CVE-2024-21626."""
    for number in range(3, 12):
        bundle = oci.bundle(f"a{number}", "ls", process__cwd=f"/proc/self/fd/{number}")
        assert "workdir" in oci.refused("run", "-b", str(bundle), f"a{number}")


def test_standard_streams_belong_to_the_user(oci: Oci) -> None:
    bundle = oci.bundle(
        "a", "sh", "-c", "echo again > /dev/stdout", process__user={"uid": 7, "gid": 8}
    )
    reader, writer = os.pipe()
    oci.ok("run", "-b", str(bundle), "a", capture_output=False, stdout=writer)
    assert os.fstat(writer).st_uid == 7
    os.close(writer)
    assert os.read(reader, 100) == b"again\n"
    os.close(reader)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.stat("/dev/null").st_uid == 0
