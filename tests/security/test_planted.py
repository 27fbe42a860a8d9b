"""Symlinks planted in an image or a volume lead nowhere but into the container itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from engine.kubelet.subpath import ensure
from engine.kubelet.volumes import Mountable
from engine.runtime.plan import PlanError
from engine.runtime.runtime import StartError
from tests.security.conftest import Captive, Victim
from tests.security.inside import append, call, read, say, tried

Layers = dict[str, tuple[Path, ...]]


def image(captive: Captive, links: dict[str, str]) -> Layers:
    """An image with these symlinks in its uppermost layer."""
    top = captive.node.home / "top"
    for place, target in links.items():
        link = top / place.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return {"lowerdirs": (top, captive.node.layer)}


def look_around() -> dict[str, object]:
    """How the kernel's places look, whatever the image has there."""

    def is_kernels(path):
        return os.statvfs(path).f_flag & os.ST_RDONLY != 0

    return {
        "settings": tried(os.open, "/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "keys": read("/proc/keys").decode(),
        "sys": is_kernels("/sys"),
        "cgroup": is_kernels("/sys/fs/cgroup"),
        "null": os.stat("/dev/null").st_rdev == os.makedev(1, 3),
        "pts": os.listdir("/dev/pts"),
        "evil": sorted(os.listdir("/evil")),
    }


AS_EVER: dict[str, object] = {
    "settings": "EROFS",
    "keys": "",
    "sys": True,
    "cgroup": True,
    "null": True,
    "pts": ["ptmx"],
    "evil": ["keep"],
}


@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev"])
async def test_an_image_whose_kernel_folders_are_elsewhere(captive: Captive, place: str) -> None:
    """CVE-2019-19921: what is to be masked would not be where it is masked."""
    with pytest.raises(StartError, match=f"{place}: .*symbolic links"):
        await captive.begin(look_around, target=image(captive, {place: "/evil", "/evil/x": "x"}))


BELOW = {
    "/dev/pts": "/evil",
    "/dev/shm": "/evil",
    "/dev/mqueue": "../../../../evil",
    "/dev/null": "/proc/sys/kernel/core_pattern",
    "/sys/fs/cgroup": "/evil",
    "/sys/firmware": "/evil",
    "/proc/sys": "/evil",
    "/proc/keys": "/evil/keep",
}


async def test_what_an_image_has_in_them_is_covered(captive: Captive) -> None:
    layers = image(captive, {**BELOW, "/evil/keep": "x"})
    assert await captive.run(look_around, target=layers) == AS_EVER


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/proc/self/fd", "/proc/1/ns"])
async def test_a_volume_over_proc_by_another_name(
    captive: Captive, tmp_path: Path, target: str
) -> None:
    """CVE-2023-27561, CVE-2025-52881: the kernel's answers and switches would be someone's."""
    layers = image(captive, {"/link": target})
    for place in ("/link", "/link/below"):
        with pytest.raises(StartError, match=r"leads into /proc|No such file"):
            await captive.begin(look_around, target=layers, volumes={place: Mountable(tmp_path)})


async def test_a_volume_over_proc_by_its_name(captive: Captive, tmp_path: Path) -> None:
    for place in ("/proc", "/proc/sys", "//proc/./sys", "/x/../proc/keys", "/"):
        with pytest.raises(PlanError, match="nothing may be mounted there"):
            await captive.begin(look_around, volumes={place: Mountable(tmp_path)})


@pytest.mark.parametrize("target", ["/", "..", "/etc/.."])
async def test_a_volume_over_the_root_by_another_name(
    captive: Captive, tmp_path: Path, target: str
) -> None:
    """What is unmounted when the machine's tree is let go of must be just that."""
    layers = image(captive, {"/link": target})
    with pytest.raises(StartError, match="leads to the root"):
        await captive.begin(look_around, target=layers, volumes={"/link": Mountable(tmp_path)})


async def test_a_volume_over_dev_without_its_devices(captive: Captive, tmp_path: Path) -> None:
    """CVE-2025-31133: what is masked would show whatever the volume has as /dev/null."""
    (tmp_path / "null").write_text("mine")
    file = Mountable(tmp_path / "null")
    for place, volume in {"/dev": Mountable(tmp_path), "/dev/null": file}.items():
        with pytest.raises(StartError, match="is not the null device"):
            await captive.begin(look_around, volumes={place: volume})


def have_a_terminal() -> list[str]:
    return [os.ttyname(0), os.readlink("/proc/self/fd/1")]


async def test_a_terminal_is_of_the_containers_own(captive: Captive) -> None:
    await captive.begin(have_a_terminal, tty=True)
    await captive.ended()
    assert "/dev/pts/0" in captive.node.log("c").read_text()


TERMINALS = {
    "file": "is not the terminal multiplexer",
    "symlink": "symbolic links",
    "machine's": "Permission denied",
}


@pytest.mark.parametrize("kind", TERMINALS)
async def test_a_terminal_of_someone_elses(captive: Captive, tmp_path: Path, kind: str) -> None:
    """CVE-2025-52565: what stands for the console leads to a file that must not be written."""
    volumes = {"/dev/pts": Mountable(tmp_path)}
    if kind == "file":
        (tmp_path / "ptmx").touch()
    elif kind == "symlink":
        (tmp_path / "ptmx").symlink_to("/proc/sys/kernel/core_pattern")
    else:
        os.mknod(tmp_path / "ptmx", 0o20666, os.makedev(5, 2))
    with pytest.raises(StartError, match=TERMINALS[kind]) as caught:
        await captive.begin(have_a_terminal, tty=True, volumes=volumes)
    assert caught.value.step == "terminal"


def fill(places: list[str]) -> list[str]:
    for place in places:
        append(place, b"filled\n")
    return places


async def test_links_to_the_machine_lead_into_the_image(
    captive: Captive, victim: Victim, tmp_path: Path
) -> None:
    """Where a volume, /etc's files and the termination message go is the image's own tree."""
    outside = victim.file.parent / "outside"
    outside.mkdir()
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "back").symlink_to(outside)
    (volume / "up").symlink_to("../" * 20 + str(outside))
    top = captive.node.home / "top"
    (top / str(outside).lstrip("/")).mkdir(parents=True)
    (top / str(victim.file).lstrip("/")).touch()
    links = {"/data": str(outside), "/up": "../" * 20 + str(outside)}
    links |= {"/etc/hosts": str(victim.file), "/said": f"{outside}/said"}
    (top / str(outside).lstrip("/") / "said").touch()
    hosts, words = captive.node.home / "hosts", captive.node.home / "words"
    hosts.touch()
    words.touch()
    volumes = {
        "/data/new": Mountable(volume),
        "/up/new": Mountable(volume),
        "/own": Mountable(volume),
        "/own/back/new": Mountable(volume),
        "/own/up/new": Mountable(volume),
        "/said": Mountable(words),
    }
    layers = image(captive, links)
    places = ["/data/new/a", "/up/new/b", "/own/c", "/etc/hosts", "/said"]
    await captive.run(fill, places, target={**layers, "hosts": hosts}, volumes=volumes)
    assert list(outside.iterdir()) == []
    assert {"a", "b", "c"} <= {entry.name for entry in volume.iterdir()}
    assert hosts.read_text() == "filled\n"
    assert words.read_text() == "filled\n"


def list_part() -> list[str]:
    return sorted(os.listdir("/part"))


@pytest.mark.parametrize("link", ["/etc", "../../../../../../etc", "back/etc"])
async def test_a_part_of_a_volume_cannot_be_outside_of_it(
    captive: Captive, tmp_path: Path, link: str
) -> None:
    """CVE-2017-1002101: a symlink in a volume, named as a subPath."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "inside").touch()
    (tmp_path / "back").symlink_to("../..")
    (tmp_path / "out").symlink_to(link)
    (tmp_path / "magic").symlink_to("/proc/1/root/etc")
    assert await captive.run(list_part, **part_of(tmp_path, "out")) == ["inside"]
    with pytest.raises(StartError, match="No such file"):
        await captive.begin(list_part, id="d", **part_of(tmp_path, "magic"))


def part_of(volume: Path, name: str) -> dict[str, object]:
    mount = {"name": "v0", "mountPath": "/part", "subPath": name}
    return {"volumes": {"/volume": Mountable(volume)}, "volumeMounts": [mount]}


def swap(folder: str, name: str, target: str) -> None:
    """For ever: now a folder of ours, now a symlink."""
    os.chdir(folder)
    os.makedirs(name, exist_ok=True)
    os.symlink(target, "other")
    say("swapping")
    exchange, here = 2, -100
    while True:
        call("renameat2", here, name.encode(), here, b"other", exchange)


ROUNDS = 20


async def test_a_part_that_is_swapped_for_a_symlink(
    captive: Captive, victim: Victim, tmp_path: Path
) -> None:
    """CVE-2021-25741: between the look and the mount a folder becomes a symlink."""
    volume, outside = tmp_path / "volume", victim.file.parent
    # Where the symlink leads when the volume is taken for the root.
    decoy = volume / str(outside).lstrip("/")
    decoy.mkdir(parents=True)
    (decoy / "decoy").touch()
    mounted = {"/data": Mountable(volume)}
    await captive.begin(swap, "/data", "sub", str(outside), id="swapper", volumes=mounted)
    await captive.says("swapping", "swapper")
    shown = set()
    for number in range(ROUNDS):
        with suppress(FileNotFoundError, FileExistsError):
            ensure(volume, "sub/deep")
        shown |= set(await captive.run(list_part, id=f"c{number}", **part_of(volume, "sub")))
    assert shown <= {"deep", "decoy"}
    assert not (outside / "deep").exists()


async def test_a_mount_point_that_is_swapped_for_a_symlink(
    captive: Captive, tmp_path: Path
) -> None:
    """The place of a volume, in another volume that a neighbour writes, becomes the kernel's."""
    volume, shared = tmp_path / "volume", tmp_path / "shared"
    for folder in (volume, shared):
        folder.mkdir()
    (volume / "core_pattern").touch()
    volumes = {"/data": Mountable(shared)}
    await captive.begin(swap, "/data", "sub", "/proc/sys/kernel", id="swapper", volumes=volumes)
    await captive.says("swapping", "swapper")
    volumes["/data/sub"] = Mountable(volume)
    layers = image(captive, {"/evil/keep": "x"})
    refused = []
    for number in range(ROUNDS):
        try:
            found = await captive.run(look_around, id=f"c{number}", volumes=volumes, target=layers)
        except StartError as error:
            refused.append(str(error))
        else:
            assert found == AS_EVER
    assert len(refused) < ROUNDS
    assert all("leads into /proc" in text or "exists" in text for text in refused), refused


def juggle_null() -> None:
    """For ever: now the device, now a symlink, now a FIFO that whoever opens it would wait at."""
    os.mkfifo("/dev/fifo")
    os.symlink("/proc/1/mem", "/dev/link")
    say("juggling")
    exchange, here = 2, -100
    while True:
        for other in (b"/dev/link", b"/dev/fifo"):
            for _ in range(2):
                call("renameat2", here, b"/dev/null", here, other, exchange)


async def test_whoever_comes_in_while_the_null_device_is_juggled(captive: Captive) -> None:
    await captive.begin(juggle_null)
    await captive.says("juggling")
    given, refused = set(), []
    for _ in range(ROUNDS):
        command = ["readlink", "/proc/self/fd/0"]
        try:
            ran = await captive.node.runtime.exec("c", command, timeout_s=20)
        except StartError as error:
            refused.append(str(error))
        else:
            assert not ran.timed_out
            given.add(ran.output.decode().strip())
    # The device, whatever it is called by now.
    assert given <= {"/dev/null", "/dev/link", "/dev/fifo"}
    assert all("null device" in text or "symbolic links" in text for text in refused), refused
