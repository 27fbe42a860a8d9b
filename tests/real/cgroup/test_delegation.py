"""A part of a v2 tree that systemd has handed to us, as far as that can be seen on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from engine.runtime.cgroup import delegation, mounts, tree
from engine.runtime.cgroup.api import Resources, detect
from engine.runtime.cgroup.v2 import V2

MACHINE = mounts.parse(tree.read(b"/proc/self/mountinfo"), b"/sys/fs/cgroup")[1]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not MACHINE, reason="no v2 tree"),
]
needs_pure = pytest.mark.skipif(
    MACHINE != b"/sys/fs/cgroup", reason="takes pure v2: tests.vm has it"
)


@pytest.fixture
def unit() -> Iterator[bytes]:
    """A cgroup as of a unit with Delegate=yes."""
    assert MACHINE is not None
    parent = MACHINE + b"/podarium-test-" + uuid.uuid4().hex[:8].encode()
    unit = parent + b"/unit.scope"
    machine = V2(MACHINE)
    machine.create(unit.removeprefix(MACHINE + b"/"))
    if machine.controllers:  # as systemd does before it hands it over
        tree.write(parent + b"/cgroup.subtree_control", b"+cpu +memory +pids")
    os.setxattr(unit, "trusted.delegate", b"1")
    yield unit
    machine.kill(parent.removeprefix(MACHINE + b"/"))
    machine.remove(parent.removeprefix(MACHINE + b"/"))
    machine.take_back()


def inside(unit: bytes, code: str) -> str:
    """What a program says that is in the unit from its beginning."""
    begin = f"open({os.fsdecode(unit)!r} + '/cgroup.procs', 'w').write('0')\n"
    command = [sys.executable, "-c", begin + code]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_delegated_cgroup_is_known_by_its_mark_and_its_owner(unit: bytes) -> None:
    assert delegation.is_delegated(unit)
    assert not delegation.is_delegated(os.path.dirname(unit))
    assert not delegation.is_delegated(unit + b"/gone")
    os.chown(unit, 1, 1)
    assert not delegation.is_delegated(unit)  # a user's, who leaves and takes it away
    os.chown(unit, 0, 0)
    os.setxattr(unit, "trusted.delegate", b"0")
    assert not delegation.is_delegated(unit)


@needs_pure
def test_a_cluster_of_a_delegated_unit_is_below_it_and_found_from_anywhere(unit: bytes) -> None:
    name = b"podarium-test-" + uuid.uuid4().hex[:8].encode()
    assert delegation.hierarchy(name).root == MACHINE
    code = f"""
import os, subprocess
from engine.runtime.cgroup import delegation
from engine.runtime.cgroup.api import Resources
other = subprocess.Popen(["sleep", "1000"])
tree = delegation.hierarchy({name!r})
assert tree.root == {unit!r}, tree.root
assert tree.crowded() and not delegation.crowded(tree)
delegation.settle(tree)
tree.create({name!r} + b"/node/pod")
tree.limit({name!r} + b"/node/pod", Resources(memory_limit=1 << 24, pids_limit=7))
assert delegation.hierarchy({name!r}).root == {unit!r}
print(open("/proc/self/cgroup").read(), open(f"/proc/{{other.pid}}/cgroup").read())
other.kill()
other.wait()
"""
    leaf = os.fsdecode(unit.removeprefix(MACHINE) + b"/podarium")
    assert inside(unit, code).split() == [f"0::{leaf}", f"0::{leaf}"]
    limited = unit + b"/" + name + b"/node/pod"
    assert tree.read(limited + b"/pids.max") == b"7\n"
    found = delegation.hierarchy(name)
    assert found.root == unit
    found.remove(name)
    assert delegation.hierarchy(name).root == MACHINE


@needs_pure
def test_controllers_are_taken_back_unless_somebody_limits_by_them() -> None:
    machine = detect()
    assert isinstance(machine, V2)
    control = machine.root + b"/cgroup.subtree_control"
    before = set(tree.read(control).split())
    name, other = (b"podarium-test-" + uuid.uuid4().hex[:8].encode() for _ in range(2))
    try:
        machine.create(name + b"/leaf")
        assert {b"cpu", b"memory", b"pids"} <= set(tree.read(control).split())
        os.mkdir(machine.root + b"/" + other)
        machine.limit(other, Resources(pids_limit=100))
        machine.remove(name)
        assert machine.take_back() == ([] if b"pids" in before else [b"pids"])
        assert set(tree.read(control).split()) == before | {b"pids"}
    finally:
        machine.remove(name)
        machine.remove(other)
        assert machine.take_back() == []
    assert set(tree.read(control).split()) == before
