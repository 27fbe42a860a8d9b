"""Every field that the specification has for Linux, given something that it cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.runtime.oci import labels
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.document import ConfigError, Value
from engine.runtime.oci.plan import compile
from tests.unit.oci.trees import Trees

_MAP = [{"containerID": 0, "hostID": 1000, "size": 10}]
_HOOK = [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}]
_DISK = {"major": 8, "minor": 0}
GOOD: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {
            "destination": "/data",
            "type": "bind",
            "source": "data",
            "options": ["rbind", "rro"],
            "uidMappings": _MAP,
            "gidMappings": _MAP,
        }
    ],
    "process": {
        "terminal": True,
        "consoleSize": {"height": 1, "width": 2},
        "cwd": "/",
        "env": ["PATH=/bin"],
        "args": ["sh"],
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
        "apparmorProfile": "p",
        "capabilities": {
            name: ["CAP_CHOWN"]
            for name in ("bounding", "effective", "inheritable", "permitted", "ambient")
        },
        "noNewPrivileges": True,
        "oomScoreAdj": 1,
        "scheduler": {
            "policy": "SCHED_OTHER",
            "nice": 1,
            "priority": 0,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 0,
            "deadline": 0,
            "period": 0,
        },
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
        "user": {"uid": 1, "gid": 2, "umask": 0o22, "additionalGids": [3]},
    },
    "hostname": "web",
    "domainname": "example.org",
    "hooks": dict.fromkeys(
        (
            *("prestart", "createRuntime", "createContainer"),
            *("startContainer", "poststart", "poststop"),
        ),
        _HOOK,
    ),
    "annotations": {"a": "b"},
    "linux": {
        "namespaces": [
            {"type": "pid", "path": "/proc/1/ns/pid"},
            *({"type": kind} for kind in ("mount", "uts", "ipc", "network", "user", "time")),
        ],
        "uidMappings": _MAP,
        "gidMappings": _MAP,
        "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}},
        "devices": [
            {
                "path": "/dev/x",
                "type": "c",
                "major": 1,
                "minor": 3,
                "fileMode": 0o666,
                "uid": 0,
                "gid": 0,
            }
        ],
        "cgroupsPath": "/c",
        "resources": {
            "devices": [
                {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
            ],
            "memory": {
                "limit": 10,
                "reservation": 9,
                "swap": 20,
                "kernel": 1,
                "kernelTCP": 1,
                "swappiness": 1,
                "disableOOMKiller": True,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 1024,
                "quota": 1,
                "burst": 1,
                "period": 1,
                "realtimeRuntime": 1,
                "realtimePeriod": 1,
                "cpus": "0",
                "mems": "0",
                "idle": 1,
            },
            "pids": {"limit": 1},
            "blockIO": {
                "weight": 10,
                "leafWeight": 10,
                "weightDevice": [{**_DISK, "weight": 10, "leafWeight": 10}],
                "throttleReadBpsDevice": [{**_DISK, "rate": 1}],
                "throttleWriteBpsDevice": [{**_DISK, "rate": 1}],
                "throttleReadIOPSDevice": [{**_DISK, "rate": 1}],
                "throttleWriteIOPSDevice": [{**_DISK, "rate": 1}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
            "network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 1}]},
        },
        "sysctl": {"kernel.msgmax": "1"},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/s",
            "listenerMetadata": "m",
            "syscalls": [
                {
                    "names": ["mkdir"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}],
                },
                {"names": ["rmdir"], "action": "SCMP_ACT_NOTIFY"},
            ],
        },
        "rootfsPropagation": "private",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "l",
        "personality": {"domain": "LINUX", "flags": []},
    },
}
# Whose members have names of their own.
_MAPS = ("sysctl", "timeOffsets", "annotations")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field there is."""
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        if isinstance(member, (dict, list)):
            yield from places(member, (*path, key))
        else:
            yield (*path, key)


def named(path: tuple[Any, ...]) -> str:
    """As messages name a field."""
    text, above = "", None
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif above in _MAPS:
            text += f"[{part!r}]"
        else:
            text += f".{part}" if text else part
        above = part
    return text


def good() -> dict[str, Any]:
    """With nothing in two places, unlike above."""
    found: dict[str, Any] = json.loads(json.dumps(GOOD))
    return found


def check(config: dict[str, Any]) -> None:
    bundle = Bundle("/b", Value(config))
    compile(bundle, "c", Trees(), held=~0, listener=3)


@pytest.fixture(autouse=True)
def with_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "apparmor", lambda: True)
    monkeypatch.setattr(labels, "selinux", lambda: True)


def test_all_of_it_is_good() -> None:
    check(good())


@pytest.mark.parametrize("path", list(places(GOOD)), ids=named)
def test_what_a_field_cannot_be_is_refused_by_its_name(path: tuple[Any, ...]) -> None:
    config = good()
    place: Any = config
    for part in path[:-1]:
        place = place[part]
    # No field is an object with this in it, nor a number or a word.
    wrong: Any = 3.5 if isinstance(place[path[-1]], (dict, list)) else {"no": "such"}
    place[path[-1]] = wrong
    with pytest.raises(ConfigError) as caught:
        check(config)
    said = str(caught.value)
    assert said.startswith(named(path) + ": must be "), said
    assert ("not 3.5" if wrong == 3.5 else 'not {"no": "such"}') in said
