"""Contexts and Containerfiles that would like to get at more than their own.

The canary lies beside the context: no build may read or change it.
"""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from pathlib import Path

import pytest

from engine.images.containerfile.problem import ContainerfileError
from engine.images.containerfile.words import LENGTH_MAX
from engine.images.errors import ImageError
from engine.images.types import Image
from tests.real.images.builder.conftest import HOST, Shop

SECRET = b"of the host"


@pytest.fixture
def outside(shop: Shop) -> Path:
    """A folder with a context in it, and with what is none of its business."""
    return shop.context({"secret": SECRET, "ctx/": "", "dir/secret": SECRET})


def contents(shop: Shop, image: Image) -> bytes:
    return b"".join(shop.store.blobs.path(layer.digest).read_bytes() for layer in image.layers)


@pytest.mark.parametrize(
    "source",
    ["../secret", "/../secret", "x/../../secret", "../dir", "..", "/..", "a/../..", "../*"],
)
def test_a_source_never_leads_out(shop: Shop, outside: Path, source: str) -> None:
    (outside / "ctx/x").mkdir()
    for form in (f"COPY {source} /", f"ADD {source} /", f"RUN --mount=target=/m,source={source} x"):
        with pytest.raises(ContainerfileError, match=r"leads out of the build context"):
            shop.build(f"FROM {HOST}\n{form}", outside / "ctx")


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("../secret", "link"),
        ("../dir", "link"),
        ("../dir", "link/secret"),
        ("/etc/shadow", "link"),
        ("/proc/self/root/etc/passwd", "link"),
        ("/", "link/etc/passwd"),
        ("../../../../../../../etc/passwd", "link"),
    ],
)
def test_a_link_is_resolved_inside_the_context(
    shop: Shop, outside: Path, target: str, source: str
) -> None:
    (outside / "ctx/link").symlink_to(target)
    with pytest.raises(ContainerfileError, match="is not in the build context"):
        shop.build(f"FROM scratch\nCOPY {source} /", outside / "ctx")
    # What an absolute link means is what lies there in the context.
    here = outside / "ctx" / target.replace("../", "").lstrip("/")
    if here != outside / "ctx" and source == "link":
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_bytes(b"of the context")
        image = shop.build("FROM scratch\nCOPY link /copied", outside / "ctx")
        assert shop.read(image, "/copied") == b"of the context"


def test_links_within_a_copied_folder_are_copied_as_links(shop: Shop, outside: Path) -> None:
    (outside / "ctx/d").mkdir()
    (outside / "ctx/d/out").symlink_to("../../secret")
    (outside / "ctx/d/dir").symlink_to("../../dir")
    (outside / "ctx/d/self").symlink_to("self")
    image = shop.build("FROM scratch\nCOPY . /\n", outside / "ctx")
    assert SECRET not in contents(shop, image)
    found = shop.stat(image, "/d/dir")
    assert found is not None
    assert stat.S_ISLNK(found.st_mode)
    with pytest.raises(ContainerfileError, match="too many levels of symbolic links"):
        shop.build("FROM scratch\nCOPY d/self /x", outside / "ctx")
    # A bound copy is resolved inside the container, where the links lead nowhere.
    text = (
        f"FROM {HOST}\nRUN --mount=target=/m,rw ! cat /m/d/out && ! ls /m/d/dir/ && echo x > /m/new"
    )
    shop.build(text, outside / "ctx")
    assert not (outside / "ctx/new").exists()
    assert (outside / "secret").read_bytes() == SECRET


@pytest.mark.parametrize(
    ("dest", "where"), [("/link/x", "/real/x"), ("/abs/x", "/etc/x"), ("/up/x", "/x")]
)
def test_a_destination_is_resolved_inside_the_image(shop: Shop, dest: str, where: str) -> None:
    canary = shop.home / "x"
    text = (
        f"FROM {HOST}\nRUN mkdir /real && ln -s real /link && ln -s /etc /abs"
        f" && ln -s ../../../../../.. /up\nCOPY f {dest}\nWORKDIR {dest}.d\nRUN test -e {where}\n"
    )
    image = shop.build(text, {"f": "x"})
    assert shop.read(image, where) == b"x"
    assert not canary.exists()
    assert not Path("/etc/x").exists()


def test_devices_pipes_and_sockets_of_a_context(shop: Shop, outside: Path) -> None:
    context = outside / "ctx"
    listener = socket.socket(socket.AF_UNIX)
    at = os.getcwd()
    os.chdir(context)  # its path would be too long for a socket
    listener.bind("sock")
    os.chdir(at)
    listener.close()
    (context / "f").write_text("x")
    image = shop.build("FROM scratch\nCOPY . /\n", context)
    assert shop.stat(image, "/sock") is None
    for name, mode, device in (("fifo", stat.S_IFIFO, 0), ("null", stat.S_IFCHR, os.makedev(1, 3))):
        os.mknod(context / name, mode | 0o600, device)
        with pytest.raises(
            ContainerfileError, match=f"/{name}: is a (pipe|device), which the build"
        ):
            shop.build("FROM scratch\nCOPY . /\n", context)
        (context / name).unlink()
    # Overlayfs' own mark, which would delete what the image has.
    os.mknod(context / "etc", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    shop.build(f"FROM {HOST}\nCOPY . /\nRUN test -d /etc\n", context)


def test_names_that_would_delete_files_of_the_image(shop: Shop) -> None:
    for files, text in (
        ({".wh.etc": ""}, "COPY . /"),
        ({".wh.etc": ""}, "COPY .wh.etc /"),
        ({"d/.wh..wh..opq": ""}, "COPY d /etc/"),
        ({"f": ""}, "COPY f /.wh.etc"),
        ({"f": ""}, "WORKDIR /.wh.etc/x"),
        ({}, "COPY <<x /.wh.etc\nx\n"),
    ):
        with pytest.raises(ContainerfileError, match=r"names that begin with '\.wh\.'"):
            shop.build(f"FROM {HOST}\n{text}", files)
    with pytest.raises(ContainerfileError, match=r"names that begin with '\.wh\.'"):
        shop.build(f"FROM {HOST}\nRUN touch /.wh.etc")


def _tar(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for info in members:
            file.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def _member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


@pytest.mark.parametrize(
    "members",
    [
        [_member("../out", size=1)],
        [_member("a", tarfile.SYMTYPE, ".."), _member("a/../../out", size=1)],
        [_member("etc", tarfile.LNKTYPE, "../../../etc/shadow")],
        [_member("x", tarfile.LNKTYPE, "/etc/shadow")],
        [_member("l", tarfile.SYMTYPE, "/etc"), _member("l/made-by-tar", size=1)],
    ],
)
def test_an_archive_that_would_unpack_elsewhere(shop: Shop, members: list[tarfile.TarInfo]) -> None:
    data = _tar(_member("first", size=1), *members)
    with pytest.raises(ContainerfileError, match=r"x\.tar: "):
        shop.build(f"FROM {HOST}\nADD x.tar /d/", {"x.tar": data})
    assert shop.left() == []


def test_texts_that_grow(shop: Shop) -> None:
    doubling = "ARG a0=xxxxxxxxxx\n" + "".join(f"ARG a{n + 1}=$a{n}$a{n}\n" for n in range(40))
    with pytest.raises(ContainerfileError, match=f"more than {LENGTH_MAX}") as caught:
        shop.build(doubling + "FROM scratch\n")
    assert caught.value.place.line == 15
    growing = "FROM scratch\nENV A=xxxxxxxxxx\n" + "ENV A=$A$A\n" * 40
    with pytest.raises(ContainerfileError, match=f"more than {LENGTH_MAX}"):
        shop.build(growing)
    with pytest.raises(ContainerfileError, match="deeper than 500"):
        shop.build("FROM scratch\nWORKDIR " + "/a" * 3000)
    many = "".join(f"LABEL l{n}=$A$A$A$A\n" for n in range(100))
    with pytest.raises(ImageError, match="the limit is"):
        shop.build(f"FROM scratch\nARG A={'x' * 30_000}\n{many}")


def test_what_a_command_leaves_at_its_mount_points_is_no_part_of_the_layer(shop: Shop) -> None:
    """CVE-2024-23652: mount points were cleaned up behind a link that the command put there."""
    keep = shop.home / "keep"
    (keep / "sub").mkdir(parents=True)
    text = f"""\
FROM {HOST} AS a
RUN --mount=type=cache,target=/new/deep/cache --mount=type=secret,id=s,target=/new/secret true
FROM a
RUN test ! -e /new
RUN --mount=type=cache,target=/stay/cache touch /stay/file
RUN test -e /stay/file && test ! -e /stay/cache
RUN --mount=type=tmpfs,target=/m/sub mv /m /moved && ln -s {keep} /m && touch /moved/sub/x
RUN test -L /m && test ! -e /moved/sub/x
"""
    image = shop.build(text, secrets={"s": b"s3cret-of-a-layer"})
    assert os.listdir(keep) == ["sub"]
    assert b"s3cret-of-a-layer" not in contents(shop, image)


def test_a_build_reaches_nothing_but_its_own(shop: Shop) -> None:
    said = shop.said(
        f"FROM {HOST}\nRUN cat /proc/self/status | grep -E 'NoNewPrivs|Seccomp:';"
        " ls /sys/class/net; cat /proc/net/route | wc -l; ls -d /proc/[0-9]* | wc -l;"
        f" ls {shop.home} 2>&1; mount -t tmpfs x /tmp 2>&1; hostname\n"
    )
    assert "NoNewPrivs:\t1" in said
    assert "Seccomp:\t2" in said
    lines = said.splitlines()
    assert "lo" in lines
    assert "eth0" not in lines
    assert f"ls: cannot access '{shop.home}': No such file or directory" in said
    assert "permission denied" in said
    assert lines[-1] == "build"


def test_the_outside_is_reached_only_when_asked_for(shop: Shop) -> None:
    text = f"FROM {HOST}\nRUN --network=host ls /sys/class/net\nRUN ls /sys/class/net"
    assert shop.said(text).splitlines() == ["eth0", "lo", "lo"]
    assert shop.left() == []
    said = shop.said(f"FROM {HOST}\nRUN --network=none ls /sys/class/net", network="host")
    assert said.splitlines() == ["lo"]
