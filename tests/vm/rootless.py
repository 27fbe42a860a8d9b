"""An ordinary user's cluster inside the machine, with a part of the v2 tree that is his and
without. Run by test_v2.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PODARIUM = str(Path(sys.executable).with_name("podarium"))
UID = 61234
SLICE = Path("/sys/fs/cgroup/user.slice")
HOME = Path("/tmp/h")
GIVEN = ("", "cgroup.procs", "cgroup.subtree_control")
LEAK = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "leak"},
    "spec": {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "leak",
                "image": "podarium/host",
                "command": ["python", "-c", "x = bytearray(1 << 27); print(len(x))"],
                "resources": {"limits": {"memory": "32Mi", "cpu": "500m"}},
            }
        ],
    },
}


@pytest.fixture(params=["delegated", "not delegated"])
def session(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The cgroup that the user's shell is in. What is above it may be his."""
    for folder in (SLICE.parent, SLICE):
        (folder / "cgroup.subtree_control").write_text("+cpu +memory +pids")
    ours = SLICE / "user-of-ours"
    session = ours / "session"
    session.mkdir(parents=True)
    if request.param == "delegated":
        for folder in (ours, session):
            for file in GIVEN:
                os.chown(folder / file, UID, UID)
    # With the images of the one before.
    HOME.mkdir(exist_ok=True)
    os.chown(HOME, UID, UID)
    yield session
    session.rmdir()
    ours.rmdir()


def does(session: Path, *words: str, text: str = "") -> str:
    """Of `podarium WORDS` as the user, what it said."""
    become = f"setpriv --reuid={UID} --regid={UID} --clear-groups"
    script = f'echo $$ > {session}/cgroup.procs && exec {become} {PODARIUM} "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        env={"HOME": str(HOME), "PATH": os.environ["PATH"], "PODARIUM_HOME": str(HOME / "p")},
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}"
    return done.stdout


def test_limits_are_kept_by_whoever_can(session: Path) -> None:
    delegated = os.stat(session).st_uid == UID
    said = does(session, "up", "--nodes", "1")
    assert ("cgroups v2, delegated" in said) == delegated
    assert ("cgroups none" in said) == (not delegated)
    does(session, "apply", "-f", "-", text=json.dumps(LEAK))
    while '"phase": "Failed"' not in (told := does(session, "get", "pod", "leak", "-o", "json")):
        pass
    # With a cgroup the kernel ends it; without it may be over before anybody has looked.
    assert '"reason": "OOMKilled"' in told or not delegated
    if delegated:
        of_node = next(session.parent.glob("podarium-*/podarium-*/node-1"))
        assert (of_node / "memory.max").read_text() != "max\n"
        assert (of_node / "cpu.max").read_text().split()[0] != "max"
    checks = {c["name"]: c for c in json.loads(does(session, "doctor", "--json"))["checks"]}
    assert checks["delegated to this user"]["state"] == ("ok" if delegated else "degraded")
    does(session, "down", "--purge")
    assert list(session.parent.glob("*/")) == [session]
