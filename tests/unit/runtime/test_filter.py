"""The compiled seccomp filter, run on an interpreter of its own for every system call there is."""

import errno
import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linux.flags import CLONE
from engine.linux.table import AUDIT_ARCH, numbers
from engine.runtime import capabilities, filter, scmp
from engine.runtime.profile import default_profile
from engine.runtime.seccomp import Argument, LinuxSeccomp, Syscalls

ALLOW = 0x7FFF0000
EPERM = 0x50000 | errno.EPERM
ENOSYS = 0x50000 | errno.ENOSYS
KILL = 0x80000000

X86 = numbers("x86_64")


def run(
    program: bytes, nr: int, args: tuple[int, ...] = (), arch: int = AUDIT_ARCH["x86_64"]
) -> int:
    """What the program returns for a call: the subset of classic BPF that seccomp programs use."""
    data = struct.pack("=IIQ6Q", nr, arch, 0, *(*args, 0, 0, 0, 0, 0, 0)[:6])
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        operation, yes, no, k = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif operation == 0x54:
            accumulator &= k
        elif operation == 0x05:
            at += k
        elif operation == 0x15:
            at += yes if accumulator == k else no
        elif operation == 0x25:
            at += yes if accumulator > k else no
        elif operation == 0x35:
            at += yes if accumulator >= k else no
        elif operation == 0x06:
            return int(k)
        else:
            raise AssertionError(f"instruction {at - 1}: {operation:#x}")


@pytest.fixture(scope="module")
def default() -> bytes:
    return filter.compile(default_profile(capabilities.DEFAULT), "x86_64")


def test_every_known_call_gets_what_the_profile_says(default: bytes) -> None:
    profile = default_profile(capabilities.DEFAULT)
    plain = {
        n
        for rule in profile.syscalls
        if not rule.args and rule.action == scmp.ALLOW
        for n in rule.names
    }
    conditional = {"clone", "personality", "socket"}
    for name, nr in X86.items():
        if name in conditional:
            continue
        expected = ALLOW if name in plain else ENOSYS if name == "clone3" else EPERM
        assert run(default, nr) == expected, name


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "bpf",
        "unshare",
        "setns",
        "pivot_root",
        "init_module",
        "kexec_load",
        "keyctl",
        "add_key",
        "io_uring_setup",
        "perf_event_open",
        "userfaultfd",
        "open_by_handle_at",
        "swapon",
        "reboot",
        "settimeofday",
        "move_mount",
    ],
)
def test_what_reaches_the_machine_is_refused(default: bytes, name: str) -> None:
    assert run(default, X86[name]) == EPERM


@pytest.mark.parametrize("name", ["read", "execve", "futex", "openat2", "rseq", "close_range"])
def test_what_programs_need_is_allowed(default: bytes, name: str) -> None:
    assert run(default, X86[name]) == ALLOW


def test_no_name_in_the_profile_is_misspelt() -> None:
    profile = default_profile(("CAP_SYS_ADMIN",))
    known = X86.keys() | numbers("aarch64").keys()
    assert [n for rule in profile.syscalls for n in rule.names if n not in known] == []


@given(st.integers(0, (1 << 64) - 1))
def test_clone_is_allowed_exactly_without_new_namespaces(flags: int) -> None:
    program = filter.compile(default_profile(capabilities.DEFAULT), "x86_64")
    new = CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWUSER
    new |= CLONE.NEWPID | CLONE.NEWNET | CLONE.NEWCGROUP
    assert run(program, X86["clone"], (flags,)) == (EPERM if flags & new else ALLOW)


def test_clone3_reads_as_missing_so_that_libc_uses_clone(default: bytes) -> None:
    assert run(default, X86["clone3"]) == ENOSYS


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0, ALLOW),
        (8, ALLOW),
        (0x20008, ALLOW),
        (0xFFFFFFFF, ALLOW),
        (0x40000, EPERM),
        (1 << 32, EPERM),
    ],
)
def test_personality(default: bytes, value: int, verdict: int) -> None:
    assert run(default, X86["personality"], (value,)) == verdict


@pytest.mark.parametrize(
    ("family", "verdict"),
    [
        (socket.AF_INET, ALLOW),
        (socket.AF_NETLINK, ALLOW),
        (socket.AF_ALG, EPERM),
        (socket.AF_VSOCK, EPERM),
    ],
)
def test_socket_families(default: bytes, family: int, verdict: int) -> None:
    assert run(default, X86["socket"], (family,)) == verdict


def test_calls_newer_than_the_table_are_missing(default: bytes) -> None:
    assert run(default, max(X86.values()) + 1) == ENOSYS
    assert run(default, 0x3FFFFFFF) == ENOSYS


def test_the_x32_numbers_are_missing(default: bytes) -> None:
    assert run(default, 0x40000000 | X86["mount"]) == ENOSYS


def test_another_architecture_is_killed(default: bytes) -> None:
    assert run(default, 0, arch=0x40000003) == KILL


def test_capabilities_open_what_the_kernel_would_ask_them_for() -> None:
    program = filter.compile(default_profile(("CAP_SYS_ADMIN", "CAP_SYS_TIME")), "x86_64")
    for name in ("mount", "unshare", "clone3", "settimeofday"):
        assert run(program, X86[name]) == ALLOW
    assert run(program, X86["clone"], (int(CLONE.NEWNS),)) == ALLOW
    assert run(program, X86["init_module"]) == EPERM


def test_the_default_profile_for_arm() -> None:
    program = filter.compile(default_profile(capabilities.DEFAULT), "aarch64")
    table, arch = numbers("aarch64"), AUDIT_ARCH["aarch64"]
    assert run(program, table["openat"], arch=arch) == ALLOW
    assert run(program, table["mount"], arch=arch) == EPERM
    assert run(program, table["openat"]) == KILL


@pytest.mark.parametrize(
    ("action", "number", "verdict"),
    [
        (scmp.KILL_OLD, None, 0),
        (scmp.KILL_THREAD, None, 0),
        (scmp.TRAP, None, 0x30000),
        (scmp.LOG, None, 0x7FFC0000),
        (scmp.NOTIFY, None, 0x7FC00000),
        (scmp.TRACE, 7, 0x7FF00007),
        (scmp.ERRNO, 7, 0x50007),
    ],
)
def test_every_action(action: str, number: int | None, verdict: int) -> None:
    rule = Syscalls(names=("read",), action=action, errno_ret=number)
    profile = LinuxSeccomp(default_action=scmp.ALLOW, syscalls=(rule,))
    assert run(filter.compile(profile, "x86_64"), X86["read"]) == verdict


@given(
    st.lists(
        st.tuples(
            st.sampled_from(scmp.OPERATORS),
            st.integers(0, 5),
            st.sampled_from([0, 1, 5, 1 << 32, (1 << 32) + 5, (1 << 64) - 1]),
            st.sampled_from([0, 1, 5, 1 << 32]),
        ),
        max_size=3,
    ),
    st.lists(
        st.sampled_from([0, 1, 4, 5, 1 << 32, (1 << 32) + 5, (1 << 64) - 1]), min_size=6, max_size=6
    ),
)
def test_conditions_hold_together(
    conditions: list[tuple[str, int, int, int]], args: list[int]
) -> None:
    rule = Syscalls(
        names=("read",),
        action=scmp.ALLOW,
        args=tuple(Argument(op=op, index=i, value=v, value_two=w) for op, i, v, w in conditions),
    )
    profile = LinuxSeccomp(default_action=scmp.ERRNO, syscalls=(rule,))
    meaning: dict[str, Callable[[int, int, int], bool]] = {
        scmp.EQ: lambda x, v, w: x == v,
        scmp.NE: lambda x, v, w: x != v,
        scmp.LT: lambda x, v, w: x < v,
        scmp.LE: lambda x, v, w: x <= v,
        scmp.GE: lambda x, v, w: x >= v,
        scmp.GT: lambda x, v, w: x > v,
        scmp.MASKED_EQ: lambda x, v, w: x & v == w,
    }
    holds = all(meaning[op](args[i], v, w) for op, i, v, w in conditions)
    program = filter.compile(profile, "x86_64")
    assert run(program, X86["read"], tuple(args)) == (ALLOW if holds else EPERM)


def test_an_unknown_action_or_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="SCMP_ACT_MAYBE"):
        filter.compile(LinuxSeccomp(default_action="SCMP_ACT_MAYBE"), "x86_64")
    argument = Argument(index=0, value=1, op="SCMP_CMP_LIKE")
    rule = Syscalls(names=("read",), action=scmp.ALLOW, args=(argument,))
    with pytest.raises(ValueError, match="SCMP_CMP_LIKE"):
        filter.compile(LinuxSeccomp(default_action=scmp.ERRNO, syscalls=(rule,)), "x86_64")
