"""The image made of this machine's own files: it runs, is always the same, and tells no secrets."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images import hostimage
from engine.images.elf import Elf, Linker, NotElf
from engine.images.errors import ImageError
from engine.images.host import Host, unchanged
from engine.images.hostimage import REFERENCE, build
from engine.images.hostpython import HostPython, add_python
from engine.images.hosttree import HostTree
from engine.images.rootfs import Rootfs, create_rootfs
from engine.images.store import ImageStore
from engine.images.types import Image
from tests.real.images.layouts import opened

# On one worker: the fixtures are made once for all of them.
pytestmark = pytest.mark.xdist_group("host image")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageStore]:
    store = ImageStore(tmp_path_factory.mktemp("host") / "store")
    yield store
    store.close()


@pytest.fixture(scope="module")
def image(store: ImageStore) -> Image:
    return build(store).image


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tools and no Python, where what is in the image does not matter."""
    monkeypatch.setattr(hostimage, "_TOOLS", "sh ls cat")
    monkeypatch.setattr(hostimage, "add_python", lambda *_: set())


@pytest.fixture
def rootfs(store: ImageStore, image: Image, tmp_path: Path) -> Rootfs:
    return create_rootfs(store.prepare(image), tmp_path / "c", hostname="h", hosts=b"", resolv=b"")


def run(rootfs: Rootfs, script: str, tmp_path: Path, user: str = "0:0") -> str:
    """What a shell script prints with the image as its root and an environment of its own."""
    target = tmp_path / "merged"
    target.mkdir()
    layers = ":".join(map(str, rootfs.lowerdirs))
    options = f"lowerdir={layers},upperdir={rootfs.upper},workdir={rootfs.work}"
    inside = (
        'mount -t overlay overlay -o "$1" "$2"; mount -t proc proc "$2/proc";'
        f' exec env -i PATH="$4" chroot --userspec={user} "$2" /bin/sh -ec "$3"'
    )
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    command = ["unshare", "-mpf", "sh", "-ec", inside, "sh", options, target, script, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_has_the_three_layers_of_a_teaching_image(image: Image) -> None:
    assert image.reference == REFERENCE
    words = [layer.created_by.removeprefix("podarium host image, ") for layer in image.layers]
    assert [word.split(":")[0] for word in words] == ["tools", "python", "app"]
    assert image.config.cmd == ("python", "app.py")
    assert image.config.working_dir == "/srv"
    assert {"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"} < set(image.config.env)
    assert image.config.labels == {"io.podarium.host": "true"}


def test_its_layers_stand_alone(store: ImageStore, image: Image) -> None:
    """So that another image on the same files shares them, whatever it is built upon."""
    keys = {str(layer.diff_id).removeprefix("sha256:") for layer in image.layers}
    assert keys <= set(store.layers.all())


def test_the_shell_and_its_tools_run(rootfs: Rootfs, tmp_path: Path) -> None:
    script = """
        ls /srv
        echo one two | awk '{print $2}' | sed s/two/three/
        id -un
        ps -o pid= -p 1
        find / -xdev -name os-release
        grep ^ID= /etc/os-release
    """
    out = run(rootfs, script, tmp_path)
    assert out.split() == [
        *sorted(p.name for p in hostimage._APP.glob("*.py") if p.name != "__init__.py"),
        *("three", "root", "1", "/etc/os-release", "ID=podarium"),
    ]


@pytest.mark.parametrize("user", ["0:0", "65534:65534"])
def test_python_and_its_libraries_run_as_anyone(rootfs: Rootfs, tmp_path: Path, user: str) -> None:
    script = (
        "python -c 'import sys, json, http.server, asyncio, ctypes, zlib, socket, unittest.mock;"
        "print(sys.version_info[:3], __import__(\"os\").getuid())'; python3 -c 'print(1)'"
    )
    out = run(rootfs, script, tmp_path, user)
    assert out == f"{sys.version_info[:3]} {user.split(':')[0]}\n1\n"


def test_what_the_programs_import_is_compiled_beforehand(rootfs: Rootfs, tmp_path: Path) -> None:
    script = "python -v -c 'import http.server, json' 2>&1"
    lines = run(rootfs, script, tmp_path).splitlines()
    loaded = {line.split()[-1].strip("'") for line in lines if "code object from" in line}
    assert not [path for path in loaded if path.endswith(".py")], "compiled when it started"
    assert any(path.endswith(".pyc") for path in loaded)


def test_it_tells_no_secrets_and_gives_no_rights(rootfs: Rootfs) -> None:
    for lowerdir in rootfs.lowerdirs[1:]:
        for path in lowerdir.rglob("*"):
            status = path.lstat()
            assert (status.st_uid, status.st_gid, status.st_mtime) == (0, 0, 0), path
            if not path.is_symlink():
                assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
                assert stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode), path
                assert not os.listxattr(path), path
    etc = {p.name for lower in rootfs.lowerdirs[1:] for p in (lower / "etc").glob("*")}
    assert not etc & {"shadow", "gshadow", "ssh", "machine-id", "hostname", "hosts", "resolv.conf"}
    passwd = (rootfs.lowerdirs[-1] / "etc/passwd").read_text()
    assert [line.split(":")[0] for line in passwd.splitlines()] == ["root", "nobody"]
    assert (rootfs.lowerdirs[-1] / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_tests_and_caches_of_the_host_are_left_out(rootfs: Rootfs) -> None:
    names = {p.name for lower in rootfs.lowerdirs[1:] for p in lower.rglob("*") if p.is_dir()}
    assert not names & {"test", "idlelib", "tkinter", "ensurepip", "site-packages"}


def test_the_bytes_are_the_same_each_time(image: Image, tmp_path: Path) -> None:
    """Another process, another store, another umask, another hash seed."""
    command = [sys.executable, "-m", "engine.images.hostimage", "--root", tmp_path / "store"]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(
        command, check=True, capture_output=True, env=environment, preexec_fn=lambda: os.umask(0o77)
    )
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    assert said["digest"] == str(image.digest)
    assert (said["reference"], said["built"]) == (REFERENCE, True)
    assert isinstance(said["missing"], list)
    assert said["seconds"] > 0


@pytest.mark.usefixtures("small")
def test_an_unchanged_host_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path / "store")
    first = build(store)
    image = first.image
    assert first.built
    inodes = [path.stat().st_ino for path in store.prepare(image)]
    again = build(store)
    assert (again.built, again.image.digest) == (False, image.digest)
    assert build(store, force=True).built
    assert [path.stat().st_ino for path in store.prepare(image)] == inodes
    store.remove(REFERENCE)
    monkeypatch.setattr(hostimage, "_layers", lambda *_: pytest.fail("it is made again"))
    with pytest.raises(pytest.fail.Exception, match="made again"):
        build(store)


def test_every_look_is_part_of_the_record(tmp_path: Path) -> None:
    """A file changed, come, gone; a link led elsewhere; a new name in a listed folder."""
    base = str(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("x")
    (tmp_path / "l").symlink_to("f")

    def look() -> dict[str, list[int] | None]:
        host = Host()
        host.is_file(f"{base}/f")
        host.is_file(f"{base}/l")
        host.is_file(f"{base}/missing")
        host.list(f"{base}/d")
        return {path: list(s) if s else None for path, s in host.record().items()}

    def touch() -> None:
        os.utime(tmp_path / "f", ns=(5, 5))

    def relink() -> None:
        (tmp_path / "l").unlink()
        (tmp_path / "l").symlink_to("other")

    changes = [
        touch,
        relink,
        lambda: (tmp_path / "f").chmod(0o600),
        lambda: (tmp_path / "missing").write_text(""),
        lambda: (tmp_path / "d/new").write_text(""),
        lambda: (tmp_path / "f").unlink(),
    ]
    for change in changes:
        record = look()
        assert unchanged(record)
        change()
        assert not unchanged(record), change
    (tmp_path / "unrelated").write_text("")
    assert unchanged(look())


def test_what_is_put_in_a_copied_link_lies_where_it_leads(tmp_path: Path) -> None:
    """A merged /usr: /bin is a link, and /bin/sh of our own must not make a folder of it."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    tree = HostTree(Host())
    tree.copy(f"{tmp_path}/bin")
    tree.link(f"{tmp_path}/bin/sh", "dash")
    assert tree.has(f"{tmp_path}/usr/bin/sh")
    assert not tree.has(f"{tmp_path}/bin/sh")


@pytest.mark.usefixtures("small")
def test_another_python_makes_another_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of the files that were looked at has changed then."""
    store = opened(tmp_path / "store")
    build(store)
    monkeypatch.setattr(HostPython, "running", lambda: HostPython("/usr/bin/other", ()))
    monkeypatch.setattr(hostimage, "_layers", lambda *_: pytest.fail("it is made again"))
    with pytest.raises(pytest.fail.Exception, match="made again"):
        build(store)


@pytest.mark.parametrize("blob", ["layer", "config", "manifest"])
@pytest.mark.usefixtures("small")
def test_a_damaged_one_is_mended(tmp_path: Path, blob: str) -> None:
    store = opened(tmp_path / "store")
    image = build(store).image
    digests = {
        "layer": image.layers[-1].digest, "config": image.config_digest, "manifest": image.digest
    }  # fmt: skip
    store.blobs.path(digests[blob]).write_bytes(b"")
    again = opened(store.root)
    again.layers.boot = "after the power failed"
    assert build(again).built
    assert len(again.prepare(again.resolve(REFERENCE))) == 3


def test_another_python_than_the_running_one(tmp_path: Path) -> None:
    """A distribution's own Python lies elsewhere and has other libraries."""
    folders = sorted(Path("/usr/lib").glob("python3.*/os.py"))
    if not folders:
        pytest.fail("this test needs the distribution's python3 (apt-get install python3)")
    folder = str(folders[-1].parent)
    python = HostPython(os.path.realpath(f"/usr/bin/{Path(folder).name}"), (folder,))
    host = Host()
    tree = HostTree(host)
    missing = add_python(tree, python, Linker(host), [], f"{Path(folder).name[6:]}.0")
    assert not missing
    assert tree.has(python.executable)
    assert tree.has(f"{folder}/os.py")


def test_a_closure_is_what_the_dynamic_linker_loads() -> None:
    host = Host()
    for program in filter(None, map(host.which, ("ls", "bash", "tar", "ip", "ps"))):
        interpreter = Elf.read(os.path.realpath(program)).interpreter
        assert interpreter is not None
        listed = subprocess.run(
            [interpreter, "--list", program], check=True, capture_output=True, text=True
        )
        theirs = {
            os.path.realpath(word)
            for line in listed.stdout.splitlines()
            for word in line.split()
            if word.startswith("/")
        }
        closure = Linker(host).closure([program])
        ours = {os.path.realpath(path) for path in closure.files}
        assert ours - {os.path.realpath(program)} == theirs
        assert not closure.missing


def test_a_script_brings_its_interpreter(tmp_path: Path) -> None:
    host = Host()
    (tmp_path / "direct").write_text("#!/bin/sh -e\n")
    (tmp_path / "by-env").write_text("#!/usr/bin/env bash\n")
    files = Linker(host).closure([str(tmp_path / "direct"), str(tmp_path / "by-env")]).files
    assert {"/bin/sh", "/usr/bin/env", host.which("bash")} <= files


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    source, library, program = tmp_path / "x.c", tmp_path / "libgone.so", tmp_path / "x"
    source.write_text("int gone(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-o", library, source], check=True)
    source.write_text("int gone(void); int main(void) { return gone(); }\n")
    subprocess.run(["cc", "-o", program, source, library, "-Wl,-rpath,$ORIGIN"], check=True)
    closure = Linker(Host()).closure([str(program)])
    assert not closure.missing
    assert str(library) in {os.path.realpath(path) for path in closure.files}
    library.unlink()
    (missing,) = Linker(Host()).closure([str(program)]).missing
    assert missing[1] == str(program)
    assert missing[0].endswith("libgone.so")


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 200, b"#!/bin/sh"]
)
def test_a_damaged_elf_is_no_elf(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(NotElf):
        Elf.read(str(tmp_path / "x"))


def test_a_machine_without_a_shell_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Host, "which", lambda self, name: None)
    with pytest.raises(ImageError, match="no 'sh' in /usr/local/sbin"):
        build(opened(tmp_path / "store"))


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    tree = HostTree(Host())
    tree.copy(str(tmp_path / "f"))
    (tmp_path / "f").write_text("xyz")
    with pytest.raises(ImageError, match="f: changed while it was copied"):
        tree.write(lambda data: None)
