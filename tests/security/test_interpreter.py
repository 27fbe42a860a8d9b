"""The program that makes containers, this machine's Python, is never writable from one of them.

CVE-2019-5736: through /proc/PID/exe of whoever comes in, or of oneself, the file that was executed
can be opened again, and overwritten. Here a mode is set to what it is: that too takes a writable
mount; opening it to write would meet ETXTBSY while anybody runs Python.
"""

from __future__ import annotations

import asyncio
import os
import stat
from functools import partial
from pathlib import Path

import msgspec
import pytest

from engine.runtime.spec import Spec
from tests.real.runtime.conftest import PYTHON
from tests.security.conftest import Captive
from tests.security.inside import say, tried


def overwrite_oneself() -> dict[str, str]:
    mode = os.stat("/proc/self/exe").st_mode & 0o777
    held = os.open("/proc/self/exe", os.O_RDONLY)
    again = f"/proc/self/fd/{held}"
    return {
        "program": os.readlink("/proc/self/exe"),
        "mode": tried(os.chmod, "/proc/self/exe", mode),
        "mode of descriptor": tried(os.fchmod, held, mode),
        "write": tried(os.open, "/proc/self/exe", os.O_WRONLY),
        "truncate": tried(os.truncate, again, os.fstat(held).st_size),
        "owner": tried(os.chown, again, 0, 0),
        "attribute": tried(os.setxattr, again, "user.x", b""),
    }


def of_the_keepers_own(spec: Spec) -> Spec:
    """An image's program that is "#!/proc/self/exe" makes the kernel run our own binary."""
    args = ("/proc/self/exe", *spec.process.args[1:])
    return msgspec.structs.replace(spec, process=msgspec.structs.replace(spec.process, args=args))


async def test_ours_is_read_only_for_one_who_runs_it(captive: Captive) -> None:
    before = os.stat(PYTHON)
    outcome = await captive.run(overwrite_oneself, change=of_the_keepers_own)
    assert outcome.pop("program") == PYTHON
    assert set(outcome.values()) <= {"EROFS", "ETXTBSY"}
    assert outcome["mode"] == outcome["owner"] == "EROFS"
    after = os.stat(PYTHON)
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def lie_in_wait(program: str, visits: int) -> list[str]:
    ours = os.stat(program)
    seen, taken = set(), []
    say("waiting")
    while len(seen) < visits:
        for pid in set(filter(str.isdigit, os.listdir("/proc"))) - seen - {"1"}:
            try:
                held = os.open(f"/proc/{pid}/exe", os.O_PATH)
            except OSError:
                continue
            if os.path.samestat(os.fstat(held), ours):
                taken.append(pid)
            else:
                seen.add(pid)
            os.close(held)
    return taken


async def test_nor_is_it_shown_by_whoever_comes_in(captive: Captive) -> None:
    await captive.begin(lie_in_wait, PYTHON, 3)
    await captive.says("waiting")
    visit = partial(captive.node.runtime.exec, "c", ["sleep", "1000"], timeout_s=1000)
    visits = [asyncio.create_task(visit()) for _ in range(3)]
    assert await captive.outcome() == []
    await asyncio.gather(*visits)


async def test_the_keeper_runs_behind_its_seal(captive: Captive) -> None:
    keeper = captive.node.runtime.keeper_pid
    mode = stat.S_IMODE(os.stat(PYTHON).st_mode)
    assert os.path.samefile(f"/proc/{keeper}/exe", PYTHON)
    with pytest.raises(OSError, match="Read-only file system"):
        os.chmod(f"/proc/{keeper}/exe", mode)
    # On this machine, and to everybody else, it is what it was.
    os.chmod(PYTHON, mode)
    assert "Threads:\t1\n" in Path(f"/proc/{keeper}/status").read_text()
