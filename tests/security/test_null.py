"""The null device, of which masks and standard input are made: what stands for it is the machine's
own kind, and stays as it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from engine.runtime.runtime import StartError
from engine.runtime.spec import Mount, default_spec
from tests.real.runtime.conftest import Node, python_spec, until


async def test_the_machines_null_device_keeps_its_mode(node: Node) -> None:
    """Whatever of it a container holds, it is the container's own."""
    mode = stat.S_IMODE(os.stat("/dev/null").st_mode)
    code = """
import os
for path in ("/dev/null", "/proc/keys", "/proc/timer_list"):
    os.chmod(path, 0o600)
os.fchmod(0, 0o600)
"""
    await node.run("c", spec=python_spec(code))
    assert stat.S_IMODE(os.stat("/dev/null").st_mode) == mode


async def test_a_volume_that_replaces_the_null_device(node: Node) -> None:
    """CVE-2025-31133: masks would have shown what the volume put there."""
    volume = node.home / "null"
    volume.write_text("mine\n")
    spec = default_spec(("cat", "/proc/keys"))
    mount = Mount(destination="/dev/null", source=str(volume), options=("bind",))
    with pytest.raises(StartError, match="is not the null device"):
        await node.start("c", spec=msgspec.structs.replace(spec, mounts=(*spec.mounts, mount)))


async def test_a_fifo_for_whoever_comes_in(node: Node) -> None:
    """What an exec opens may be made to wait for ever: it is refused, and at once."""
    code = """
import os, time
os.rename("/dev/null", "/dev/was-null")
os.mkfifo("/dev/null")
print("ready", flush=True)
time.sleep(1000)
"""
    await node.start("c", spec=python_spec(code))
    await until(lambda: "ready" in node.log("c").read_text())
    with pytest.raises(StartError, match="is not the null device"):
        await node.runtime.exec("c", ["id"], timeout_s=1000)


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
async def test_a_symlink_in_an_image_to_where_a_mount_would_hide_the_kernel(
    node: Node, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "link").symlink_to("/proc/sys")
    spec = default_spec(("id",))
    mount = Mount(destination="/link", source="/tmp", type=kind)
    spec = msgspec.structs.replace(spec, mounts=(*spec.mounts, mount))
    with pytest.raises(StartError, match="leads into /proc"):
        await node.start("c", spec=spec, lowerdirs=(tmp_path, node.layer))
