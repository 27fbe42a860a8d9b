"""A tmpfs for an `emptyDir` with `medium: Memory`, where only the node's containers see it.

It is mounted in the keeper's mount namespace: the machine's own mount table stays as it was, and
when the keeper goes the kernel takes the tmpfs away too.
"""

import os
from pathlib import Path

from engine.linux.flags import MNT, MS
from engine.linux.mount import mount, umount2
from engine.linux.mountns import in_mount_namespace


def mount_tmpfs(keeper_pid: int, folder: Path, size: int | None) -> None:
    """Mount a tmpfs of at most `size` bytes on `folder`, unless one is there. Raise OSError."""

    def work() -> None:
        if not os.path.ismount(folder):
            mode = folder.stat()
            data = f"mode={mode.st_mode & 0o7777:o},gid={mode.st_gid}"
            data += f",size={size}" if size else ""
            target = os.fsencode(folder)
            mount(b"tmpfs", target, b"tmpfs", MS.NOSUID | MS.NODEV, data.encode())

    in_mount_namespace(keeper_pid, work)


def unmount_below(keeper_pid: int, folder: Path) -> None:
    """Unmount every tmpfs right below `folder`. Raise OSError."""

    def work() -> None:
        for entry in folder.iterdir() if folder.is_dir() else ():
            if os.path.ismount(entry):
                umount2(os.fsencode(entry), MNT.DETACH)

    in_mount_namespace(keeper_pid, work)
