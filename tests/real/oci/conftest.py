"""The command as podman calls it, on bundles made of this machine's own files."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.images.elf import Linker
from engine.images.host import Host
from engine.runtime.cgroup.api import detect

BIN = Path(sys.executable).parent
OCI = str(BIN / "podarium-oci")
PYTHON = os.path.realpath(sys.executable)
TOOLS = (
    *("sh", "cat", "sleep", "ls", "id", "grep", "head", "mkdir", "touch", "readlink", "stat"),
    *("tr", "wc", "mount", "env", "true", "tty", "stty", "chmod", "rm"),
)
MINUTE = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


@pytest.fixture(scope="session")
def layer() -> Iterator[Path]:
    """A root filesystem: a shell, a few tools, and what this Python is linked with.

    Not below pytest's own folder, which each session closes to others than root again.
    """
    root = Path(tempfile.mkdtemp(prefix="pdl"))
    tools = {tool: os.path.realpath(found) for tool in TOOLS if (found := shutil.which(tool))}
    extensions = Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")
    programs = {*tools.values(), PYTHON, *map(str, extensions)}
    for tool, program in tools.items():
        _copy(program, root / "bin" / tool)
    for library in Linker(Host()).closure(programs).files - programs:
        _copy(library, root / library.lstrip("/"))
    for folder in ("etc", "tmp", "proc", "dev", "sys"):
        (root / folder).mkdir(exist_ok=True)
    root.chmod(0o755)
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    yield root
    shutil.rmtree(root)


def _copy(source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


@dataclass
class Oci:
    """A state root, and bundles below it."""

    home: Path
    layer: Path
    spec: dict[str, Any]
    names: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.home / "s"

    def bundle(self, id: str, *args: str, **changes: Any) -> Path:
        """With a root filesystem of its own, and `changes` to the config: a__b for a.b."""
        folder = self.home / id
        folder.mkdir()
        self.names.append(id)
        shutil.copytree(self.layer, folder / "rootfs", symlinks=True, copy_function=os.link)
        config = copy.deepcopy(self.spec)
        config["process"]["args"] = list(args)
        for name, value in changes.items():
            *path, last = name.split("__")
            place = config
            for part in path:
                place = place.setdefault(part, {})
            place[last] = value
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def call(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, **more}
        command = [OCI, "--root", str(self.root), *words]
        return subprocess.run(command, text=True, timeout=MINUTE, check=False, **options)

    def ok(self, *words: str, **more: Any) -> str:
        """What it says; it must not fail."""
        ran = self.call(*words, **more)
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def refused(self, *words: str) -> str:
        """What it complains of; it must fail."""
        ran = self.call(*words)
        assert ran.returncode != 0, f"{words}: {ran.stdout}"
        assert "Traceback" not in ran.stderr
        return ran.stderr

    def run(self, *args: str, code: int = 0, **changes: Any) -> str:
        """What a container says, until its end."""
        id = f"c{len(self.names)}"
        bundle = self.bundle(id, *args, **changes)
        ran = self.call("run", "-b", str(bundle), id)
        assert ran.returncode == code, f"{ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def create(self, id: str, *args: str, **changes: Any) -> Path:
        """Its output is the file that is given back."""
        bundle = self.bundle(id, *args, **changes)
        output = self.home / f"{id}.out"
        with output.open("w") as file:
            self.ok("create", "-b", str(bundle), id, capture_output=False, stdout=file)
        return output

    def state(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("state", id))
        return found

    def ended(self, id: str) -> None:
        until(lambda: self.state(id)["status"] == "stopped")


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the kernel tells nobody about."""
    deadline = time.monotonic() + MINUTE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `spec` writes."""
    folder = tmp_path_factory.mktemp("spec")
    subprocess.run([OCI, "spec", "-b", str(folder)], check=True, timeout=MINUTE)
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


@pytest.fixture
def oci(layer: Path, spec: dict[str, Any]) -> Iterator[Oci]:
    """Whatever a test did, nothing of it may be left once its containers are deleted."""
    home = Path(tempfile.mkdtemp(prefix="pdo", dir=layer.parent))
    spec = copy.deepcopy(spec)
    # Unique on this machine, where other tests run beside this one.
    prefix = home.name
    spec["linux"]["cgroupsPath"] = f"/{prefix}"
    made = Oci(home, layer, spec)
    try:
        yield made
    finally:
        for name in os.listdir(made.root) if made.root.exists() else ():
            made.call("delete", "--force", name)
    left = [os.fsdecode(d) for d in detect().directories(prefix.encode()) if os.path.exists(d)]
    mounts = Path("/proc/self/mountinfo").read_text()
    states = os.listdir(made.root) if made.root.exists() else []
    shutil.rmtree(home)
    assert (left, states) == ([], [])
    assert str(home) not in mounts
