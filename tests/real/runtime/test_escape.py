"""Ways out of a container that have worked on others, each tried."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from engine.runtime.runtime import StartError
from engine.runtime.spec import Mount, default_spec
from tests.real.runtime.conftest import PYTHON, Node, python_spec, until

# CVE-2019-5736: hold /proc/PID/exe of whoever comes in from outside, and write to it once it no
# longer runs. Here a mode is set to what it is: that, too, takes a writable mount, and as root
# nothing else; opening it for writing would meet ETXTBSY while anybody runs Python.
ATTACK = """
import os, stat
ours = os.stat({python!r})
seen = set()
print("waiting", flush=True)
while True:
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or pid in seen or pid == "1":
            continue
        try:
            held = os.open(f"/proc/{{pid}}/exe", os.O_PATH)
        except OSError:
            continue
        if os.path.samestat(os.fstat(held), ours):
            print("EXPOSED", flush=True)
        else:
            seen.add(pid)
            print("saw another", flush=True)
        os.close(held)
"""


async def test_whoever_comes_in_is_not_exposed(node: Node) -> None:
    await node.start("c", spec=python_spec(ATTACK.format(python=PYTHON)))
    await until(lambda: "waiting" in node.log("c").read_text())
    for _ in range(10):
        await node.runtime.exec("c", ["sleep", "0.01"], timeout_s=5)
    await until(lambda: "saw another" in node.log("c").read_text())
    assert "EXPOSED" not in node.log("c").read_text()


async def test_our_interpreter_is_sealed_even_for_one_who_runs_it(node: Node) -> None:
    """A program that is "#!/proc/self/exe" makes the kernel run our own binary in the container."""
    code = """
import os, stat
print(os.readlink("/proc/self/exe"))
mode = stat.S_IMODE(os.stat("/proc/self/exe").st_mode)
try:
    os.chmod("/proc/self/exe", mode)
    print("WRITABLE")
except OSError as error:
    print(error.strerror)
"""
    spec = python_spec(code)
    args = ("/proc/self/exe", *spec.process.args[1:])
    process = msgspec.structs.replace(spec.process, args=args)
    text = await node.run("c", spec=msgspec.structs.replace(spec, process=process))
    assert text == f"{PYTHON}\nRead-only file system\n"


async def test_the_keeper_runs_behind_its_seal(node: Node) -> None:
    keeper = node.runtime.keeper_pid
    mode = stat.S_IMODE(os.stat(PYTHON).st_mode)
    assert os.path.samefile(f"/proc/{keeper}/exe", PYTHON)
    with pytest.raises(OSError, match="Read-only file system"):
        os.chmod(f"/proc/{keeper}/exe", mode)
    # On this machine, and to everybody else, it is what it was.
    os.chmod(PYTHON, mode)
    status = Path(f"/proc/{keeper}/status").read_text()
    assert "Threads:\t1\n" in status


@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev"])
async def test_an_image_whose_kernel_folders_are_symlinks(
    node: Node, tmp_path: Path, place: str
) -> None:
    """CVE-2019-19921 and its kin: what should be masked would be somewhere else."""
    layer = tmp_path / "layer"
    shutil.copytree(node.layer, layer, symlinks=True)
    shutil.rmtree(layer / place[1:])
    (layer / "evil").mkdir()
    (layer / place[1:]).symlink_to("/evil")
    with pytest.raises(StartError, match=f"{place}: .*symbolic links") as caught:
        await node.start("c", "id", lowerdirs=(layer,))
    assert caught.value.step == "place"


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
async def test_a_symlink_in_an_image_to_where_a_mount_would_hide_the_kernel(
    node: Node, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "link").symlink_to("/proc/sys")
    spec = default_spec(("id",))
    mount = Mount(destination="/link", source="/tmp", type=kind)
    spec = msgspec.structs.replace(spec, mounts=(*spec.mounts, mount))
    with pytest.raises(StartError, match="leads into /proc"):
        await node.start("c", spec=spec, lowerdirs=(tmp_path, node.layer))


async def test_symlinks_in_an_image_lead_into_the_image(node: Node, tmp_path: Path) -> None:
    outside = node.home / "outside"
    outside.mkdir()
    layer = tmp_path / "layer"
    (layer / "etc").mkdir(parents=True)
    (layer / "data").symlink_to(f"../../../..{outside}")
    (layer / "etc" / "hosts").symlink_to(f"{outside}/hosts")
    hosts = node.home / "hosts"
    hosts.write_text("ours\n")
    spec = default_spec(("sh", "-c", "touch /data/new; cat /etc/hosts"))
    mount = Mount(destination="/data/v", type="tmpfs")
    spec = msgspec.structs.replace(spec, mounts=(*spec.mounts, mount))
    with pytest.raises(StartError, match="symlink to nothing"):
        await node.start("c", spec=spec, hosts=hosts, lowerdirs=(layer, node.layer))
    assert list(outside.iterdir()) == []


async def test_a_part_of_a_volume_cannot_be_outside_of_it(node: Node) -> None:
    """CVE-2017-1002101: a symlink in a volume, named as a subPath."""
    volume = node.home / "volume"
    volume.mkdir()
    (volume / "out").symlink_to("/etc")
    (volume / "back").symlink_to("../../../../../../etc")
    (volume / "etc").mkdir()
    (volume / "etc" / "inside").touch()
    for name in ("out", "back"):
        spec = default_spec(("ls", "/part"))
        mount = Mount(destination="/part", source=str(volume), below=name, options=("rbind",))
        spec = msgspec.structs.replace(spec, mounts=(*spec.mounts, mount))
        assert await node.run(name, spec=spec) == "inside\n"


@pytest.mark.parametrize("number", [0, 5, 7, 9])
async def test_a_working_directory_of_an_open_descriptor(node: Node, number: int) -> None:
    """CVE-2024-21626: a descriptor of the machine's tree, still open, as a way back to it."""
    spec = default_spec(("cat", "../../../../etc/shadow"), cwd=f"/proc/self/fd/{number}")
    with pytest.raises(StartError) as caught:
        await node.start("c", spec=spec)
    assert caught.value.step == "workdir"


async def test_a_program_that_is_an_open_descriptor(node: Node) -> None:
    for number in range(3, 20):
        with pytest.raises(StartError) as caught:
            await node.start("c", f"/proc/self/fd/{number}")
        assert caught.value.step == "exec"


async def test_the_machines_null_device_keeps_its_mode(node: Node) -> None:
    """Whatever of it a container holds, it is the container's own."""
    mode = stat.S_IMODE(os.stat("/dev/null").st_mode)
    code = """
import os
for path in ("/dev/null", "/proc/keys", "/proc/timer_list"):
    os.chmod(path, 0o600)
os.fchmod(0, 0o600)
"""
    await node.run("c", spec=python_spec(code))
    assert stat.S_IMODE(os.stat("/dev/null").st_mode) == mode


async def test_a_volume_that_replaces_the_null_device(node: Node) -> None:
    """CVE-2025-31133: masks would have shown what the volume put there."""
    volume = node.home / "null"
    volume.write_text("mine\n")
    spec = default_spec(("cat", "/proc/keys"))
    mount = Mount(destination="/dev/null", source=str(volume), options=("bind",))
    with pytest.raises(StartError, match="is not the null device"):
        await node.start("c", spec=msgspec.structs.replace(spec, mounts=(*spec.mounts, mount)))


async def test_a_device_that_was_not_given_cannot_be_opened(node: Node) -> None:
    """Even with its node in a volume, made by someone who may."""
    volume = node.home / "volume"
    volume.mkdir()
    os.mknod(volume / "kmsg", stat.S_IFCHR | 0o666, os.makedev(1, 11))
    spec = default_spec(("cat", "/data/kmsg"))
    mount = Mount(destination="/data", source=str(volume), options=("rbind",))
    spec = msgspec.structs.replace(spec, mounts=(*spec.mounts, mount))
    text = await node.run("c", spec=spec)
    assert "ermission denied" in text or "not permitted" in text
    assert (await node.future("c")).exit_code != 0


async def test_a_fifo_for_whoever_comes_in(node: Node) -> None:
    """What an exec opens may be made to wait for ever: it is refused, and at once."""
    code = """
import os, time
os.rename("/dev/null", "/dev/was-null")
os.mkfifo("/dev/null")
print("ready", flush=True)
time.sleep(1000)
"""
    await node.start("c", spec=python_spec(code))
    await until(lambda: "ready" in node.log("c").read_text())
    with pytest.raises(StartError, match="is not the null device"):
        await node.runtime.exec("c", ["id"], timeout_s=1000)


async def test_a_container_does_not_see_the_keeper(node: Node) -> None:
    code = "import os; print(*[p for p in os.listdir('/proc') if p.isdigit()], os.getppid())"
    assert await node.run("c", spec=python_spec(code)) == "1 0\n"
