"""What a bundle cannot have is refused, with the name of the field."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runtime.oci import labels
from engine.runtime.oci.document import ConfigError
from tests.unit.oci.test_config import MAP, plan


@pytest.fixture(autouse=True)
def without_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr(labels, "apparmor", lambda: False)
    monkeypatch.setattr(labels, "selinux", lambda: False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ociVersion": "2.0.0"}, r"ociVersion: '2.0.0' is not a version 1"),
        ({"ociVersion": 1}, r"ociVersion: must be a string, not 1"),
        ({"linux": None}, r"linux: is missing"),
        ({"process__args": []}, r"process.args: names no command"),
        ({"process__args__0": 3}, r"process.args\[0\]: must be a string, not 3"),
        ({"process__env": ["nothing"]}, r"process.env\[0\]: 'nothing' is not NAME=VALUE"),
        ({"process__cwd": "tmp"}, r"process.cwd: 'tmp' must be an absolute path"),
        ({"process__user__uid": "root"}, r'process.user.uid: must be a number, not "root"'),
        ({"process__user__uid": -1}, r"process.user.uid: -1 is no id"),
        (
            {"process__capabilities__bounding": ["CAP_FLY"]},
            r"process.capabilities.bounding\[0\]: unknown capability 'CAP_FLY'",
        ),
        (
            {"process__rlimits__0__type": "RLIMIT_LUCK"},
            r"process.rlimits\[0\].type: 'RLIMIT_LUCK' is not a limit",
        ),
        ({"process__rlimits__0__soft": 30}, r"process.rlimits\[0\].soft: is more than the hard"),
        (
            {"process__apparmorProfile": "p"},
            r"process.apparmorProfile: this machine is without",
        ),
        ({"process__selinuxLabel": "p"}, r"process.selinuxLabel: this machine is without selinux"),
        ({"linux__mountLabel": "p"}, r"linux.mountLabel: this machine is without"),
        ({"linux__intelRdt": {"closID": "x"}}, r"linux.intelRdt: is not supported"),
        ({"vm": {"kernel": {}}}, r"vm: is not supported: containers here are no virtual machines"),
        ({"linux__personality": {"domain": "LINUX", "flags": ["x"]}}, r"personality.flags: the sp"),
        (
            {"process__ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}},
            r"process.ioPriority.priority: 8 is not between 0 and 7",
        ),
        (
            {"process__scheduler": {"policy": "SCHED_LUCK"}},
            r"process.scheduler.policy: 'SCHED_LUCK' is none of SCHED_OTHER",
        ),
        ({"mounts__1__destination": "/"}, r"mounts\[1\].destination: '/': the root"),
        ({"mounts__1__destination": "/proc"}, r"mounts\[1\].source: 'data' is not the /proc"),
        ({"mounts__1__options": ["bind", "size=1"]}, r"mounts\[1\].options: size=1 means nothing"),
        ({"mounts__1__options": ["bind", "idmap"]}, r"mounts\[1\].options: idmap needs uidMapp"),
        (
            {
                "mounts__0__options": ["idmap"],
                "mounts__0__uidMappings": MAP,
                "mounts__0__gidMappings": MAP,
            },
            r"mounts\[0\]: only bind mounts can show other ids",
        ),
        (
            {"mounts__1__uidMappings": [{"containerID": 0, "hostID": 1, "size": 0}]},
            r"mounts\[1\].uidMappings\[0\].size: 0 ids from 1 on there are not",
        ),
        (
            {"mounts__1__uidMappings": MAP},
            r"mounts\[1\].uidMappings: goes together with gidMappings",
        ),
        ({"linux__uidMappings": MAP}, r"linux.uidMappings: means nothing without a user namespace"),
        (
            {"linux__namespaces__6": {"type": "user"}},
            r"linux.uidMappings: a user namespace needs a mapping",
        ),
        (
            {"linux__timeOffsets": {"boottime": {}}},
            r"linux.timeOffsets: means nothing without a new time",
        ),
        (
            {
                "linux__namespaces__6": {"type": "time"},
                "linux__timeOffsets": {"realtime": {"secs": 1}},
            },
            r"linux.timeOffsets\['realtime'\]: 'realtime' is none of monotonic, boottime",
        ),
        ({"mounts__1__source": ""}, r"mounts\[1\].source: is missing"),
        (
            {"mounts__0": {"destination": "/proc/x", "type": "tmpfs"}},
            r"mounts\[0\].destination: /proc/x: nothing may be mounted there",
        ),
        ({"linux__namespaces__0__type": "moon"}, r"linux.namespaces\[0\].type: 'moon' is none of"),
        ({"linux__namespaces__0__type": "uts"}, r"a second namespace of type uts"),
        ({"linux__namespaces__0__path": "ns"}, r"linux.namespaces\[0\].path: must be an absolute"),
        ({"linux__namespaces__1__path": "/ns"}, r"mounts: is settled already in the mount namesp"),
        (
            {"linux__namespaces__1": {"type": "time"}},
            r"linux.namespaces: a container needs a mou",
        ),
        ({"linux__namespaces": [{"type": "mount"}]}, r"hostname: needs a uts namespace"),
        ({"linux__sysctl": {"vm.swappiness": "1"}}, r"sysctl\['vm.swappiness'\]: is no setting of"),
        ({"linux__sysctl": {"net/../vm": "1"}}, r"leads out of /proc/sys"),
        ({"linux__cgroupsPath": "../x"}, r"linux.cgroupsPath: '../x' names no cgroup"),
        ({"linux__maskedPaths": ["proc"]}, r"linux.maskedPaths\[0\]: 'proc' must be absolute"),
        ({"linux__rootfsPropagation": "odd"}, r"linux.rootfsPropagation: 'odd' is none of"),
        ({"linux__resources__memory__limit": "1"}, r'memory.limit: must be a number, not "1"'),
        (
            {"linux__resources__blockIO": {"weight": 1}},
            r"linux.resources.blockIO.weight: 1 is not between 10 and 1000",
        ),
        (
            {"linux__resources__unified": {"memory.high": "1"}},
            r"linux.resources.unified\['memory.high'\]: is a setting of cgroup v2",
        ),
        (
            {"linux__resources__rdma": {"mlx": {"hcaHandles": 1}}},
            r"linux.resources.rdma\['mlx'\]: this machine has no cgroup controller rdma",
        ),
        (
            {"linux__seccomp__syscalls": [{"names": ["read"], "action": "SCMP_ACT_MAYBE"}]},
            r"linux.seccomp.syscalls\[0\].action: 'SCMP_ACT_MAYBE' is none of",
        ),
        (
            {"linux__devices": [{"path": "/dev/x", "type": "z"}]},
            r"linux.devices\[0\].type: 'z' is none of c, u, b, p",
        ),
        ({"linux__devices": [{"path": "/dev/x", "type": "c"}]}, r"devices\[0\].major: is missing"),
        ({"hooks": {"prestart": [{"path": "x"}]}}, r"hooks.prestart\[0\].path: 'x' must be abs"),
        (
            {"hooks": {"prestart": [{"path": "/x", "timeout": 0}]}},
            r"hooks.prestart\[0\].timeout: must be more than 0",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(**changes)
