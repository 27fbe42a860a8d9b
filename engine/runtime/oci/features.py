"""The features document of the specification (features.md, features-linux.md)."""

from __future__ import annotations

import os

from engine.linux.flags import CAP, cap_name
from engine.runtime import scmp
from engine.runtime.oci.bundle import NEW
from engine.runtime.oci.document import VERSION
from engine.runtime.oci.hooks import POINTS
from engine.runtime.oci.options import NAMES
from engine.runtime.oci.seccomp import ARCHITECTURES, FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def features() -> dict[str, Any]:
    """What this runtime can do, whatever the machine it is on can."""
    from engine.types.version import PODARIUM

    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": VERSION,
        "hooks": list(POINTS),
        "mountOptions": sorted(NAMES),
        "linux": {
            "namespaces": list(NEW),
            "capabilities": [cap_name(capability) for capability in CAP],
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": False,
                "systemdUser": False,
                "rdma": True,
            },
            "seccomp": {
                "enabled": os.path.exists("/proc/sys/kernel/seccomp/actions_avail"),
                "actions": list(scmp.ACTIONS),
                "operators": list(scmp.OPERATORS),
                "archs": list(ARCHITECTURES),
                "knownFlags": list(FLAGS),
                "supportedFlags": list(FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False, "schemata": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {"io.podarium.oci.version": PODARIUM},
        "potentiallyUnsafeConfigAnnotations": [],
    }
