"""A container reads and writes its own root filesystem and its volumes, and no other file."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

import pytest

from engine.kubelet.volumes import Mountable
from engine.linux.call import libc
from engine.runtime.cgroup.api import detect
from engine.runtime.ops.cgroups import FilterDevices, LimitCgroup
from engine.runtime.ops.process import NoNewPrivileges
from engine.runtime.runtime import StartError
from tests.security.conftest import Captive, Victim
from tests.security.inside import append, call, read, tried


def climb(path: str) -> dict[str, list[str]]:
    """Every way up to a path of the machine; what each gives, to read and to write."""
    up = "../" * 40
    places = ["", "/", up, f"/proc/self/cwd/{up}", f"/proc/self/root/{up}", f"/proc/1/root/{up}"]
    places += [f"/proc/self/task/1/root/{up}", f"/proc/thread-self/cwd/{up}", f"/dev/fd/0/{up}"]
    places += [f"/proc/self/fd/{fd}/{up}" for fd in range(64)]
    found = {place: [tried(read, place + path), tried(append, place + path)] for place in places}
    # The oldest way out of chroot(2): hold the old root, and change it below oneself.
    os.mkdir("/cell")
    old = os.open("/", os.O_RDONLY)
    os.chroot("/cell")
    os.fchdir(old)
    os.chdir(up)
    os.chroot(".")
    found["chroot"] = [tried(read, path), tried(append, path)]
    return found


async def test_no_path_leads_out(captive: Captive, victim: Victim) -> None:
    tries = await captive.run(climb, str(victim.file))
    outcomes = {outcome for pair in tries.values() for outcome in pair}
    assert outcomes <= {"ENOENT", "ENOTDIR", "EACCES", "EPERM", "ELOOP"}, tries


def look_at_descriptors() -> dict[str, str]:
    return {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")[:-1]}


async def test_only_the_three_standard_descriptors(captive: Captive) -> None:
    outside = os.open("/", os.O_RDONLY)
    os.set_inheritable(outside, True)
    try:
        found = await captive.run(look_at_descriptors)
    finally:
        os.close(outside)
    assert set(found) == {"0", "1", "2"}
    assert found["0"] == "/dev/null"
    assert found["1"].startswith("pipe:")
    assert found["2"].startswith("pipe:")


@pytest.mark.parametrize("place", ["image", "manifest"])
@pytest.mark.parametrize("form", ["/proc/self/fd/{}", "/proc/1/fd/{}/.", "/dev/fd/{}", "/w/{}"])
async def test_a_working_directory_of_an_open_descriptor(
    captive: Captive, place: str, form: str
) -> None:
    """CVE-2024-21626: a descriptor of the machine's tree, still open, as a way back to it."""
    links = captive.node.home / "links" / "w"
    links.mkdir(parents=True)
    lowerdirs = (links.parent, captive.node.layer)
    for number in range(16):
        (links / str(number)).symlink_to(f"/proc/self/fd/{number}")
        path = form.format(number)
        said = {"image": {"working_dir": path}} if place == "image" else {"workingDir": path}
        with pytest.raises(StartError) as caught:
            await captive.begin(look_at_descriptors, target={"lowerdirs": lowerdirs}, **said)
        assert caught.value.step == "workdir"


@pytest.mark.parametrize("form", ["/proc/self/fd/{}", "/proc/self/fd/{}/bin/id"])
async def test_a_program_in_an_open_descriptor(captive: Captive, form: str) -> None:
    """The same, for what is executed: by then every descriptor is closed, but for the pipe that
    tells of a failure."""
    missed = {}
    for number in range(3, 32):
        with pytest.raises(StartError) as caught:
            await captive.node.start("c", form.format(number))
        assert caught.value.step == "exec"
        missed[number] = caught.value.errno
    assert missed.pop(3) in (errno.EACCES, errno.ENOTDIR, errno.ENOENT)
    assert set(missed.values()) == {errno.ENOENT}


def open_disk(kind: int, major: int, minor: int) -> dict[str, str]:
    node = "/dev/ours"
    made = tried(os.mknod, node, kind | 0o600, os.makedev(major, minor))
    return {"mknod": made, "open": tried(os.open, node, os.O_RDONLY)}


def a_device() -> tuple[int, int, int]:
    """The machine's disk if it has one to be seen, else the kernel's log."""
    for entry in Path("/dev").iterdir():
        found = entry.lstat()
        if stat.S_ISBLK(found.st_mode) and os.access(entry, os.R_OK):
            return stat.S_IFBLK, os.major(found.st_rdev), os.minor(found.st_rdev)
    return stat.S_IFCHR, 1, 11


# Files of the devices controller, or a program where there is none.
RULES = (LimitCgroup, FilterDevices)
# The kernel's log wants the second, too.
MKNOD = {"securityContext": {"capabilities": {"add": ["MKNOD", "SYSLOG"]}}}


async def test_devices_of_the_machine_cannot_be_made(captive: Captive) -> None:
    assert await captive.run(open_disk, *a_device()) == {"mknod": "EPERM", "open": "ENOENT"}


@pytest.mark.skipif(not detect().controls_devices, reason="takes control of devices")
async def test_nor_by_one_who_may_make_nodes(captive: Captive) -> None:
    """Two defences, the capability and the device rules; here the second stands alone."""
    device = a_device()
    outcome = await captive.run(open_disk, *device, **MKNOD)
    assert outcome == {"mknod": "EPERM", "open": "ENOENT"}
    outcome = await captive.run(open_disk, *device, id="d", without=RULES, **MKNOD)
    assert outcome == {"mknod": "DONE", "open": "DONE"}


def open_given(place: str) -> str:
    return tried(os.open, place, os.O_RDONLY)


async def test_a_device_in_a_volume(captive: Captive, tmp_path: Path) -> None:
    """Made by someone else who may; and this container's rules are left out, too."""
    kind, major, minor = a_device()
    os.mknod(tmp_path / "disk", kind | 0o666, os.makedev(major, minor))
    volumes = {"/data": Mountable(tmp_path)}
    outcome = await captive.run(open_given, "/data/disk", volumes=volumes, without=RULES)
    assert outcome == "EACCES"


def handle_of(path: Path) -> bytes:
    """name_to_handle_at(2): a file as its filesystem knows it, whatever the path."""
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little"), 8 + 128)
    mount = ctypes.c_int()
    name = os.fsencode(path)
    done = libc.name_to_handle_at(-100, name, handle, ctypes.byref(mount), 0)
    if done < 0:
        pytest.skip(f"{path}: its filesystem has no handles")
    return handle.raw


def open_handle(handle: bytes, volume: str) -> str:
    """As "shocker" did: any directory of the same filesystem will do."""
    held = os.open(volume, os.O_RDONLY)
    return tried(call, "open_by_handle_at", held, handle, os.O_RDONLY)


HANDLES = {
    "by default": ({}, "EPERM"),
    "without the filter": ({"seccompProfile": {"type": "Unconfined"}}, "EPERM"),
    "without both": (
        {
            "seccompProfile": {"type": "Unconfined"},
            "capabilities": {"add": ["DAC_READ_SEARCH"]},
        },
        "DONE",
    ),
}


@pytest.mark.parametrize("confinement", HANDLES)
async def test_files_by_their_handles(
    captive: Captive, victim: Victim, tmp_path: Path, confinement: str
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    context, expected = HANDLES[confinement]
    outcome = await captive.run(
        open_handle,
        handle_of(victim.file),
        "/data",
        volumes={"/data": Mountable(volume)},
        securityContext=context,
    )
    assert outcome == expected


def write_into(place: str) -> dict[str, str]:
    return {
        "append": tried(append, f"{place}/file"),
        "make": tried(os.mkdir, f"{place}/new"),
        "mode": tried(os.chmod, place, 0o777),
        "remove": tried(os.unlink, f"{place}/file"),
        "attribute": tried(os.setxattr, place, "user.x", b"x"),
    }


async def test_a_read_only_volume(captive: Captive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    volumes = {"/data": Mountable(tmp_path, read_only=True)}
    outcome = await captive.run(write_into, "/data", volumes=volumes)
    assert set(outcome.values()) == {"EROFS"}
    assert (tmp_path / "file").read_text() == "kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def become_root(program: str) -> int:
    import subprocess

    ran = subprocess.run([program, "-u"], capture_output=True, check=True)
    return int(ran.stdout)


@pytest.mark.parametrize(("without", "uid"), [((), 1000), ((NoNewPrivileges,), 0)])
async def test_a_program_that_is_set_user_id(
    captive: Captive, without: tuple[type, ...], uid: int
) -> None:
    layer = captive.node.home / "suid"
    layer.mkdir(mode=0o755)
    (layer / "become").write_bytes((captive.node.layer / "bin/id").read_bytes())
    (layer / "become").chmod(0o4755)
    outcome = await captive.run(
        become_root,
        "/become",
        without=without,
        target={"lowerdirs": (layer, captive.node.layer)},
        securityContext={"runAsUser": 1000, "seccompProfile": {"type": "Unconfined"}},
    )
    assert outcome == uid
