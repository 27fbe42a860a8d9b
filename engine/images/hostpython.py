"""This machine's Python, as a layer: the interpreter, its standard library, nothing of its owner's.

Left out: tests, IDLE, Tk, pip's bundle, static libraries, and every site-packages. The bytecode
caches of the host are not copied, since they depend on what has run there. The modules that the
image's programs import are compiled anew instead, in a fresh interpreter, so that the bytes are the
same each time; without them a container spends a tenth of a second compiling before its first line
runs.
"""

import marshal
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from engine.images.elf import Linker
from engine.images.errors import ImageError
from engine.images.host import Host
from engine.images.hosttree import HostTree

_TRIMMED_FOLDERS = re.compile(
    r"test|tests|idlelib|idle_test|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|__pycache__"
    r"|site-packages|dist-packages|config-.*"
)
_TRIMMED_FILES = re.compile(
    r"_tkinter.*|_test.*|_ctypes_test.*|_xxtestfuzz.*|xxlimited.*|turtle\.py|.*\.a|.*\.pyc|.*\.exe"
)

_COMPILE = """
import importlib.util, marshal, struct, sys
import site, runpy
for name in sys.argv[1:]:
    try:
        __import__(name)
    except ImportError:
        pass
caches = []
for path in sorted({getattr(m, "__file__", None) or "" for m in list(sys.modules.values())}):
    if path.endswith(".py"):
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        header = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, 0, len(source) & 0xFFFFFFFF)
        cache = importlib.util.cache_from_source(path, optimization="")
        caches.append((path, cache, header + marshal.dumps(code)))
sys.stdout.buffer.write(marshal.dumps(caches))
"""
# Compiles what an import of the named modules loads. The time in a cache's header is the source's,
# which is 0 in the image (PEP 3147; importlib._bootstrap_external.validate_timestamp_pyc).


@dataclass(frozen=True, slots=True)
class HostPython:
    """Where the Python lives that runs this; a venv's is the one it was made from."""

    executable: str
    folders: tuple[str, ...]  # of the standard library

    @classmethod
    def running(cls) -> "HostPython":
        """Raise ImageError when it does not lie in files (a zip application)."""
        executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
        base = {
            "installed_base": sys.base_prefix,
            "base": sys.base_prefix,
            "installed_platbase": sys.base_exec_prefix,
            "platbase": sys.base_exec_prefix,
        }
        folders = {sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")}
        if not os.access(executable, os.X_OK) or not all(os.path.isdir(f) for f in folders):
            raise ImageError(
                f"this Python ({executable}) has no standard library in"
                f" {', '.join(sorted(folders))}: run podarium with a Python installed in files"
            )
        return cls(executable, tuple(sorted(os.path.realpath(folder) for folder in folders)))

    def compile(self, modules: list[str]) -> "subprocess.Popen[bytes]":
        """Start compiling what `modules` import; read it with caches()."""
        command = [self.executable, "-I", "-S", "-B", "-c", _COMPILE, *modules]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)


def caches(process: "subprocess.Popen[bytes]") -> list[tuple[str, str, bytes]]:
    """(source, cache file, its bytes) for each module. Raise ImageError when Python failed."""
    output, _ = process.communicate()
    if process.returncode:
        raise ImageError(f"{process.args!r}: ended with {process.returncode}")
    compiled: list[tuple[str, str, bytes]] = marshal.loads(output)
    return compiled


def add_python(
    tree: HostTree,
    python: HostPython,
    linker: Linker,
    compiled: list[tuple[str, str, bytes]],
    version: str,
) -> set[tuple[str, str]]:
    """Fill the Python layer; return the libraries that were not found. `version` is as 3.12.1."""
    host = tree.host
    programs = [python.executable]
    sources: set[str] = set()
    for folder in python.folders:
        for path in _files(host, folder):
            tree.copy(path)
            sources.add(path)
            if ".so" in os.path.basename(path):
                programs.append(path)
    closure = linker.closure(programs)
    for path in sorted(closure.files):
        tree.copy(path)
    for source, cache, data in compiled:
        if source in sources:
            tree.data(cache, data)
    major, minor, *_ = version.split(".")
    for name in ("python", f"python{major}", f"python{major}.{minor}"):
        tree.command(name, python.executable)
    return closure.missing


def _files(host: Host, folder: str) -> list[str]:
    files, folders = [], [folder]
    while folders:
        current = folders.pop()
        for name in host.list(current):
            path = f"{current}/{name}"
            if os.path.isdir(path):
                if not os.path.islink(path) and not _TRIMMED_FOLDERS.fullmatch(name):
                    folders.append(path)
            elif host.is_file(path) and not _TRIMMED_FILES.fullmatch(name):
                files.append(path)
    return files


def imported_modules(folder: Path) -> list[str]:
    """The modules that the programs in `folder` import, by their text."""
    pattern = re.compile(r"^(?:import|from) +([\w.]+)", re.MULTILINE)
    found = {name for path in folder.glob("*.py") for name in pattern.findall(path.read_text())}
    return sorted(found - {"__future__"})
