"""Programs that the kernel runs for us: bpf(2)."""

import ctypes
import struct

from engine.linux.call import syscall

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_INSTRUCTION = 8


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
