"""Another Python of this machine, and the packages that are chosen of it.

The interpreter itself is asked, in isolated mode, where it lives and which files are of which
distribution; so a distribution's Python, pyenv's, uv's, conda's or a virtual environment all answer
in their own way. Only files that a package's own record names are taken: never a whole
site-packages, nor what its owner has put there.
"""

import json
import os
import subprocess
from dataclasses import dataclass

from engine.images.errors import ImageError
from engine.images.hostpython import HostPython

_DESCRIBE = r"""
import importlib.metadata as metadata, json, os, re, sys, sysconfig

def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def files(distribution):
    base = str(distribution.locate_file(""))
    if distribution.files:
        return [os.path.normpath(str(distribution.locate_file(f))) for f in distribution.files]
    # Debian's older ones have no record: the names they are imported by, and their metadata.
    found, names = [str(distribution._path)], (distribution.read_text("top_level.txt") or "")
    for name in names.split():
        for there in sorted(os.listdir(base)):
            if there == name or there.split(".")[0] == name and "-info" not in there:
                found.append(os.path.join(base, there))
    return found

known, told, lacking = {}, {}, []
for distribution in metadata.distributions():
    known.setdefault(canonical(distribution.metadata["Name"] or ""), distribution)
todo = [(canonical(name), "") for name in sys.argv[1:]]
while todo:
    name, by = todo.pop()
    if name in told:
        continue
    distribution = known.get(name)
    if distribution is None:
        lacking.append([name, by])
        continue
    told[name] = [distribution.version, files(distribution)]
    for requirement in distribution.requires or ():
        words, _, marker = requirement.partition(";")
        if "extra" in marker:
            continue
        needed = canonical(re.match(r"[A-Za-z0-9._-]+", words).group())
        # A marker that does not hold here is of a package that is not there.
        if needed in known or not marker:
            todo.append((needed, name))
print(json.dumps({
    "executable": sys.executable,
    "base": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": sys.version.split()[0],
    "prefix": sys.prefix,
    "venv": sys.prefix != sys.base_prefix,
    "folders": sorted({os.path.realpath(sysconfig.get_path(n)) for n in ("stdlib", "platstdlib")}),
    "packages": told,
    "lacking": lacking,
}))
"""
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution. `files` are absolute; one may be a folder."""

    name: str
    version: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChosenPython:
    """An interpreter and packages. `executable` is how it was called, `prefix` a virtual
    environment's folder or empty."""

    python: HostPython
    executable: str
    version: str
    prefix: str
    packages: tuple[Package, ...]


def choose(executable: str, packages: tuple[str, ...]) -> ChosenPython:
    """Ask an interpreter. Raise ImageError when it is none, or lacks a package."""
    command = [executable, "-I", "-B", "-c", _DESCRIBE, *packages]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S, check=False
        )
        told = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{executable}: cannot be asked what it has: {error}") from None
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        why = last[0] if last else f"ended with {done.returncode}"
        raise ImageError(f"{executable}: is no Python of this machine: {why}") from None
    if told["lacking"]:
        names = ", ".join(f"{n} (for {by})" if by else n for n, by in sorted(told["lacking"]))
        raise ImageError(
            f"{told['executable']} has no package {names}: install it there, or choose the Python"
            " that has it (--interpreter)"
        )
    folders = told["folders"]
    if not all(os.path.isdir(folder) for folder in folders):
        raise ImageError(f"{executable}: its standard library does not lie in files")
    return ChosenPython(
        HostPython(told["base"], tuple(folders)),
        told["executable"],
        told["version"],
        told["prefix"] if told["venv"] else "",
        tuple(Package(n, v, tuple(f)) for n, (v, f) in sorted(told["packages"].items())),
    )
