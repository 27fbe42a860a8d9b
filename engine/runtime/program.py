"""The keeper's program: the files it is made of, how they are run, and what tells them from others.

A keeper that runs has all of it in its memory, whatever becomes of the files.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import lru_cache
from pathlib import Path

from engine.home import NodePaths
from engine.runtime import keeper

_HERE = Path(keeper.__file__).parent
_ROOT = _HERE.parents[2]
_FOLDERS = ("engine/linux", "engine/runtime", *(f"engine/runtime/{n}" for n in ("cgroup", "ops")))


def interpreter() -> str:
    """Not sys.executable: a virtual environment's is a link; what is to be sealed is a file."""
    return os.path.realpath("/proc/self/exe")


def words(paths: NodePaths, node: str) -> tuple[str, ...]:
    """What follows the interpreter to run serve.py, without what it shall do."""
    arguments = (node, paths.keeper_socket, paths.keeper_pid, paths.exits)
    rest = (os.fsdecode(paths.cgroup), digest())
    return (
        *("-I", "-S", str(_HERE / "serve.py"), str(_ROOT)),
        *map(str, arguments),
        *rest,
    )


def sealing(paths: NodePaths, node: str, ready: int, namespaces: tuple[int, ...]) -> list[str]:
    """The command that starts a keeper behind its seal, which says on `ready` that it serves.
    `namespaces`: descriptors of the network and mount ones it shall be in, else it gets new ones.
    """
    where = ",".join(map(str, namespaces)) or "new"
    seal = (interpreter(), "-I", "-S", str(_HERE / "seal.py"), str(_ROOT), where)
    return [*seal, *words(paths, node), "start", str(ready)]


@lru_cache(maxsize=1)
def digest() -> str:
    """Of everything that a keeper may consist of, and of the Python that runs it."""
    found = hashlib.sha256(sys.version.encode())
    folders = [*(_ROOT / folder for folder in _FOLDERS), _HERE]
    for file in sorted(file for folder in folders for file in folder.glob("*.py")):
        found.update(os.fsencode(file.relative_to(_ROOT)) + b"\0" + file.read_bytes())
    return found.hexdigest()[:16]
