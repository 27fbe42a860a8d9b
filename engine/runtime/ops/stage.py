"""What every container gets from the kernel, set up beside its root filesystem and then moved in.

All of it is known before the container's image is, so a process can have it ready and wait for the
rest. It is made in a directory of ours, which no image has a hand in.
"""

from __future__ import annotations

import os

from engine.linux.flags import MS
from engine.linux.mount import mount
from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op, quoted, shown

# There on every kernel that has a proc filesystem, and never a layer or a volume: what is covered
# there is missed by nobody.
_PLACE = b"/proc/driver"


class Stage(Op):
    """Until there is a root filesystem, this is the root. `targets`: what will be moved out."""

    NAME = "stage"
    PHASE = "mounts"
    targets: tuple[bytes, ...]

    @property
    def about(self) -> str:
        return " ".join(map(shown, self.targets))

    def apply(self, context: Context) -> None:
        mount(b"stage", _PLACE, b"tmpfs", MS.NOSUID | MS.NODEV | MS.NOEXEC, b"mode=755")
        # A volume of the machine's whole tree, mounts and all, does not show it.
        mount(None, _PLACE, None, MS.UNBINDABLE)
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        context.stage = context.root = os.open(_PLACE, flags)
        for target in self.targets:
            os.mkdir(target[1:], 0o755, dir_fd=context.stage)

    def describe(self) -> str:
        return f"set up {', '.join(map(shown, self.targets))} beside the root filesystem"

    def shell(self) -> str:
        place = shown(_PLACE)
        folders = " ".join(quoted(_PLACE + target) for target in self.targets)
        return (
            f"mount -t tmpfs -o nosuid,nodev,noexec,mode=755 stage {place};"
            f" mount --make-unbindable {place}; mkdir {folders}; ROOT={place}"
        )


class Place(Op):
    """Its path in the root may hold no symlink: an image whose /proc is one could have what belongs
    there put, or later looked for, elsewhere (CVE-2019-19921)."""

    NAME = "place"
    PHASE = "mounts"
    target: bytes

    @property
    def about(self) -> str:
        return shown(self.target)

    def apply(self, context: Context) -> None:
        at = rootfd.directory(context.root, self.target, symlinks=False)
        rootfd.attach(rootfd.find(context.stage, self.target, symlinks=False), at)

    def describe(self) -> str:
        return f"move {shown(self.target)} into the root filesystem"

    def shell(self) -> str:
        return f"mount --move {quoted(_PLACE + self.target)} ROOT{quoted(self.target)}"
