"""openat2: nobody leaves the directory that is said to be the root."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.linux.flags import RESOLVE
from engine.linux.path import openat2


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (inside / "secret").write_text("inside")
    (inside / "absolute").symlink_to("/secret")
    (inside / "upwards").symlink_to("../../../../secret")
    (inside / "magic").symlink_to("/proc/self/root/secret")
    fd = os.open(inside, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    "path", [b"secret", b"/secret", b"../secret", b"etc/../../secret", b"absolute", b"upwards"]
)
def test_every_path_ends_inside(root: int, path: bytes) -> None:
    fd = openat2(root, path, os.O_RDONLY)
    try:
        assert os.read(fd, 100) == b"inside"
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_missing_file_is_named(root: int) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        openat2(root, b"magic", os.O_RDONLY)
    assert raised.value.filename == b"magic"


def test_magic_links_are_refused() -> None:
    proc = os.open("/proc", os.O_PATH)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            openat2(proc, b"self/exe", os.O_RDONLY)
    finally:
        os.close(proc)


def test_creates_with_mode(root: int) -> None:
    fd = openat2(root, b"etc/new", os.O_CREAT | os.O_WRONLY, 0o640, RESOLVE.IN_ROOT)
    assert os.fstat(fd).st_mode & 0o777 == 0o640
    os.close(fd)


def test_a_nul_byte_does_not_shorten_a_path(root: int) -> None:
    with pytest.raises(ValueError, match="embedded null byte"):
        openat2(root, b"secret\0/etc", os.O_RDONLY)
