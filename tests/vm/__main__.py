"""Run something in the machine, and end as it ended.

python -m tests.vm tests/real/cgroup -x         pytest's arguments
python -m tests.vm -- cat /proc/version         any command
"""

from __future__ import annotations

import sys

from tests.vm.boot import boot
from tests.vm.kernel import VmError


def main() -> int:
    words = sys.argv[1:]
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    command = words[1:] if words[:1] == ["--"] else [*pytest, *words]
    if not command:
        print(__doc__)
        return 2
    try:
        return boot([("command", command)], echo=True)["command"].code
    except VmError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
