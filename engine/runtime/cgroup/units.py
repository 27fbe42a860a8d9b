"""From the units of an OCI specification to those of a cgroup file. Pure."""

import math

# MIN_SHARES and MAX_SHARES of kernel/sched/core.c, CGROUP_WEIGHT_* of include/linux/cgroup.h.
SHARES_MIN, SHARES_MAX = 2, 262_144
WEIGHT_MIN, WEIGHT_MAX = 1, 10_000
PERIOD_US = 100_000

# v1 says "no limit" with the largest page-aligned number, which depends on the page size.
_V1_UNLIMITED = 1 << 62


def shares(value: int) -> int:
    """cpu.shares as the kernel would clamp it."""
    return min(max(value, SHARES_MIN), SHARES_MAX)


def weight(cpu_shares: int) -> int:
    """cpu.weight for cpu.shares.

    The curve of runc 1.3.2 and crun 1.23: it maps minimum, default (1024 to 100) and maximum onto
    each other. The older straight line gave a default container 39, less than any other service's
    100.
    """
    if cpu_shares <= SHARES_MIN:
        return WEIGHT_MIN
    if cpu_shares >= SHARES_MAX:
        return WEIGHT_MAX
    log = math.log2(cpu_shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def maximum(value: int) -> bytes:
    """A v2 limit: b"max" for a negative one."""
    return b"max" if value < 0 else b"%d" % value


def swap_max(limit: int | None, together: int | None) -> bytes | None:
    """v2's memory.swap.max, which v1 counts together with memory; None to leave it alone.

    Raise ValueError when memory and swap together are limited, but not memory, or to less.
    """
    if together is None:
        return None if limit is None else b"max" if limit < 0 else b"0"
    if together < 0:
        return b"max"
    if limit is None or not 0 <= limit <= together:
        raise ValueError(f"memory and swap together ({together}) need a limit of memory below it")
    return b"%d" % (together - limit)


def cpu_max(quota_us: int, period_us: int | None) -> bytes:
    """v2's cpu.max: quota and period in one value."""
    return b"%s %d" % (maximum(quota_us), period_us or PERIOD_US)


def parse_limit(text: bytes) -> int | None:
    """A limit as a cgroup file tells it, v1 or v2; None when there is none."""
    text = text.strip()
    if text == b"max":
        return None
    value = int(text)
    return None if value >= _V1_UNLIMITED else value
