"""System calls that reach the machine are refused, by each of two defences alone.

Each call is made so that a kernel which would carry it out complains of its arguments instead:
only a refusal is EPERM (ENOSYS for clone3, so that libc falls back to clone).
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from engine.linux.flags import CAP, cap_name
from engine.runtime.spec import Capabilities, Spec
from tests.security.conftest import Captive
from tests.security.inside import NR, call, tried

NEW_NAMESPACES = {
    "mount": 0x20000,
    "cgroup": 0x2000000,
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}


def call_the_machine(namespaces: dict[str, int]) -> dict[str, str]:
    import ctypes
    import signal

    nowhere, zero = 1, ctypes.create_string_buffer(4096)
    here = ctypes.addressof(zero)

    def clone(flag):
        pid = call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def own(kind):
        return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)

    calls = {
        "mount": (b"none", b"/nowhere", b"tmpfs", 0, 0),
        "umount2": (b"/nowhere", 0),
        "pivot_root": (b"/nowhere", b"/nowhere"),
        "open_tree": (-1, b"nowhere", 1),
        "move_mount": (-1, b"nowhere", -1, b"nowhere", 0),
        "fsopen": (b"nothing", 0),
        "fspick": (-1, b"nowhere", 0),
        "fsmount": (-1, 0, 0),
        "mount_setattr": (-1, b"nowhere", 0, here, 32),
        "swapon": (b"/nowhere", 0),
        "swapoff": (b"/nowhere",),
        "setns": (own("net"), 0x40000000),
        "init_module": (here, 0, b""),
        "finit_module": (-1, b"", 0),
        "delete_module": (b"no_such_module", os.O_NONBLOCK),
        "kexec_load": (0, 0, 0, 0xFFFF),
        "kexec_file_load": (-1, -1, 0, 0, 0xFFFF),
        "reboot": (0, 0, 0, 0),
        "bpf": (5, nowhere, 128),
        "perf_event_open": (nowhere, 0, -1, -1, 0),
        "userfaultfd": (0xFFFF,),
        "keyctl": (0, -3, 1, 0, 0),
        "add_key": (b"user", b"ours", b"x", 1, -3),
        "request_key": (b"user", b"ours", 0, 0),
        "io_uring_setup": (nowhere, nowhere),
        "open_by_handle_at": (-1, here, 0),
        "settimeofday": (nowhere, 0),
        "clock_settime": (0, nowhere),
        "sethostname": (b"", -1),
        "setdomainname": (b"", -1),
        "syslog": (10, 0, 0),
        "acct": (b"/nowhere",),
        "quotactl": (0x800002 << 8, b"/nowhere", 0, here),
        "iopl": (3,),
        "ioperm": (0, 1, 1),
        "fanotify_init": (0xFFFF, 0),
        "vhangup": (),
        "move_pages": (1, 1, nowhere, nowhere, nowhere, 2),
    }
    found = {name: tried(call, name, *args) for name, args in calls.items() if name in NR}
    found["clone3"] = tried(call, "clone3", here, 1)
    for kind, flag in namespaces.items():
        found[f"unshare {kind}"] = tried(call, "unshare", flag)
        found[f"clone {kind}"] = tried(clone, flag)
    return found


def unfiltered(spec: Spec) -> Spec:
    return msgspec.structs.replace(spec, linux=msgspec.structs.replace(spec.linux, seccomp=None))


def almighty(spec: Spec) -> Spec:
    status = Path("/proc/self/status").read_text()
    ours = int(status.partition("CapPrm:")[2].split()[0], 16)
    every = tuple(cap_name(c) for c in CAP if ours >> c & 1)
    held = Capabilities(bounding=every, effective=every, permitted=every)
    return msgspec.structs.replace(
        spec, process=msgspec.structs.replace(spec.process, capabilities=held)
    )


async def test_what_reaches_the_machine_is_refused(captive: Captive) -> None:
    outcome = await captive.run(call_the_machine, NEW_NAMESPACES)
    assert outcome.pop("clone3") == "ENOSYS"
    assert {name: how for name, how in outcome.items() if how != "EPERM"} == {}


async def test_and_the_filter_alone_refuses_it(captive: Captive) -> None:
    outcome = await captive.run(call_the_machine, NEW_NAMESPACES, change=almighty)
    assert outcome.pop("clone3") == "ENOSYS"
    assert {name: how for name, how in outcome.items() if how != "EPERM"} == {}


# What a user namespace would make harmless comes first in NEW_NAMESPACES, before one is made.
PRIVILEGED = {
    *("pivot_root", "open_tree", "fsopen", "setns", "reboot", "swapon", "swapoff", "syslog"),
    *("sethostname", "setdomainname", "acct", "fanotify_init", "vhangup"),
    *("unshare mount", "unshare uts", "unshare ipc", "clone mount", "clone uts", "clone ipc"),
}


async def test_so_do_the_missing_capabilities_where_the_kernel_asks_for_any(
    captive: Captive,
) -> None:
    """Nothing but the filter keeps io_uring (holes of its own, and it does file and network
    operations that a filter never sees), userfaultfd and keyrings from a container."""
    outcome = await captive.run(call_the_machine, NEW_NAMESPACES, change=unfiltered)
    assert {name for name, how in outcome.items() if how == "EPERM"} >= PRIVILEGED
    for name in ("io_uring_setup", "userfaultfd", "keyctl", "unshare user"):
        assert outcome[name] != "EPERM"


async def test_without_both_the_kernel_would_do_it(captive: Captive) -> None:
    outcome = await captive.run(
        call_the_machine, NEW_NAMESPACES, change=lambda spec: almighty(unfiltered(spec))
    )
    # After `unshare user` this process has an identity that may not make another one.
    refused = {name for name, how in outcome.items() if how == "EPERM"} - {"clone user"}
    assert refused == set()
