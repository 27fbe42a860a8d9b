"""Debian's cloud kernel: fetched once, unpacked once, never installed.

It is one that people run, without this machine's version and cgroups. What it needs of its modules
is loaded by inside.py, in the order that this gives: an initramfs has no modprobe.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_META = "linux-image-cloud-amd64"
_GIVEN = "PODARIUM_VM_KERNEL"
_MODULES = ("overlay", "veth", "bridge", "nft_masq", "nft_chain_nat", "nft_ct")


class VmError(Exception):
    """The machine cannot be made or did not run to its end; the message says why."""


@dataclass(frozen=True)
class Kernel:
    """`modules` in the order in which they can be loaded."""

    image: Path
    modules: tuple[Path, ...]

    @classmethod
    def get(cls) -> Kernel:
        """Raise VmError when the kernel is not here and cannot be fetched."""
        folder = cache()
        folder.mkdir(parents=True, exist_ok=True)
        given = os.environ.get(_GIVEN)
        if given:
            image = _unpack(Path(given), folder)
        else:
            found = sorted(folder.glob("linux-*/boot/vmlinuz-*"), key=lambda f: f.stat().st_mtime)
            image = found[-1] if found else _fetch(folder)
        return cls(image, _in_order(image.parents[1] / "lib" / "modules"))


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podarium-vm"


def _fetch(folder: Path) -> Path:
    """The newest of this machine's Debian archive."""
    if shutil.which("apt-get") is None:
        raise VmError(f"no apt-get to fetch {_META} with: set {_GIVEN} to such a package's file")
    if not _real_package():
        _run("apt-get", "update", "-qq")
    name = _real_package()
    if not name:
        raise VmError(f"the archive has no {_META} (not Debian?): set {_GIVEN} to its file")
    with tempfile.TemporaryDirectory(prefix="podarium-vm-") as place:
        _run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", name, cwd=Path(place))
        (package,) = Path(place).glob("*.deb")
        return _unpack(package, folder)


def _real_package() -> str:
    """What the meta package depends on, "" when it is not known."""
    command = ["apt-cache", "depends", "--no-recommends", _META]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    return next((line.split()[1] for line in told.splitlines() if "Depends:" in line), "")


def _unpack(package: Path, folder: Path) -> Path:
    """Whole or not at all, so that a name that is there can be trusted."""
    target = folder / f"linux-{package.name.split('_')[1]}"
    if not target.exists():
        staging = tempfile.mkdtemp(dir=folder)
        _run("dpkg-deb", "-x", str(package), staging)
        try:
            os.rename(staging, target)
        except OSError:
            if not target.exists():
                raise
            # Somebody else was faster.
            shutil.rmtree(staging)
    (image,) = target.glob("boot/vmlinuz-*")
    return image


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        raise VmError(f"{' '.join(command)}: {done.stderr.strip()}")


def _in_order(folder: Path) -> tuple[Path, ...]:
    """The wanted modules, each after those it needs."""
    files = {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}
    found: dict[str, Path] = {}

    def add(name: str) -> None:
        if name not in found and name in files:
            for needed in _needs(files[name]):
                add(needed)
            found[name] = files[name]

    for name in _MODULES:
        if name not in files:
            raise VmError(f"{folder}: there is no module {name}")
        add(name)
    return tuple(found.values())


def _needs(module: Path) -> list[str]:
    """What its .modinfo section says: NUL-terminated "key=value"."""
    data = module.read_bytes()
    start = data.index(b"\0depends=") + len(b"\0depends=")
    names = data[start : data.index(b"\0", start)].decode()
    return [name.replace("-", "_") for name in names.split(",") if name]
