"""A container's root filesystem: the init layer is not seen, and nothing in it leads outside."""

import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from engine.images.changes import Change, changes
from engine.images.errors import ImageError
from engine.images.rootfs import Rootfs, create_rootfs, open_rootfs, remove_rootfs
from tests.real.images.layouts import Layout, merged, opened
from tests.real.images.tars import Member, file, folder, member, symlink, tar, whiteout

pytestmark = pytest.mark.usefixtures("driver")


def prepared(tmp_path: Path, *layers: list[Member]) -> list[Path]:
    layout = Layout(tmp_path / "layout")
    layout.image([tar(*members) for members in layers])
    store = opened(tmp_path / "store")
    (image,) = store.load(layout.write())
    return store.prepare(image)


def rootfs(tmp_path: Path, *layers: list[Member]) -> Rootfs:
    lowerdirs = prepared(tmp_path, *layers)
    return create_rootfs(
        lowerdirs,
        tmp_path / "c",
        hostname="pod-1",
        hosts=b"127.0.0.1 localhost\n",
        resolv=b"# none\n",
    )


def run(made: Rootfs, script: str, tmp_path: Path) -> None:
    """Run a shell script with the mounted root as its folder, in a mount namespace of its own."""
    target = tmp_path / "merged"
    target.mkdir(exist_ok=True)
    options = (
        f"lowerdir={':'.join(map(str, made.lowerdirs))},upperdir={made.upper},workdir={made.work}"
    )
    mount = 'mount -t overlay overlay -o "$1" "$2" && cd "$2" && eval "$3"'
    subprocess.run(["unshare", "-m", "sh", "-ec", mount, "sh", options, target, script], check=True)


def test_the_files_of_the_container_are_beside_its_tree(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("etc")])
    assert made.hostname.read_text() == "pod-1\n"
    assert made.hosts.read_bytes() == b"127.0.0.1 localhost\n"
    assert made.resolv_conf.read_bytes() == b"# none\n"
    for path in (made.hosts, made.hostname, made.resolv_conf):
        assert path.stat().st_mode & 0o777 == 0o644
    assert made.upper.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700
    assert open_rootfs(tmp_path / "c") == made


def test_the_init_layer_has_the_mount_points(tmp_path: Path) -> None:
    found = merged(rootfs(tmp_path, [folder("bin")]).lowerdirs, tmp_path)
    for name in ("dev/pts", "dev/shm", "dev/mqueue", "proc", "sys"):
        assert found[name][0] == "drwxr-xr-x"
    for name in ("etc/hosts", "etc/hostname", "etc/resolv.conf"):
        assert found[name][0] == "-rw-r--r--"
    assert found["etc/mtab"][4] == "/proc/mounts"


def test_a_narrow_umask_narrows_nothing(tmp_path: Path) -> None:
    before = os.umask(0o77)
    try:
        made = rootfs(tmp_path, [folder("etc"), file("etc/passwd"), file("implicit/x")])
    finally:
        os.umask(before)
    found = merged(made.lowerdirs, tmp_path)
    assert found["dev/pts"][0] == found["implicit"][0] == "drwxr-xr-x"
    assert found["etc/hosts"][0] == found["etc/passwd"][0] == "-rw-r--r--"
    assert made.upper.stat().st_mode & 0o777 == 0o755


def test_the_init_layer_keeps_the_images_own_attributes(tmp_path: Path) -> None:
    image = [
        folder("etc", mode=0o711, uid=5, mtime=7),
        folder("proc", mode=0o555),
        file("etc/mtab", b"mine"),
        file("etc/passwd", b"x"),
    ]
    made = rootfs(tmp_path, image)
    found = merged(made.lowerdirs, tmp_path)
    assert found["etc"][:4] == ["drwx--x--x", 5, 0, 7 * 10**9]
    assert found["proc"][0] == "dr-xr-xr-x"
    assert found["etc/mtab"][0] == "-rw-r--r--"
    assert "etc/passwd" in found


@pytest.mark.parametrize("target", ["usr/etc", "/usr/etc", "../../../usr/etc", "/x/../usr/./etc"])
def test_an_etc_that_is_a_link_is_followed_inside(tmp_path: Path, target: str) -> None:
    image = [folder("usr"), folder("usr/etc", mode=0o750), symlink("etc", target)]
    found = merged(rootfs(tmp_path, image).lowerdirs, tmp_path)
    assert found["etc"][4] == target
    assert found["usr/etc/hosts"][0] == "-rw-r--r--"
    assert found["usr/etc"][0] == "drwxr-x---"


def test_links_across_layers_and_whiteouts_are_followed_as_overlayfs_does(tmp_path: Path) -> None:
    made = rootfs(
        tmp_path,
        [folder("a"), symlink("a/etc", "/wrong"), folder("real"), symlink("etc", "old")],
        [folder("a"), whiteout("a/etc"), symlink("etc", "a/etc")],
        [folder("a"), symlink("a/etc", "../real")],
    )
    assert "real/hosts" in merged(made.lowerdirs, tmp_path)


@pytest.mark.parametrize(
    "image",
    [
        [symlink("etc", "/proc/self/root/tmp")],
        [symlink("dev", "/proc"), symlink("proc", "/etc"), symlink("sys", "../../sys")],
        [file("etc", b"a file"), file("dev"), member("proc", tarfile.FIFOTYPE)],
        [folder("etc"), folder("etc/hosts"), symlink("etc/resolv.conf", "/etc/passwd")],
    ],
    ids=["etc out", "top links", "no folders", "files that are not"],
)
def test_an_odd_image_gets_its_mount_points_inside(tmp_path: Path, image: list[Member]) -> None:
    found = merged(rootfs(tmp_path, image).lowerdirs, tmp_path)
    for name in ("dev", "proc", "sys"):
        assert found[name][0].startswith("d")
    hosts = [name for name in found if name.endswith("/hosts")]
    assert [found[name][0] for name in hosts] == ["-rw-r--r--"]


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="too many levels"):
        rootfs(tmp_path, [symlink("etc", "b"), symlink("b", "etc")])
    assert not (tmp_path / "c").exists()


def test_the_init_layer_is_made_once_for_a_stack(tmp_path: Path) -> None:
    lowerdirs = prepared(tmp_path, [folder("etc")], [file("a")])
    made = [
        create_rootfs(lowerdirs, tmp_path / f"c{n}", hostname="h", hosts=b"", resolv=b"")
        for n in range(3)
    ]
    assert len({m.lowerdirs for m in made}) == 1
    assert list(made[0].lowerdirs[1:]) == lowerdirs
    assert [p.name for p in made[0].lowerdirs[0].parent.iterdir()] == [made[0].lowerdirs[0].name]


def test_a_layer_that_has_gone_is_named(tmp_path: Path) -> None:
    lowerdirs = prepared(tmp_path, [folder("etc")])
    create_rootfs(lowerdirs, tmp_path / "a", hostname="h", hosts=b"", resolv=b"")
    lowerdirs[0].parent.rename(tmp_path / "store/layers/elsewhere")
    with pytest.raises(ImageError, match=lowerdirs[0].parent.name):
        create_rootfs(lowerdirs, tmp_path / "b", hostname="h", hosts=b"", resolv=b"")


def test_removing_lets_the_layers_go_and_may_be_repeated(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("etc")])
    uses = made.lowerdirs[1].parent / "uses"
    assert [os.readlink(use) for use in uses.iterdir()] == [str(tmp_path / "c")]
    remove_rootfs(tmp_path / "c")
    assert list(uses.iterdir()) == []
    assert not (tmp_path / "c").exists()
    remove_rootfs(tmp_path / "c")


def test_a_tree_too_deep_for_recursion_is_removed(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("etc")])
    here = os.open(made.upper, os.O_RDONLY)
    for depth in range(3000):
        os.mkdir("d", dir_fd=here)
        os.close(os.open(f"f{depth}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_rootfs(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_removing_follows_no_link(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("etc")])
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "x").write_text("x")
    (made.upper / "d").mkdir()
    for place in (made.upper, made.upper / "d"):
        (place / "out").symlink_to(precious)
        (place / "file").symlink_to(precious / "x")
    remove_rootfs(tmp_path / "c")
    assert (precious / "x").read_text() == "x"


def test_changes_are_told_as_they_are(tmp_path: Path) -> None:
    image = [
        folder("etc"), file("etc/passwd", b"x"), file("etc/group", b"x"), folder("d"), file("d/a"),
        file("d/b"), folder("mode"), file("replaced", b"x"), symlink("l", "a"),
    ]  # fmt: skip
    made = rootfs(tmp_path, image)
    script = """
        echo more >> etc/passwd
        rm etc/group
        rm -r d
        mkdir new; echo 12345 > new/file; ln -s /etc/shadow new/link
        chmod 700 mode
        echo new > other; mv other replaced
        rm l; mkdir l
    """
    run(made, script, tmp_path)
    found, size = changes(made.upper, made.lowerdirs)
    assert found == [
        Change("deleted", "/d", 0),
        Change("deleted", "/etc/group", 0),
        Change("changed", "/etc/passwd", 6),
        Change("changed", "/l", 0),
        Change("changed", "/mode", 0),
        Change("added", "/new", 0),
        Change("added", "/new/file", 6),
        Change("added", "/new/link", 0),
        Change("changed", "/replaced", 4),
    ]
    assert size == 16
    assert len(changes(made.upper, made.lowerdirs, limit=3).changes) == 3


def test_the_containers_own_files_are_no_changes(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("etc")])
    run(made, f"mount --bind {made.hosts} etc/hosts; echo x >> etc/hosts", tmp_path)
    assert changes(made.upper, made.lowerdirs) == ([], 0)
    assert made.hosts.read_text().endswith("x\n")


def test_changes_follow_no_link(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("etc")])
    (made.upper / "out").symlink_to("/etc")
    assert [change.path for change in changes(made.upper, made.lowerdirs).changes] == ["/out"]


def test_the_root_is_open_to_everyone(tmp_path: Path) -> None:
    made = rootfs(tmp_path, [folder("bin")])
    run(made, "test $(stat -c %a .) = 755", tmp_path)
    assert stat.S_ISDIR(made.work.lstat().st_mode)
