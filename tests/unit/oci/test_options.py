"""The options of mounts, taken apart."""

from __future__ import annotations

import pytest

from engine.linux.flags import MOUNT_ATTR, MS
from engine.runtime.oci.options import Options


@pytest.mark.parametrize(
    ("words", "set_", "clear"),
    [
        (("ro",), MOUNT_ATTR.RDONLY, 0),
        (("ro", "rw"), 0, MOUNT_ATTR.RDONLY),
        (("nosuid", "nodev"), MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV, 0),
        (("noatime",), MOUNT_ATTR.NOATIME, 0x70),
        (("noatime", "relatime"), 0, 0x70),
        (("noatime", "strictatime"), MOUNT_ATTR.STRICTATIME, 0x70),
    ],
)
def test_options_of_the_mount(words: tuple[str, ...], set_: int, clear: int) -> None:
    options = Options(words)
    assert (options.set, options.clear) == (set_, clear)


def test_options_for_the_filesystem() -> None:
    options = Options(("rw", "size=1k", "newinstance", "rprivate", "tmpcopyup", "lazytime"))
    assert options.data == [(b"size", b"1k"), (b"newinstance", b""), (b"lazytime", b"")]
    assert options.propagation == MS.PRIVATE | MS.REC
    assert options.copy_up
