"""The keeper is small because its imports are: doors and cgroups are stdlib only, and little."""

import os
import subprocess
import sys

DEAR = {"typing", "dataclasses", "inspect", "re", "logging", "asyncio", "threading", "subprocess"}


def test_the_doors_and_cgroups_import_nothing_dear() -> None:
    code = f"""
import sys
sys.path.insert(0, {os.getcwd()!r})
from engine.linux import mount, namespace, netlink, path, pidfd, process, seccomp
from engine.runtime.cgroup import api
api.detect()
print(" ".join(sys.modules))
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert not loaded & DEAR
    ours = {name for name in loaded if name.startswith("engine")}
    assert not {
        name for name in loaded - ours if name.split(".")[0] not in sys.stdlib_module_names
    } - {"__main__"}
