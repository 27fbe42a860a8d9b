"""From a spec to operations: the order that keeps a container in, and what is refused."""

from __future__ import annotations

import marshal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linux.flags import CLONE, MOUNT_ATTR
from engine.runtime import plan
from engine.runtime.cgroup.api import Resources
from engine.runtime.cgroup.hybrid import Hybrid
from engine.runtime.cgroup.v1 import V1
from engine.runtime.ops.cgroups import JoinCgroup, LimitCgroup
from engine.runtime.ops.codec import decode
from engine.runtime.ops.mounts import Bind, CgroupView, Filesystem, Mask
from engine.runtime.ops.stage import Place, Stage
from engine.runtime.plan import Plan, PlanError, Preparation, Target
from engine.runtime.spec import (
    MASKED_PATHS,
    MOUNTS,
    NAMESPACES,
    Device,
    Mount,
    Namespace,
    Root,
    Spec,
    User,
    default_spec,
)

TREES = {name: b"/cg/" + name for name in (b"cpu", b"memory", b"pids", b"devices")}


def target(**changes: Any) -> Target:
    fields: dict[str, Any] = {
        "container_id": "web",
        "sandbox": "pod",
        "lowerdirs": (Path("/layers/top"), Path("/layers/base")),
        "upper": Path("/c/upper"),
        "work": Path("/c/work"),
        "cgroup": b"podarium-t-123456/n/pod/web",
        "hierarchy": V1(TREES),
        "append_layers": True,
    }
    return Target(**(fields | changes))


def with_mounts(*mounts: Mount) -> Spec:
    spec = default_spec(("app",))
    return msgspec.structs.replace(spec, mounts=spec.mounts + mounts)


EXTRA = (
    Mount(destination="/data", source="/v", options=("rbind", "ro")),
    Mount(destination="/dev/shm", source="/v", options=("bind",)),
    Mount(destination="/tmp", type="tmpfs", options=("size=1m",)),
    Mount(destination="/sys/kernel", type="tmpfs"),
)
SPECS = st.builds(
    lambda order, hidden, namespaces: msgspec.structs.replace(
        default_spec(("app",)),
        mounts=tuple(order),
        linux=msgspec.structs.replace(
            default_spec().linux,
            masked_paths=tuple(hidden),
            namespaces=tuple(Namespace(type=kind) for kind in {"mount", *namespaces}),
        ),
    ),
    st.lists(st.sampled_from((*MOUNTS, *EXTRA)), unique=True),
    st.lists(st.sampled_from(MASKED_PATHS), unique=True),
    st.lists(st.sampled_from(NAMESPACES)),
)
"""Containers of any mounts in any order, masks and namespaces."""


def names(made: Plan) -> list[str]:
    return [op.NAME for op in made.child_ops]


def test_the_order_of_a_default_container() -> None:
    made = plan.compile(default_spec(("app",)), target(hosts=Path("/c/hosts")))
    assert [op.NAME for op in made.host_ops] == ["create-cgroup", "limit-cgroup"]
    assert made.limit_ops == ()
    assert names(made) == [
        "join-cgroup",
        "join-sandbox",
        "unshare-cgroup",
        "private-mounts",
        "stage",
        "mount",
        "mount",
        "devices",
        *["mount"] * 4,
        "mount-cgroups",
        "read-only-paths",
        "mask",
        "overlay",
        "bind",
        *["place"] * 3,
        "mask",
        "pivot-root",
        "stdio",
        "workdir",
        "bounding",
        "user",
        "capabilities",
        "no-new-privileges",
        "seccomp",
        "signals",
        "close-descriptors",
        "exec",
    ]
    assert made.clone_flags == CLONE.NEWPID | CLONE.NEWNS
    assert made.exec.argv == (b"app",)


def test_without_no_new_privileges_the_filter_comes_before_the_capabilities_go() -> None:
    spec = default_spec(("app",))
    process = msgspec.structs.replace(spec.process, no_new_privileges=False)
    order = names(plan.compile(msgspec.structs.replace(spec, process=process), target()))
    assert "no-new-privileges" not in order
    assert order.index("seccomp") < order.index("bounding") < order.index("capabilities")


def test_every_operation_survives_the_wire() -> None:
    spec = with_mounts(Mount(destination="/data", source="/v", options=("rbind", "ro")))
    spec = msgspec.structs.replace(spec, root=Root(readonly=True))
    made = plan.compile(spec, target())
    for op in (*made.host_ops, *made.limit_ops, *made.child_ops):
        sent = marshal.loads(marshal.dumps(op.encode()))  # type: ignore[arg-type]
        assert decode(sent) == op


def test_every_operation_can_be_told_in_words_and_in_shell() -> None:
    made = plan.compile(default_spec(("app", "two words")), target())
    steps = made.describe()
    assert all(step.phase and step.op and step.text and step.shell for step in steps)
    told = "\n".join(step.shell for step in steps)
    assert "mkdir -p /cg/cpu/podarium-t-123456/n/pod/web" in told
    assert "lowerdir=/layers/top:/layers/base,upperdir=/c/upper" in told
    assert told.endswith("app 'two words'")


def test_only_the_devices_that_are_made_may_be_opened() -> None:
    extra = Device(path="/dev/fuse", type="c", major=10, minor=229)
    spec = default_spec(("app",))
    spec = msgspec.structs.replace(
        spec, linux=msgspec.structs.replace(spec.linux, devices=(extra,))
    )
    made = plan.compile(spec, target(resources=Resources(pids_limit=9)))
    devices, limit = made.host_ops[1], made.limit_ops[0]
    assert isinstance(devices, LimitCgroup)
    assert isinstance(limit, LimitCgroup)
    assert [value for _, value in limit.writes] == [b"9"]
    writes = [value for _, value in devices.writes]
    assert writes[:2] == [b"a", b"c 1:3 rwm"]
    assert b"c 10:229 rwm" in writes
    assert b"c 1:1 rwm" not in writes


def test_in_a_hybrid_machine_the_process_is_born_in_the_v2_tree(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    root = bytes(tmp_path)
    made = plan.compile(default_spec(("app",)), target(hierarchy=Hybrid(TREES, root)))
    assert made.born
    join = made.child_ops[0]
    assert isinstance(join, JoinCgroup)
    assert join.born == root + b"/podarium-t-123456/n/pod/web"
    assert all(file.endswith(b"/tasks") for file in join.files)
    assert not plan.compile(default_spec(("app",)), target()).born


def test_mount_options_mean_what_mount_says() -> None:
    made = plan.compile(
        with_mounts(
            Mount(
                destination="/a",
                type="tmpfs",
                options=("nosuid", "ro", "rw", "size=1m", "nr_inodes=5"),
            ),
            Mount(destination="/b/../c", source="/v", options=("rbind", "ro", "noexec")),
        ),
        target(),
    )
    tmpfs = next(op for op in made.child_ops if isinstance(op, Filesystem) and op.target == b"/a")
    assert tmpfs.attributes == MOUNT_ATTR.NOSUID
    assert tmpfs.data == ((b"size", b"1m"), (b"nr_inodes", b"5"))
    assert not tmpfs.strict
    bind = next(op for op in made.child_ops if isinstance(op, Bind))
    assert (bind.target, bind.recursive) == (b"/c", True)
    assert bind.attributes == MOUNT_ATTR.RDONLY | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC


def test_a_symlink_on_the_way_to_the_kernels_files_is_refused() -> None:
    made = plan.compile(default_spec(("app",)), target())
    strict = {op.target for op in made.child_ops if isinstance(op, Filesystem) and op.strict}
    assert strict == {b"/proc", b"/dev", b"/dev/pts", b"/dev/shm", b"/dev/mqueue", b"/sys"}


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        (
            Mount(destination="data", source="/v", options=("bind",)),
            r"mounts\[7\].destination 'data'",
        ),
        (Mount(destination="/proc/sys", source="/v", options=("bind",)), "nothing may be mounted"),
        (Mount(destination="/x/../proc", source="/v", options=("bind",)), "nothing may be mounted"),
        (Mount(destination="//proc/x", source="/v", options=("bind",)), "nothing may be mounted"),
        (Mount(destination="/", type="tmpfs"), "nothing may be mounted"),
        (Mount(destination="/x", source="v", options=("bind",)), "source 'v'"),
        (Mount(destination="/x", source="/v", options=("bind", "size=1")), "size=1 means nothing"),
        (Mount(destination="/x", source="/v", below="../y", options=("bind",)), "below '../y'"),
    ],
)
def test_a_mount_that_cannot_be_honoured_is_named(mount: Mount, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        plan.compile(with_mounts(mount), target())


def test_what_else_is_refused() -> None:
    good = default_spec(("app",))
    process = good.process
    bad = {
        "names no command": msgspec.structs.replace(process, args=()),
        "process.env: 'PATH'": msgspec.structs.replace(process, env=("PATH",)),
        "process.cwd 'tmp'": msgspec.structs.replace(process, cwd="tmp"),
        "CAP_FLY": msgspec.structs.replace(
            process,
            capabilities=msgspec.structs.replace(process.capabilities, bounding=("CAP_FLY",)),
        ),
    }
    for said, changed in bad.items():
        with pytest.raises(PlanError, match=said):
            plan.compile(msgspec.structs.replace(good, process=changed), target())
    with pytest.raises(PlanError, match="no layers"):
        plan.compile(good, target(lowerdirs=()))


def test_a_user_other_than_root_holds_no_capability() -> None:
    made = plan.compile(default_spec(("app",), user=User(uid=1000, gid=1000)), target())
    held = next(op for op in made.child_ops if op.NAME == "capabilities")
    assert held.encode()[1:] == (0, 0, 0, 0)


def test_the_spec_reads_and_writes_as_oci_json() -> None:
    spec = default_spec(("app",), user=User(uid=7, gid=8, additional_gids=(9,)))
    text = msgspec.json.encode(spec)
    assert b'"additionalGids":[9]' in text
    assert b'"maskedPaths"' in text
    assert b'"noNewPrivileges":true' in text
    assert msgspec.json.decode(text, type=Spec) == spec


def ahead(spec: Spec, like: Target) -> Preparation:
    return plan.prepare(
        spec,
        container_id=like.container_id,
        sandbox=like.sandbox,
        cgroup=like.cgroup,
        hierarchy=like.hierarchy,
    )


@given(spec=SPECS)
def test_what_is_done_ahead_and_the_rest_are_the_plan(spec: Spec) -> None:
    made = plan.compile(spec, target())
    before = ahead(spec, target())
    assert made.child_ops[: len(before.child_ops)] == before.child_ops
    assert "overlay" not in [op.NAME for op in before.child_ops]
    for field in ("container_id", "sandbox", "cgroup", "born", "clone_flags"):
        assert getattr(made, field) == getattr(before, field)


@given(spec=SPECS)
def test_staged_or_not_every_mount_is_made_once_and_in_order(spec: Spec) -> None:
    made = plan.compile(spec, target())
    kinds = (Filesystem, Bind, CgroupView)
    made_at = [op.target.decode() for op in made.child_ops if isinstance(op, kinds)]
    assert made_at == [mount.destination for mount in spec.mounts]
    hidden = [path for op in made.child_ops if isinstance(op, Mask) for path in op.paths]
    assert sorted(hidden) == sorted(path.encode() for path in spec.linux.masked_paths)
    order = names(made)
    placed = [op.target for op in made.child_ops if isinstance(op, Place)]
    staged = [op.targets for op in made.child_ops if isinstance(op, Stage)]
    assert staged == ([tuple(placed)] if placed else [])
    if placed:
        assert order.index("stage") < order.index("overlay") < order.index("place")


def test_what_a_pod_asks_for_leaves_the_beginning_as_it_is() -> None:
    """So that a process can begin before anything is known of its container."""
    default = ahead(default_spec(), target()).child_ops
    process = msgspec.structs.replace(
        default_spec(("app",)).process, oom_score_adj=7, no_new_privileges=False, cwd="/x"
    )
    spec = with_mounts(Mount(destination="/dev/shm", source="/v", options=("bind",)))
    spec = msgspec.structs.replace(spec, process=process, root=Root(readonly=True))
    made = plan.compile(spec, target(hosts=Path("/c/hosts")))
    assert made.child_ops[: len(default)] == default
    assert [op.NAME for op in default][-2:] == ["read-only-paths", "mask"]
