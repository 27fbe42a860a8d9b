"""Settings of linux.resources that not every kernel has: each is written where it is, or refused
with the field that asks for it. Pure, but for Control.

The specification speaks v1; where v2 says the same in another way it is converted, and where it
cannot say it, the field is refused.
"""

from __future__ import annotations

import errno
import os

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci.document import Value
from engine.runtime.ops.base import Context, Op, quoted, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Setting = tuple[Value, bytes, tuple[bytes, ...], bytes]
    """Field, controller, the names that its file may have, value."""

# Of v1's weights, and of v2's (Documentation/admin-guide/cgroup-v2.rst, "io.weight").
_WEIGHT_MIN, _WEIGHT_MAX = 10, 1000
_IO_WEIGHT_MAX = 10_000
_THROTTLES = {
    "throttleReadBpsDevice": (b"blkio.throttle.read_bps_device", b"rbps"),
    "throttleWriteBpsDevice": (b"blkio.throttle.write_bps_device", b"wbps"),
    "throttleReadIOPSDevice": (b"blkio.throttle.read_iops_device", b"riops"),
    "throttleWriteIOPSDevice": (b"blkio.throttle.write_iops_device", b"wiops"),
}
_MEMORY = {
    "kernel": b"memory.kmem.limit_in_bytes",
    "kernelTCP": b"memory.kmem.tcp.limit_in_bytes",
    "swappiness": b"memory.swappiness",
}
_REALTIME = {"realtimePeriod": b"cpu.rt_period_us", "realtimeRuntime": b"cpu.rt_runtime_us"}


class Control(Op):
    """(field, the files it may be in, value) each: written to the first that is there."""

    NAME = "control"
    PHASE = "cgroup"
    settings: tuple[tuple[str, tuple[bytes, ...], bytes], ...]

    @property
    def about(self) -> str:
        return ", ".join(dict.fromkeys(field for field, _, _ in self.settings))

    def apply(self, context: Context) -> None:
        for field, files, value in self.settings:
            file = next((file for file in files if os.path.exists(file)), b"")
            if not file:
                text = f"this kernel has no {shown(os.path.basename(files[0]))}; leave it out"
                raise OSError(errno.ENOENT, text, field)
            try:
                tree.write(file, value)
            except OSError as error:
                text = f"{error.filename}: {error.strerror}"
                raise OSError(error.errno, text, field) from None

    def describe(self) -> str:
        return "limit it: " + ", ".join(
            f"{shown(os.path.basename(files[0]))}={shown(value)}"
            for _, files, value in self.settings
        )

    def shell(self) -> str:
        return "; ".join(
            f"echo {quoted(value)} > {quoted(files[0])}" for _, files, value in self.settings
        )


def needed(value: Value) -> set[bytes]:
    """The controllers that these take: v1's name and v2's, where they differ."""
    found = set()
    if value.get("blockIO"):
        found |= {b"blkio", b"io"}
    if value.get("hugepageLimits"):
        found.add(b"hugetlb")
    if value.get("rdma"):
        found.add(b"rdma")
    for name, controller in (("classID", b"net_cls"), ("priorities", b"net_prio")):
        if value.get("network", name):
            found.add(controller)
    for file, _ in value.get("unified").entries():
        found.add(file.partition(".")[0].encode())
    return found - {b"cgroup"}


def control(value: Value, path: bytes, hierarchy: Hierarchy) -> Control | None:
    """Of the cgroup at `path`. Raise ConfigError."""
    v2 = hierarchy.name == "v2"
    found = []
    for field, controller, names, text in _settings(value, v2):
        if controller not in hierarchy.controllers:
            raise field.error(
                f"this machine has no cgroup controller {controller.decode()} that we can use"
            )
        directory = hierarchy.directory_of(controller, path)
        found.append((field.path, tuple(directory + b"/" + name for name in names), text))
    return Control(tuple(found)) if found else None


def _settings(value: Value, v2: bool) -> Iterator[Setting]:
    yield from _block(value.get("blockIO"), v2)
    yield from _memory(value.get("memory"), v2)
    for name, file in _REALTIME.items():
        if field := value.get("cpu", name):
            _only_v1(field, v2, "gives no guarantees to real-time processes")
            yield field, b"cpu", (file,), b"%d" % field.number()
    for item in value.get("hugepageLimits").items():
        yield _hugepages(item, v2)
    for device, limits in value.get("rdma").entries():
        yield limits, b"rdma", (b"rdma.max",), _rdma(device, limits)
    if field := value.get("network", "classID"):
        _only_v1(field, v2, "has no classes of packets; nftables can match a cgroup by its path")
        yield field, b"net_cls", (b"net_cls.classid",), b"%d" % _uint32(field)
    for item in value.get("network", "priorities").items():
        _only_v1(item, v2, "has no priorities of interfaces")
        line = f"{item.get('name').text()} {_uint32(item.get('priority'))}"
        yield item, b"net_prio", (b"net_prio.ifpriomap",), line.encode()


def _only_v1(field: Value, v2: bool, why: str) -> None:
    if v2:
        raise field.error(f"cgroup v2, which this machine has, {why}; leave it out")


def _block(value: Value, v2: bool) -> Iterator[Setting]:
    controller = b"io" if v2 else b"blkio"
    if field := value.get("weight"):
        yield from _weight(field, b"", v2)
    if field := value.get("leafWeight"):
        _only_v1(field, v2, "has no weight for what is not in a cgroup below")
        yield field, controller, (b"blkio.leaf_weight",), b"%d" % _weighed(field)
    for item in value.get("weightDevice").items():
        device = _device(item)
        weight, leaf = item.get("weight"), item.get("leafWeight")
        if not weight and not leaf:
            raise item.error("needs a weight or a leafWeight")
        if weight:
            yield from _weight(weight, device, v2)
        if leaf:
            _only_v1(leaf, v2, "has no weight for what is not in a cgroup below")
            text = device + b" %d" % _weighed(leaf)
            yield leaf, controller, (b"blkio.leaf_weight_device",), text
    for name, (file, key) in _THROTTLES.items():
        for item in value.get(name).items():
            rate = item.get("rate").number()
            if rate < 0:
                raise item.get("rate").error(f"{rate} is no rate")
            if v2:
                limit = b"%d" % rate if rate else b"max"
                yield item, controller, (b"io.max",), _device(item) + b" " + key + b"=" + limit
            else:
                yield item, controller, (file,), _device(item) + b" %d" % rate


def _weight(field: Value, device: bytes, v2: bool) -> Iterator[Setting]:
    """Whoever schedules: bfq has its own file, in which v1's scale goes on in v2."""
    weight = _weighed(field)
    before = device + b" " if device else b""
    if not v2:
        suffix = b"_device" if device else b""
        names = (b"blkio.bfq.weight" + suffix, b"blkio.weight" + suffix)
        yield field, b"blkio", names, before + b"%d" % weight
        return
    scaled = 1 + (weight - _WEIGHT_MIN) * (_IO_WEIGHT_MAX - 1) // (_WEIGHT_MAX - _WEIGHT_MIN)
    yield field, b"io", (b"io.weight",), (before or b"default ") + b"%d" % scaled


def _weighed(field: Value) -> int:
    weight = field.number()
    if not _WEIGHT_MIN <= weight <= _WEIGHT_MAX:
        raise field.error(f"{weight} is not between {_WEIGHT_MIN} and {_WEIGHT_MAX}")
    return weight


def _device(item: Value) -> bytes:
    return b"%d:%d" % (item.get("major").number(), item.get("minor").number())


def _memory(value: Value, v2: bool) -> Iterator[Setting]:
    for name, file in _MEMORY.items():
        if field := value.get(name):
            _only_v1(field, v2, f"has no {name} of a cgroup")
            yield field, b"memory", (file,), b"%d" % field.number()
    field = value.get("disableOOMKiller")
    if field.flag():
        _only_v1(field, v2, "cannot keep the kernel from ending what has no memory left")
        yield field, b"memory", (b"memory.oom_control",), b"1"
    field = value.get("useHierarchy")
    if field:
        if v2 and not field.flag():
            raise field.error("cgroup v2 always counts what is below; leave it out")
        if not v2:
            yield field, b"memory", (b"memory.use_hierarchy",), b"%d" % field.flag()


def _hugepages(item: Value, v2: bool) -> Setting:
    size = item.get("pageSize").text()
    if not size.endswith(("KB", "MB", "GB")) or not size[:-2].isdecimal():
        raise item.get("pageSize").error(f"{size!r} is not as 64KB, 2MB or 1GB")
    limit = item.get("limit").number()
    suffix = b"max" if v2 else b"limit_in_bytes"
    # What is reserved is limited before it is used, and so never ends in a SIGBUS.
    names = tuple(f"hugetlb.{size}.{kind}".encode() + suffix for kind in ("rsvd.", ""))
    return item, b"hugetlb", names, b"%d" % limit


def _rdma(device: str, limits: Value) -> bytes:
    words = [device]
    for name, key in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
        if field := limits.get(name):
            words.append(f"{key}={_uint32(field)}")
    if len(words) == 1:
        raise limits.error("needs hcaHandles or hcaObjects")
    return " ".join(words).encode()


def _uint32(field: Value) -> int:
    number = field.number()
    if not 0 <= number < 2**32:
        raise field.error(f"{number} does not fit 32 bits")
    return number
