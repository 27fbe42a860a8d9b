"""What the machine is made of: this machine's Python with the project, a shell and a few tools."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from engine.images.elf import Linker
from tests.vm.cpio import Initramfs
from tests.vm.kernel import Kernel, VmError

ROOT = Path(__file__).parents[2]
_PACKAGES = ("podarium", "pytest", "pytest-asyncio", "hypothesis")
_SOURCES = ("engine", "podarium", "tui", "tests")
_TOOLS = """
sh bash env echo printf true false test expr sleep cat ls cp mv rm mkdir rmdir ln chmod chown touch
head tail wc tr cut sort grep sed readlink realpath basename dirname id kill ps ldd find df du
xargs mount umount findmnt nsenter unshare setpriv stty uname stat dd date seq dmesg hostname ip nft
"""
_NEEDED = ("sh", "ldd", "ip", "nft")
_LEFT_OUT = re.compile(
    r"test|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|config-.*|.*-packages|.*\.a"
)
# glibc loads these by name.
_LOADED = ("libnss_files.so.2", "libgcc_s.so.1", "libresolv.so.2")
_TEXTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def build(target: Path, kernel: Kernel, jobs: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Write the initramfs whose inside.py runs `jobs`, (name, command), one after the other.

    Raise VmError when this machine lacks a tool.
    """
    image = Initramfs()
    _add_tools(image)
    _add_python(image)
    for name in _SOURCES:
        image.copy_tree(ROOT / name, lambda name: not name.startswith("."))
    image.copy(ROOT / "pyproject.toml")
    for path in ("/dev", "/proc", "/sys", "/run", "/tmp", "/var", "/root", "/etc", "/mnt"):
        image.folder(path)
    for path, text in _TEXTS.items():
        image.file(path, text.encode())
    for number, module in enumerate(kernel.modules):
        image.file(f"/modules/{number:02}-{module.name}", module.read_bytes())
    image.folder("/modules")
    python = os.path.realpath(sys.executable)
    inside = (ROOT / "tests" / "vm" / "inside.py").read_bytes()
    image.file("/init", f"#!{python} -IS\n".encode() + inside, 0o755)
    plan = {"root": str(ROOT), "path": os.path.dirname(sys.executable), "jobs": list(jobs)}
    image.file("/jobs.json", json.dumps(plan).encode())
    with open(target, "wb", buffering=1 << 20) as file:
        image.write(file.write)


def _add_tools(image: Initramfs) -> None:
    programs = {name: path for name in _TOOLS.split() if (path := image.host.which(name))}
    missing = [name for name in _NEEDED if name not in programs]
    if missing:
        raise VmError(f"please install {', '.join(missing)} (sh tests/install.sh)")
    linker = Linker(image.host)
    for link in ("/bin", "/sbin", "/lib", "/lib64"):
        image.copy(link)
    for path in (*linker.closure(programs.values()).files, *linker.named(_LOADED)):
        image.copy(path)
    for path in programs.values():
        image.copy(path)
    image.copy("/etc/ld.so.cache")


def _add_python(image: Initramfs) -> None:
    """The interpreter, its standard library, and of site-packages what the tests import."""
    linker = Linker(image.host)
    stdlib = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    base = {path.replace(sys.prefix, sys.base_prefix, 1) for path in stdlib}
    for folder in base:
        image.copy_tree(folder, lambda name: not _LEFT_OUT.fullmatch(name))
    image.copy(sys.executable)
    image.copy(Path(sys.prefix) / "pyvenv.cfg")
    files = [str(f.locate()) for package in _distributions() for f in package.files or ()]
    extensions = [str(file) for folder in base for file in Path(folder, "lib-dynload").glob("*.so")]
    extensions += [file for file in files if ".so" in file]
    for path in (*files, *linker.closure([sys.executable, *extensions]).files):
        image.copy(path)


def _distributions() -> list[metadata.Distribution]:
    """The installed packages that _PACKAGES need, themselves included."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    # By path: a checkout's own egg-info does not tell of the installed command.
    installed = {_plain(d.name): d for d in metadata.distributions(path=sorted(places))}
    found: dict[str, metadata.Distribution] = {}
    todo = list(_PACKAGES)
    while todo:
        name = _plain(todo.pop())
        if name in found or name not in installed:
            continue
        found[name] = installed[name]
        for line in installed[name].requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                todo.append(need.name)
    return list(found.values())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
