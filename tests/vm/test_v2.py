"""The engine on pure cgroup v2 and an older kernel, whatever this machine has: in a machine of its
own, which is booted once."""

from __future__ import annotations

import re
import sys

import pytest

from tests.vm.boot import Ended, boot

pytestmark = pytest.mark.xdist_group("vm")

# Of the containers' tests those that the kernel has a say in.
_KERNELS = ("test_inside", "test_life", "test_layers", "test_network")
# Of the attacks those whose defence is the kernel's or its cgroups'.
_SECURITY = ("files", "kernel", "limits", "null", "settings")
_LIFE = ("create_start_delete", "pause_resume_and_update", "exec")
_LIMITS = (
    "limits_that_not_every_kernel_has",
    "a_controller_that_is_needed_only_later",
    "swap_is_limited_beside_the_memory_that_is_limited_now",
)
SUITES = {
    "doors": ["tests/real/linux"],
    "cgroups": ["tests/real/cgroup"],
    "journey": ["tests/vm/journey.py"],
    "rootless": ["tests/vm/rootless.py"],
    "containers": [f"tests/real/runtime/{name}.py" for name in _KERNELS],
    "oci": [
        *(f"tests/real/oci/test_life.py::test_{name}" for name in _LIFE),
        *(f"tests/real/oci/test_resources.py::test_{name}" for name in _LIMITS),
        "tests/real/oci/test_config.py::test_devices_and_their_rules",
    ],
    "security": [f"tests/security/test_{name}.py" for name in _SECURITY],
}


@pytest.fixture(scope="module")
def ended() -> dict[str, Ended]:
    pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--tb=short"]
    # A hang is then told with the line that hangs.
    pytest_ += ["-o", "faulthandler_timeout=120"]
    jobs = [(name, [*pytest_, *files]) for name, files in SUITES.items()]
    return boot(jobs, timeout_s=900)


@pytest.mark.parametrize("suite", SUITES)
def test_in_the_machine(ended: dict[str, Ended], suite: str) -> None:
    output = ended[suite].output
    assert ended[suite].code == 0, output
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|skipped)", output)}
    assert counts["passed"] > 5 * counts.get("skipped", 0), output
