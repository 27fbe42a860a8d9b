"""Programs that the kernel runs for us: bpf(2)."""

import ctypes
import os
import struct

from engine.linux.call import syscall

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_INSTRUCTION = 8
# As many as one cgroup may have (BPF_CGROUP_MAX_PROGS of include/linux/bpf-cgroup.h).
_PROGRAMS = 64
# Of the query: where its count is, and the space that the kernel writes answers into.
_QUERY_COUNT, _QUERY_SIZE = 24, 128


def load_device_filter(program: bytes) -> int:
    """BPF_PROG_LOAD of a BPF_PROG_TYPE_CGROUP_DEVICE (Linux 4.15): a descriptor of the program."""
    code = ctypes.create_string_buffer(program, len(program))
    license = ctypes.create_string_buffer(b"Apache-2.0")
    attr = struct.pack(
        "=IIQQIIQII",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // _INSTRUCTION,
        ctypes.addressof(code),
        ctypes.addressof(license),
        0,
        0,
        0,
        0,
        0,
    )
    about = f"device filter of {len(program) // _INSTRUCTION} instructions"
    return syscall("bpf", _PROG_LOAD, attr, len(attr), about=about)


def attach_device_filter(cgroup: int, program: int) -> None:
    """BPF_PROG_ATTACH to the directory of a v2 cgroup, beside those of its ancestors: a device may
    be opened when all of them allow it. It lasts as long as the cgroup."""
    attr = struct.pack("=IIII", cgroup, program, _CGROUP_DEVICE, _ALLOW_MULTI)
    syscall("bpf", _PROG_ATTACH, attr, len(attr), about="device filter")


def device_filters(cgroup: int) -> list[int]:
    """BPF_PROG_QUERY (Linux 4.15): the ids of those attached to this very cgroup."""
    ids = (ctypes.c_uint32 * _PROGRAMS)()
    attr = struct.pack("=IIIIQI", cgroup, _CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _PROGRAMS)
    # Linux 6.17 also answers in fields beyond those that were given.
    answer = ctypes.create_string_buffer(attr, _QUERY_SIZE)
    syscall("bpf", _PROG_QUERY, answer, len(attr), about="device filters")
    return list(ids[: struct.unpack_from("=I", answer, _QUERY_COUNT)[0]])


def detach_device_filter(cgroup: int, id: int) -> None:
    """BPF_PROG_DETACH."""
    program = syscall("bpf", _PROG_GET_FD_BY_ID, struct.pack("=I", id), 4, about="device filter")
    try:
        attr = struct.pack("=III", cgroup, program, _CGROUP_DEVICE)
        syscall("bpf", _PROG_DETACH, attr, len(attr), about="device filter")
    finally:
        os.close(program)
