"""Kernel settings, /sys and cgroups belong to the machine: a container reads what is left of them.

What is tried is found by walking: a setting that a newer kernel brings is tried too.
"""

from __future__ import annotations

import os

from engine.runtime.ops.mounts import Mask, ReadOnlyPaths
from engine.runtime.spec import MASKED_PATHS
from tests.security.conftest import Captive
from tests.security.inside import append, tried

CORE, SYSRQ = "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"


def open_to_write(top: str, without: list[str], deepest: int) -> dict[str, list[str]]:
    """By outcome, the files that somebody could write to. Opening one changes nothing."""
    found = {}
    for folder, folders, files in os.walk(top):
        if folder.count("/") >= deepest:
            folders.clear()
        folders[:] = [name for name in folders if os.path.join(folder, name) not in without]
        for path in (os.path.join(folder, name) for name in files):
            if os.lstat(path).st_mode & 0o222 and not os.path.islink(path):
                outcome = tried(os.open, path, os.O_WRONLY | os.O_NONBLOCK)
                found.setdefault(outcome, []).append(path)
        os.closerange(3, 1 << 10)
    return found


async def test_no_setting_of_the_kernel_can_be_opened_to_write(captive: Captive) -> None:
    found = await captive.run(open_to_write, "/proc/sys", [], 99)
    assert set(found) <= {"EROFS", "EACCES"}
    assert CORE in found["EROFS"]


async def test_they_could_without_the_defence(captive: Captive) -> None:
    found = await captive.run(open_to_write, "/proc/sys", [], 99, without=(ReadOnlyPaths,))
    assert CORE in found["DONE"]


async def test_nor_anything_else_in_proc(captive: Captive) -> None:
    """Masked files are the null device; who writes a pressure file asks to be told of pressure."""
    own = ["/proc/1", "/proc/self", "/proc/thread-self", "/proc/sys"]
    found = await captive.run(open_to_write, "/proc", own, 99)
    rest = {path for path in found.pop("DONE") if not path.startswith("/proc/pressure/")}
    assert rest <= set(MASKED_PATHS)
    assert set(found) <= {"EROFS", "EPERM"}
    if os.path.exists(SYSRQ):
        assert SYSRQ in found["EROFS"]


async def test_nothing_in_sys(captive: Captive) -> None:
    found = await captive.run(open_to_write, "/sys", [], 4)
    assert set(found) == {"EROFS"}
    assert any(path.startswith("/sys/fs/cgroup/") for path in found["EROFS"])


def ask(paths: list[str]) -> dict[str, int]:
    found = {}
    for path in filter(os.path.exists, paths):
        # Of pages there is a number of 8 bytes each, and no less.
        found[path] = len(
            os.listdir(path) if os.path.isdir(path) else os.read(os.open(path, os.O_RDONLY), 8)
        )
    return found


async def test_what_is_masked_says_nothing(captive: Captive) -> None:
    # The last has no answer for one who may not ask it.
    paths = [path for path in MASKED_PATHS if path != "/proc/kcore"]
    found = await captive.run(ask, paths)
    assert set(found.values()) == {0}
    bare = await captive.run(ask, paths, id="d", without=(Mask,))
    for page in ("count", "flags", "cgroup"):
        assert bare.get(f"/proc/kpage{page}", 8) == 8
    assert bare["/proc/keys"] == bare["/proc/timer_list"] == 8
    assert bare["/sys/firmware"] > 0


def leave_the_cgroup() -> dict[str, list[str]]:
    found = {}
    for folder, _, files in os.walk("/sys/fs/cgroup"):
        for name in files:
            path = os.path.join(folder, name)
            if name in ("cgroup.procs", "tasks", "release_agent", "notify_on_release"):
                found.setdefault(tried(append, path, b"0"), []).append(path)
            if name == "cgroup.procs":
                found.setdefault(tried(os.mkdir, f"{folder}/ours"), []).append(path)
                found.setdefault(tried(append, f"{folder}/../cgroup.procs", b"0"), []).append(path)
    return found


async def test_its_cgroup_cannot_be_left_nor_changed(captive: Captive) -> None:
    """Nor a program be named for the machine to run when it is empty (CVE-2022-0492)."""
    found = await captive.run(leave_the_cgroup)
    assert set(found) <= {"EROFS", "ENOENT"}
    assert found["EROFS"]
