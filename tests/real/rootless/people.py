"""Ordinary users, and the part of the machine's files that says who they are.

What a user is given (an account, subordinate ids, an interpreter that he can reach) is shown to him
alone, in a mount namespace of the tests' own: the machine's files stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.home import ClusterPaths

CHECKOUT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
IDS = 65_536

# Each is shown in a folder that only root may enter: a new one covers it, with nothing else in it.
_SHOW = """
set -eu
folder=$1
cd "$folder"
for name in passwd group subuid subgid; do mount --bind "$name" "/etc/$name"; done
shift
while [ $# -gt 0 ]; do
    mkdir "$folder/shown"
    mount --bind "$2" "$folder/shown"
    mount -t tmpfs -o mode=755 covered "$1"
    mkdir -p "$2"
    mount --move "$folder/shown" "$2"
    rmdir "$folder/shown"
    shift 2
done
echo ready
exec cat
"""


def first(uid: int) -> int:
    return uid * IDS


@dataclass(frozen=True)
class Person:
    """An ordinary user. `place`: the process in whose mount namespace he is known."""

    uid: int
    name: str
    home: Path
    place: int
    ids: int

    @property
    def subordinate(self) -> int:
        """The first of his subordinate ids, which are nobody else's."""
        return first(self.uid)

    @property
    def env(self) -> dict[str, str]:
        path = f"{BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {
            "HOME": str(self.home),
            "PATH": path,
            "LANG": "C.UTF-8",
            "PODARIUM_HOME": str(self.paths.home),
            "KUBECONFIG": str(self.paths.kubeconfig),
        }

    @property
    def paths(self) -> ClusterPaths:
        return ClusterPaths.of(self.home / "p", "c")

    def command(self, *words: str) -> list[str]:
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        return ["nsenter", "-m", "-t", str(self.place), *become, *words]

    def does(
        self, *words: str, code: int = 0, env: dict[str, str] | None = None, text: str = ""
    ) -> str:
        """Run a command as this user; its output, with its errors when it is to fail."""
        ran = subprocess.run(
            self.command(*words),
            env=self.env | (env or {}),
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
        )
        assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout if code == 0 else ran.stdout + ran.stderr

    def podarium(self, verb: str, *words: str, code: int = 0, text: str = "") -> str:
        return self.does("podarium", verb, "--cluster", "c", *words, code=code, text=text)

    def processes(self) -> list[str]:
        """What runs with his ids, his own and his subordinate ones, ended ones aside."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                status = dict(
                    line.split(":\t", 1) for line in (folder / "status").read_text().splitlines()
                )
            except (FileNotFoundError, ProcessLookupError):
                continue
            uid = int(status["Uid"].split()[0])
            if status["State"][0] not in "ZX" and (
                uid == self.uid or (self.ids > 1 and 0 <= uid - self.subordinate < IDS)
            ):
                found.append(f"{folder.name} {status['Name']}")
        return found


@contextmanager
def person(uid: int, name: str, *, subordinate: bool) -> Iterator[Person]:
    """One with subordinate ids, or one whom no file knows."""
    folder = Path(tempfile.mkdtemp(prefix="pdr"))
    os.chmod(folder, 0o755)
    home = folder / "h"
    home.mkdir()
    os.chown(home, uid, uid)
    accounts = {file: (Path("/etc") / file).read_text() for file in ("passwd", "group")}
    ranges = ""
    if subordinate:
        accounts["passwd"] += f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n"
        accounts["group"] += f"{name}:x:{uid}:\n"
        ranges = f"{name}:{first(uid)}:{IDS}\n"
    for file, text in {**accounts, "subuid": ranges, "subgid": ranges}.items():
        (folder / file).write_text(text)
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SHOW, "sh", str(folder)]
    for shown in (Path(sys.base_prefix), CHECKOUT):
        words += [str(part) for closed in _closed(shown) for part in (closed, shown)]
    place = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert place.stdout is not None
        assert place.stdout.readline() == b"ready\n"
        yield Person(uid, name, home, place.pid, 1 + IDS if subordinate else 1)
    finally:
        place.kill()
        place.communicate()
        shutil.rmtree(folder)


def _closed(path: Path) -> list[Path]:
    """The uppermost folder above a path that only its owner may enter, if there is one."""
    return [above for above in reversed(path.parents) if not above.stat().st_mode & 0o001][:1]
