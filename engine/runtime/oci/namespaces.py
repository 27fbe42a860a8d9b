"""linux.namespaces of a bundle, and what is set in them, as operations. Pure."""

from __future__ import annotations

import os

from engine.linux.flags import CLONE
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.document import Value
from engine.runtime.oci.entering import (
    NAMESPACES,
    BecomeRoot,
    JoinNamespaces,
    JoinTree,
    MapIds,
    NewTime,
)
from engine.runtime.oci.mapping import has, mapping
from engine.runtime.oci.settings import Names, Sysctls
from engine.runtime.ops.base import Op
from engine.runtime.ops.cgroups import UnshareCgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Not made as it is cloned: the cgroup it is to be rooted in is joined later, and a clock's offset
# is set before anybody is in.
_NOT_CLONED = ("cgroup", "time")
_CLOCKS = ("monotonic", "boottime")
_SECOND = 1_000_000_000
_LONGEST_NAME = 64
# kernel settings that a namespace has its own of; any other would be the machine's.
_IPC_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)
_UTS_SYSCTLS = ("kernel.hostname", "kernel.domainname")
# What is somebody else's to say, in a mount namespace of theirs.
_OF_THE_TREE = (
    ("mounts",),
    ("root", "readonly"),
    ("linux", "devices"),
    ("linux", "maskedPaths"),
    ("linux", "readonlyPaths"),
    ("linux", "rootfsPropagation"),
    ("linux", "mountLabel"),
)


def check(bundle: Bundle) -> None:
    """Raise ConfigError for namespaces that cannot be, or not together with the rest."""
    config, linux, namespaces = bundle.config, bundle.config.get("linux"), bundle.namespaces
    if "mount" not in namespaces:
        text = "a container needs a mount namespace, its own or one to join: its mounts would be"
        raise linux.get("namespaces").error(f"{text} the machine's")
    if namespaces["mount"]:
        for names in _OF_THE_TREE:
            if config.get(*names).raw:
                text = "is settled already in the mount namespace that is joined; leave it out"
                raise config.get(*names).error(text)
    for name in ("uidMappings", "gidMappings"):
        if namespaces.get("user") == "" and not mapping(linux.get(name)):
            raise linux.get(name).error("a user namespace needs a mapping")
        if linux.get(name).raw and "user" not in namespaces:
            raise linux.get(name).error("means nothing without a user namespace")
    if linux.get("timeOffsets").raw and namespaces.get("time") != "":
        raise linux.get("timeOffsets").error("means nothing without a new time namespace")


def flags(bundle: Bundle) -> CLONE:
    """Of clone3(2)."""
    found = CLONE(0)
    for kind, path in bundle.namespaces.items():
        if not path and kind not in _NOT_CLONED:
            found |= NAMESPACES[kind]
    return found


def ahead(bundle: Bundle) -> Iterator[Op]:
    """What is done before it is cloned, which takes one who goes there first."""
    # Once it is in a user namespace, it has no say in those of others.
    if "user" in bundle.namespaces and (joined := _joined(bundle)):
        yield JoinNamespaces(joined)
    if bundle.namespaces.get("time") == "":
        offsets = bundle.config.get("linux", "timeOffsets").entries()
        yield NewTime(tuple(_offset(*entry) for entry in offsets))


def _joined(bundle: Bundle) -> tuple[tuple[str, bytes], ...]:
    """Of others, but for the tree, which is left to the last, and what one has to be born in."""
    found = [
        (kind, os.fsencode(path))
        for kind, path in bundle.namespaces.items()
        if path and kind not in ("pid", "mount")
    ]
    return tuple(sorted(found, key=lambda pair: pair[0] == "user"))


def _offset(clock: str, value: Value) -> tuple[str, int, int]:
    if clock not in _CLOCKS:
        raise value.error(f"{clock!r} is none of {', '.join(_CLOCKS)}")
    nanoseconds = value.get("nanosecs").number(0)
    if not 0 <= nanoseconds < _SECOND:
        raise value.get("nanosecs").error(f"{nanoseconds} is not below a second")
    return clock, value.get("secs").number(0), nanoseconds


def within(bundle: Bundle) -> Iterator[Op]:
    """What its process does, once it is in its cgroup."""
    config, namespaces = bundle.config, bundle.namespaces
    if "user" not in namespaces and (joined := _joined(bundle)):
        yield JoinNamespaces(joined)
    if "user" in namespaces:
        if not namespaces["user"]:
            yield MapIds()
        yield BecomeRoot(*owner(config))
    if namespaces.get("cgroup") == "":
        yield UnshareCgroup()
    for name in ("hostname", "domainname"):
        if config.get(name).text("") and "uts" not in namespaces:
            raise config.get(name).error("needs a uts namespace: it would be the machine's")
        if len(config.get(name).text("")) > _LONGEST_NAME:
            raise config.get(name).error(f"is longer than {_LONGEST_NAME} bytes")
    hostname, domainname = config.get("hostname").text(""), config.get("domainname").text("")
    if hostname or domainname:
        yield Names(hostname, domainname)
    sysctls = tuple(_sysctl(bundle, *e) for e in config.get("linux", "sysctl").entries())
    if sysctls:
        yield Sysctls(sysctls)


def tree(bundle: Bundle) -> Iterator[Op]:
    """The mount namespace of others, if that is what is asked for."""
    path = bundle.namespaces["mount"]
    if path:
        yield JoinTree((("mount", os.fsencode(path)),))


def owner(config: Value) -> tuple[int, int]:
    """Who sets a user namespace up: its root, or its process's user where it has no root."""
    user = config.get("process", "user")
    found = []
    for kind, name in (("uid", "uidMappings"), ("gid", "gidMappings")):
        mapped = mapping(config.get("linux", name))
        found.append(0 if not mapped or has(mapped, 0) else user.get(kind).number(0))
    return found[0], found[1]


def _sysctl(bundle: Bundle, name: str, value: Value) -> tuple[bytes, bytes]:
    plain = name.replace("/", ".")
    if plain.startswith("net."):
        needed = "network"
    elif plain in _IPC_SYSCTLS or plain.startswith("fs.mqueue."):
        needed = "ipc"
    elif plain in _UTS_SYSCTLS:
        needed = "uts"
    else:
        raise value.error("is no setting of a namespace: it would change the machine's")
    if needed not in bundle.namespaces:
        raise value.error(f"needs a {needed} namespace: it would change the machine's")
    # A dot within a part, as of an interface eth0.1, is written as a slash.
    path = name.replace(".", "/") if "/" not in name else name.replace(".", "\0")
    path = path.replace("\0", ".")
    if ".." in path.split("/"):
        raise value.error("leads out of /proc/sys")
    return os.fsencode(path), value.text().encode()
