"""A container confined as the kubelet confines it by default, with an attacker as its root."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.home import ClusterPaths
from engine.kubelet import qos
from engine.kubelet.container import Surroundings, container_spec
from engine.kubelet.volumes import Mountable
from engine.linux.table import MACHINE, numbers
from engine.runtime.cgroup.api import Resources
from engine.runtime.ops.base import Op
from engine.runtime.runtime import ContainerConfig, ContainerState
from engine.runtime.spec import Spec
from engine.types import codec
from engine.types.pods import Pod
from tests.real.cluster.conftest import Shell
from tests.real.runtime.conftest import (
    PYTHON,
    Node,
    home,
    layer,
    node,
    python_mounts,
    said,
    until,
)
from tests.security import inside

__all__ = ["home", "layer", "node"]

PATIENCE_S = 60.0
"""For what must happen; a test that fails shall also end."""

# Without the number table, which is this machine's.
_AROUND = f"NR = {numbers(MACHINE)!r}\n" + inspect.getsource(inside).replace("NR: dict = {}\n", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


def program(attack: Callable[..., Any], *args: object) -> str:
    """The attack as the text of a program."""
    call = f"answer({attack.__name__}(*{args!r}))"
    return f"{_AROUND}\n\n{inspect.getsource(attack)}\n\n{call}\n"


def confined(
    command: Collection[str],
    *,
    volumes: Mapping[str, Mountable] | None = None,
    image: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    **container: Any,
) -> Spec:
    """What the kubelet makes of a container. `volumes` by where they are mounted; `image`, `pod`
    and `container` say what else their config and specs have."""
    mounted = dict(volumes or {})
    mounted |= {
        mount.destination: Mountable(Path(mount.source), read_only=True)
        for mount in python_mounts()
    }
    names = {place: f"v{number}" for number, place in enumerate(mounted)}
    mounts = [{"name": name, "mountPath": place} for place, name in names.items()]
    fields = {
        "name": "main",
        "command": list(command),
        "volumeMounts": mounts + container.pop("volumeMounts", []),
        **container,
    }
    made = codec.from_dict(Pod, {"spec": {"containers": [fields], **(pod or {})}})
    said_by_image = {"env": (), "entrypoint": (), "cmd": (), "working_dir": "", "user": ""}
    around = Surroundings(
        hostname="web-1",
        environment={
            "PATH": "/bin",
            "LD_LIBRARY_PATH": f"{sys.base_prefix}/lib",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        },
        node_memory=1 << 30,
        volumes={names[place]: volume for place, volume in mounted.items()},
    )
    config: Any = SimpleNamespace(**(said_by_image | dict(image or {})))
    return container_spec(made, made.spec.containers[0], config, around)


@dataclass
class Captive:
    """Runs attacks, each in a container of its own in the pod "pod"."""

    node: Node

    async def begin(
        self,
        attack: Callable[..., Any],
        *args: object,
        id: str = "c",
        without: tuple[type[Op], ...] = (),
        resources: Resources | None = None,
        target: Mapping[str, Any] | None = None,
        change: Callable[[Spec], Spec] = lambda spec: spec,
        **spec: Any,
    ) -> ContainerState:
        """Start it. `without` leaves defences out, to see that the attack can be seen to work."""
        command = (PYTHON, "-I", "-S", "-c", program(attack, *args))
        made = change(confined(command, **spec))
        resources = resources or Resources(pids_limit=qos.DEFAULT_PIDS)
        config = self.node.config(id, made, resources, **(target or {}))
        return await self.node.runtime.start(_weakened(config, without))

    async def run(self, attack: Callable[..., Any], *args: object, **more: Any) -> Any:
        """What the attack returned."""
        id = more.setdefault("id", "c")
        await self.begin(attack, *args, **more)
        return await self.outcome(id)

    async def ended(self, id: str = "c") -> ContainerState:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.shield(self.node.future(id))

    async def outcome(self, id: str = "c") -> Any:
        state = await self.ended(id)
        text = said(self.node.log(id))
        assert state.exit_code == 0, text
        return json.loads(text.splitlines()[-1])

    async def says(self, word: str, id: str = "c") -> None:
        """Wait for a word that the attack prints on a line."""
        log = self.node.log(id)
        done = self.node.future(id).done
        async with asyncio.timeout(PATIENCE_S):
            await until(lambda: word in said(log).splitlines() or done())
        assert word in said(log).splitlines(), said(log)


def _weakened(config: ContainerConfig, without: tuple[type[Op], ...]) -> ContainerConfig:
    def kept(ops: tuple[Op, ...]) -> tuple[Op, ...]:
        return tuple(op for op in ops if not isinstance(op, without))

    plan = config.plan
    lists = ("host_ops", "limit_ops", "child_ops")
    weaker = {name: kept(getattr(plan, name)) for name in lists}
    return dataclasses.replace(config, plan=dataclasses.replace(plan, **weaker))


@pytest.fixture
def captive(node: Node) -> Captive:
    return Captive(node)


@dataclass(frozen=True)
class Victim:
    """A file and a process of the machine, which no container was given."""

    file: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def words(self) -> str:
        return "a secret of the machine\n"


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    """Unharmed when the test is over."""
    file = tmp_path / "secret"
    process = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
    victim = Victim(file, process)
    file.write_text(victim.words)
    before = _facts(file)
    try:
        yield victim
        assert process.poll() is None, "the machine's process was ended"
    finally:
        process.kill()
        process.wait()
    assert file.read_text() == victim.words
    assert _facts(file) == before


def _facts(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_ino, found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns


@pytest.fixture(scope="session")
def cluster() -> Iterator[Shell]:
    """A cluster of one node, for tests of the group "doors"."""
    with tempfile.TemporaryDirectory(prefix="pd") as home:
        os.chmod(home, 0o755)  # as /var/lib is
        shell = Shell(ClusterPaths.of(Path(home), "doors"))
        shell.podarium("up", "--nodes", "1")
        try:
            yield shell
        finally:
            shell.podarium("down", "--purge")
