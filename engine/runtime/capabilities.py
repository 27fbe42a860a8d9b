"""Which capabilities a container has unless its manifest adds or drops some."""

from collections.abc import Iterable

from engine.linux.flags import cap_number

# Docker's fourteen without CAP_MKNOD: a container's /dev is a tmpfs on which device nodes work, and
# without a device controller (v1 `devices`, an eBPF program on v2) nothing would stop its root from
# making a node for the machine's disk.
DEFAULT = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)


def mask(names: Iterable[str]) -> int:
    """The set as a number with bit 1 << CAP for each. Raise ValueError for an unknown name."""
    bits = 0
    for name in names:
        bits |= 1 << cap_number(name)
    return bits
