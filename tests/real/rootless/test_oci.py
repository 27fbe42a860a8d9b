"""The oci command in a user namespace that was not given any cgroup."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.rootless.people import Person, person

pytestmark = pytest.mark.xdist_group("rootless-ends")


@pytest.fixture(scope="module")
def owner() -> Iterator[Person]:
    """One with his own id alone, and a bundle in his home."""
    with person(58_000 + os.getpid() % 1000, "", subordinate=False) as owner:
        binaries = owner.home / "b" / "rootfs" / "bin"
        binaries.mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, binaries)
        for tool in ("sh", "id", "sleep"):
            (binaries / tool).symlink_to("busybox")
        for path in (owner.home / "b", *(owner.home / "b").rglob("*")):
            os.chown(path, owner.uid, owner.uid, follow_symlinks=False)
        yield owner


def bundle(owner: Person, *args: str, **linux: object) -> Path:
    folder = owner.home / "b"
    (folder / "config.json").unlink(missing_ok=True)
    owner.does("podarium-oci", "spec", "--bundle", str(folder))
    config = json.loads((folder / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": args}
    config["linux"] |= linux
    for mount in config["mounts"]:
        # There is one group, and it is not tty's.
        mount["options"] = [word for word in mount.get("options", []) if word != "gid=5"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def oci(owner: Person, *words: str, code: int = 0) -> str:
    own = ("unshare", "--map-root-user", "--mount", "podarium-oci", "--root", f"{owner.home}/state")
    return owner.does(*own, *words, code=code)


def test_a_container_of_ones_own(owner: Person) -> None:
    folder = bundle(owner, "sh", "-c", "id -u; exec 2>/dev/null; echo > /dev/null && echo fine")
    assert oci(owner, "run", "--bundle", str(folder), "one") == "0\nfine\n"
    bundle(owner, "sleep", "1000")
    # It keeps what it is given to write to.
    create = f"podarium-oci --root {owner.home}/state create --bundle {folder} two"
    script = f"exec {create} < /dev/null > /dev/null 2>&1"
    owner.does("unshare", "-rm", "sh", "-c", script)
    oci(owner, "start", "two")
    assert json.loads(oci(owner, "state", "two"))["status"] == "running"
    oci(owner, "kill", "two", "KILL")
    deadline = time.monotonic() + 30
    while json.loads(oci(owner, "state", "two"))["status"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    oci(owner, "delete", "two")
    assert owner.processes() == []
    assert [p.name for p in owner.home.glob("state.processes/*/")] == []


def test_limits_that_nobody_would_keep_are_refused(owner: Person) -> None:
    folder = bundle(owner, "id", resources={"memory": {"limit": 1 << 26}})
    said = oci(owner, "run", "--bundle", str(folder), "one", code=1)
    assert "linux.resources.memory" in said
    assert not (owner.home / "state" / "one").exists()


def test_without_any_namespace_the_way_is_named(owner: Person) -> None:
    folder = bundle(owner, "id")
    said = owner.does("podarium-oci", "run", "--bundle", str(folder), "one", code=1)
    assert "unshare --map-root-user" in said
