"""Filters of a bundle: read as the specification has them, and decided as libseccomp would."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.linux.table import AUDIT_ARCH, numbers
from engine.runtime import filter, scmp
from engine.runtime.oci.document import ConfigError, Value
from engine.runtime.oci.listener import SeccompListener
from engine.runtime.oci.seccomp import Profile, confinement
from tests.unit.runtime.test_filter import ALLOW, EPERM, KILL, run

# <seccomp.h>: what SCMP_ACT_* and SCMP_CMP_* are.
ACTIONS = {
    scmp.ALLOW: 0x7FFF0000,
    scmp.LOG: 0x7FFC0000,
    scmp.TRAP: 0x00030000,
    scmp.KILL: 0x80000000,
    scmp.KILL_OLD: 0,
    scmp.KILL_THREAD: 0,
    scmp.ERRNO: 0x00050000,
    scmp.TRACE: 0x7FF00000,
    scmp.NOTIFY: 0x7FC00000,
}
COMPARISONS = {
    scmp.NE: 1,
    scmp.LT: 2,
    scmp.LE: 3,
    scmp.EQ: 4,
    scmp.GE: 5,
    scmp.GT: 6,
    scmp.MASKED_EQ: 7,
}
NAMES = ("read", "openat", "clone", "socket", "ioctl", "personality", "close_range")
WORDS = [0, 1, 2, 5, 1 << 31, 1 << 32, (1 << 32) + 5, (1 << 64) - 1]


class Comparison(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


@pytest.fixture(scope="module")
def libseccomp() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("no libseccomp to compare with")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(Comparison),
    )
    return library


def theirs(library: ctypes.CDLL, profile: Profile, also: tuple[int, ...] = ()) -> bytes:
    """The program that libseccomp makes of a profile, rule by rule as runc does."""
    default = _action(profile.default_action, profile.default_errno_ret)
    context = library.seccomp_init(default)
    for arch in also:
        assert library.seccomp_arch_add(context, arch) == 0
    for rule in profile.syscalls:
        action = _action(rule.action, rule.errno_ret)
        if action == default:
            continue
        comparisons = (Comparison * 6)(
            *(Comparison(a.index, COMPARISONS[a.op], a.value, a.value_two) for a in rule.args)
        )
        for name in rule.names:
            number = library.seccomp_syscall_resolve_name(name.encode())
            result = library.seccomp_rule_add_array(
                context, action, number, len(rule.args), comparisons
            )
            # The same rule twice.
            assert result in (0, -errno.EEXIST), name
    file = os.memfd_create("bpf")
    assert library.seccomp_export_bpf(context, file) == 0
    library.seccomp_release(context)
    os.lseek(file, 0, os.SEEK_SET)
    program = os.read(file, 1 << 20)
    os.close(file)
    return program


def _action(name: str, errno_ret: int | None) -> int:
    data = errno_ret if errno_ret is not None else errno.EPERM
    return ACTIONS[name] | (data if name in (scmp.ERRNO, scmp.TRACE) else 0)


conditions = st.builds(
    lambda index, op, value, mask: {
        "index": index,
        "op": op,
        "value": mask if op == scmp.MASKED_EQ else value,
        "valueTwo": value & mask,
    },
    st.integers(0, 5),
    st.sampled_from(scmp.OPERATORS),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
)
actions = st.sampled_from([name for name in ACTIONS if name != scmp.NOTIFY])
# Each call has one answer when its conditions hold: which of several wins is nobody's rule.
rules = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(
        actions,
        st.lists(st.lists(conditions, max_size=2, unique_by=lambda c: c["index"]), max_size=3),
    ),
)


def profile_of(default: str, chosen: dict[str, tuple[str, list[Any]]]) -> Profile:
    syscalls = [
        {"names": [name], "action": action, "args": args}
        for name, (action, alternatives) in chosen.items()
        for args in alternatives or [[]]
    ]
    return Profile(Value({"defaultAction": default, "syscalls": syscalls}))


@settings(max_examples=150, deadline=None)
@given(actions, rules, st.lists(st.sampled_from(WORDS), min_size=6, max_size=6))
def test_decided_as_libseccomp_would(
    libseccomp: ctypes.CDLL,
    default: str,
    chosen: dict[str, tuple[str, list[Any]]],
    args: list[int],
) -> None:
    profile = profile_of(default, chosen)
    other = theirs(libseccomp, profile, (AUDIT_ARCH["i386"],))
    for machine, also in (("x86_64", ("i386",)), ("i386", ())):
        program = filter.compile(profile, "x86_64", ("i386",))
        table, arch = numbers(machine), AUDIT_ARCH[machine]
        # libseccomp has the calls of i386 that have a number for many; ours are the numbers.
        plain = NAMES if also else ("read", "openat", "close_range")
        width = (1 << 64) - 1 if also else (1 << 32) - 1
        words = tuple(arg & width for arg in args)
        for name in (*plain, "getpid"):
            expected = run(other, table[name], words, arch)
            if machine == "i386" and chosen.get(name, ("", []))[1]:
                # A condition beyond 32 bits means nothing there, and libseccomp leaves it out.
                continue
            assert run(program, table[name], words, arch) == expected, (machine, name)


def test_a_program_of_32_bits_is_for_those_who_ask_for_it() -> None:
    document = {
        "defaultAction": scmp.ERRNO,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["getpid", "socketcall"], "action": scmp.ALLOW}],
    }
    profile = Profile(Value(document))
    program = filter.compile(profile, "x86_64", ("i386",))
    i386, arch = numbers("i386"), AUDIT_ARCH["i386"]
    assert run(program, i386["getpid"], arch=arch) == ALLOW
    assert run(program, i386["socketcall"], arch=arch) == ALLOW
    assert run(program, i386["read"], arch=arch) == EPERM
    assert run(program, numbers("x86_64")["getpid"]) == ALLOW
    assert run(program, 0, arch=AUDIT_ARCH["aarch64"]) == KILL
    assert run(filter.compile(profile, "x86_64"), i386["getpid"], arch=arch) == KILL


def test_conditions_on_one_argument_are_alternatives() -> None:
    rule = {
        "names": ["socket"],
        "action": scmp.ALLOW,
        "args": [{"index": 0, "value": value, "op": scmp.EQ} for value in (1, 2)],
    }
    profile = Profile(Value({"defaultAction": scmp.ERRNO, "syscalls": [rule]}))
    assert [[a.value for a in r.args] for r in profile.syscalls] == [[1], [2]]


def test_flags_and_who_listens() -> None:
    def made(action: str, **more: Any) -> Any:
        rule = {"names": ["mkdir"], "action": action}
        flags = [f"SECCOMP_FILTER_FLAG_{f}" for f in ("TSYNC", "LOG", "WAIT_KILLABLE_RECV")]
        document = {"defaultAction": scmp.ALLOW, "syscalls": [rule], "flags": flags, **more}
        return confinement(Value(document, "linux.seccomp"))

    plain, listened = made(scmp.LOG), made(scmp.NOTIFY, listenerPath="/s")
    assert (type(plain).__name__, plain.flags) == ("Seccomp", 1 | 2)
    assert isinstance(listened, SeccompListener)
    assert listened.flags == 2 | 8 | 32
    with pytest.raises(ConfigError, match=r"listenerPath: is missing, and SCMP_ACT_NOTIFY needs"):
        made(scmp.NOTIFY)
    with pytest.raises(ConfigError, match=r"listenerMetadata: means nothing without"):
        made(scmp.LOG, listenerMetadata="x")
    with pytest.raises(ConfigError, match=r"linux.seccomp: SCMP_ACT_NOTIFY cannot be for every"):
        made(scmp.LOG, defaultAction=scmp.NOTIFY)
    assert confinement(Value(None)) is None
