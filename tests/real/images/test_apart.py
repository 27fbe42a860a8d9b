"""Layers made in a process of their own, and what that process cannot reach."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.images.errors import BadImage, BadLayer, ImageError
from engine.images.layers.apart import Maker, confine, fenced
from engine.images.layers.making import Job, Made
from engine.images.tar import Limits
from engine.images.types import Digest
from engine.linux import landlock
from tests.real.images import layouts
from tests.real.images.layouts import Layout, digest, listing, opened
from tests.real.images.tars import device, file, folder, hardlink, opaque, symlink, tar, whiteout

KINDS = [
    folder("d", mode=0o3750, uid=7), file("d/f", b"x" * 9000, mode=0o4755),
    hardlink("h", "d/f"), symlink("l", "d/f"), device("n", b"3", 1, 3), whiteout("gone"),
    opaque("d"), file("deep/er/f", b"y", pax={"SCHILY.xattr.user.a": "b"}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "apart", True)


@pytest.fixture
def maker() -> Iterator[Maker]:
    with Maker(apart=True) as maker:
        yield maker


def job(tmp_path: Path, archive: bytes, below: list[Path] | None = None) -> Job:
    layer = tmp_path / os.urandom(4).hex()
    layer.mkdir()
    return Job("dir", layer, below or [], Digest(digest(archive)), Limits())


def test_it_makes_what_is_made_here(tmp_path: Path, maker: Maker) -> None:
    archive = tar(*KINDS)
    there, here = job(tmp_path, archive), job(tmp_path, archive)
    made = maker.make(there, iter([archive[:5000], archive[5000:]]))
    with Maker(apart=False) as same:
        assert same.make(here, [archive]) == made == Made(8, 9001, True, False, 0)
    one, other = listing(there.layer / "fs"), listing(here.layer / "fs")
    assert one == other
    assert (there.layer / "index").read_bytes() == (here.layer / "index").read_bytes()


def test_many_layers_with_more_below_than_one_message_takes(tmp_path: Path, maker: Maker) -> None:
    below = [tmp_path / f"l{n}" for n in range(300)]
    for n, path in enumerate(below):
        (path / "d").mkdir(parents=True)
        (path / f"only{n}").write_bytes(b"%d" % n)
    archive = tar(hardlink("mine", "only299"), file("d/f"))
    for _ in range(2):
        made = job(tmp_path, archive, below)
        assert maker.make(made, [archive]).dependent
        assert (made.layer / "fs/mine").read_bytes() == b"299"


@pytest.mark.parametrize("driver", ["dir", "erofs"])
def test_a_store_makes_its_layers_so(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "driver", driver)
    layout = Layout(tmp_path / "layout")
    layout.image([tar(*KINDS), tar(hardlink("again", "h"))], packed=True)
    store = opened(tmp_path / "store")
    (image,) = store.load(layout.write())
    top, bottom = store.prepare(image)
    assert (top / "again").read_bytes() == (bottom / "h").read_bytes() == b"x" * 9000
    assert store.check() == []


def test_what_is_wrong_is_said_as_if_it_were_here(tmp_path: Path, maker: Maker) -> None:
    archive = tar(file("../x"))
    with pytest.raises(BadLayer, match=r"^tar entry 0: name b'\.\./x' has '\.\.' in it$"):
        maker.make(job(tmp_path, archive), [archive])
    with pytest.raises(BadLayer, match="have diff id"):
        maker.make(job(tmp_path, archive), [tar(file("x"))])
    good = tar(file("x"))
    assert maker.make(job(tmp_path, good), [good]).entries == 1, "it goes on"


def test_who_brings_the_bytes_may_fail_too(tmp_path: Path, maker: Maker) -> None:
    archive = tar(file("x", b"x" * 100_000))

    def packed() -> Iterator[bytes]:
        yield archive[:70_000]
        raise BadImage("blob: other bytes")

    failed = job(tmp_path, archive)
    with pytest.raises(BadImage, match="other bytes"):
        maker.make(failed, packed())
    assert maker.make(job(tmp_path, archive), [archive]).size == 100_000


def test_a_death_is_told(tmp_path: Path, maker: Maker) -> None:
    archive = tar(file("x", b"x" * 1_000_000))

    def packed() -> Iterator[bytes]:
        yield archive[:100_000]
        (zygote,) = children(os.getpid())
        (child,) = children(zygote)
        os.kill(child, signal.SIGKILL)
        yield archive[100_000:]

    with pytest.raises(ImageError, match="ended without a word"):
        maker.make(job(tmp_path, archive), packed())
    assert maker.make(job(tmp_path, archive), [archive]).entries == 1


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, check=False).stdout
    return [int(line) for line in found.split() if Path(f"/proc/{int(line)}").exists()]


# The fence itself


def _confined(tmp_path: Path, act: Callable[[], object]) -> str:
    """What `act` says when it is made in a confined process: "done", or the error's name."""
    layer, below = tmp_path / "layer", tmp_path / "below"
    for path in (layer, below):
        path.mkdir(exist_ok=True)
        (path / "f").write_bytes(b"there")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "died"
        try:
            confine(os.open(layer, os.O_RDONLY), [os.open(below, os.O_RDONLY)])
            act()
            said = "done"
        except OSError as error:
            said = type(error).__name__
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with open(reading) as answer:
        return answer.read()


fence = pytest.mark.skipif(not fenced(), reason="this kernel has no Landlock, or it is off")


@fence
def test_inside_the_layer_everything_can_be_done(tmp_path: Path) -> None:
    layer = tmp_path / "layer"

    def act() -> None:
        (layer / "d").mkdir()
        (layer / "d/f").write_bytes(b"x")
        os.link(layer / "f", layer / "d/linked")
        os.rename(layer / "f", layer / "d/renamed")
        os.truncate(layer / "d/renamed", 1)
        os.symlink("/etc", layer / "s")
        os.mknod(layer / "n", 0o020666, os.makedev(1, 3))
        os.mknod(layer / "p", 0o010666)
        os.chown(layer / "d/f", 7, 7)
        os.setxattr(layer / "d", "trusted.overlay.opaque", b"y")
        os.unlink(layer / "s")
        assert (tmp_path / "below/f").read_bytes() == b"there"

    assert _confined(tmp_path, act) == "done"


def _write(path: Path) -> Callable[[Path], object]:
    return lambda tmp_path: (tmp_path / path).write_bytes(b"x")


REACHES: dict[str, Callable[[Path], object]] = {
    "read a file of the machine": lambda t: Path("/etc/passwd").read_bytes(),
    "list a folder of the machine": lambda t: os.listdir("/"),
    "write beside the layer": lambda t: (t / "canary").write_bytes(b"x"),
    "make a file beside the layer": lambda t: (t / "new").touch(),
    "make a folder beside it": lambda t: (t / "newdir").mkdir(),
    "remove beside it": lambda t: (t / "canary").unlink(),
    "link out of it": lambda t: os.link(t / "layer/f", t / "linked"),
    "rename out of it": lambda t: os.rename(t / "layer/f", t / "renamed"),
    "link into it from outside": lambda t: os.link(t / "canary", t / "layer/canary"),
    "write below": lambda t: (t / "below/f").write_bytes(b"x"),
    "make below": lambda t: (t / "below/new").touch(),
    "open a device": lambda t: os.open("/dev/null", os.O_RDWR),
    "execute": lambda t: subprocess.run(["/bin/true"], check=True),
    "read another process": lambda t: Path("/proc/1/environ").read_bytes(),
    "mount": lambda t: __import__("engine.linux.mount").linux.mount.mount(
        b"tmpfs", os.fsencode(t / "layer"), b"tmpfs", 0
    ),
    "load a module of the kernel": lambda t: os.sched_setaffinity(1, {0}),
}
_TCP = {"listen": 4, "connect": 4}


@fence
@pytest.mark.parametrize("reach", REACHES)
def test_outside_nothing_can_be_done(tmp_path: Path, reach: str) -> None:
    (tmp_path / "canary").write_bytes(b"sings")
    said = _confined(tmp_path, lambda: REACHES[reach](tmp_path))
    assert said in ("PermissionError", "OSError"), said
    assert (tmp_path / "canary").read_bytes() == b"sings"
    assert (tmp_path / "canary").stat().st_nlink == 1
    assert sorted(os.listdir(tmp_path)) == ["below", "canary", "layer"]
    assert (tmp_path / "below/f").read_bytes() == b"there"


@pytest.mark.skipif(landlock.abi() < 4, reason="Landlock knows TCP since Linux 6.7")
def test_no_connection_leads_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        assert _confined(tmp_path, lambda: socket.create_connection(address)) == "PermissionError"
    assert _confined(tmp_path, lambda: socket.create_server(("127.0.0.1", 0))) == "PermissionError"


@pytest.mark.skipif(landlock.abi() < 6, reason="Landlock knows signals since Linux 6.12")
def test_no_signal_leads_out(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert _confined(tmp_path, lambda: os.kill(child.pid, signal.SIGKILL)) == "PermissionError"
    assert child.poll() is None
    child.communicate(b"\n")
