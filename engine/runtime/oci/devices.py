"""Device nodes and links of a bundle's /dev."""

from __future__ import annotations

import errno
import os
import stat

from engine.runtime.ops import rootfd
from engine.runtime.ops.base import Context, Op, shown

NULL_AND_KIN = (
    (b"/dev/null", "c", 1, 3, 0o666, 0, 0),
    (b"/dev/zero", "c", 1, 5, 0o666, 0, 0),
    (b"/dev/full", "c", 1, 7, 0o666, 0, 0),
    (b"/dev/random", "c", 1, 8, 0o666, 0, 0),
    (b"/dev/urandom", "c", 1, 9, 0o666, 0, 0),
    (b"/dev/tty", "c", 5, 0, 0o666, 0, 0),
)
"""What the specification has every container find (config-linux.md, "Default Devices")."""

LINKS = (
    (b"/dev/fd", b"/proc/self/fd"),
    (b"/dev/stdin", b"/proc/self/fd/0"),
    (b"/dev/stdout", b"/proc/self/fd/1"),
    (b"/dev/stderr", b"/proc/self/fd/2"),
    (b"/dev/ptmx", b"pts/ptmx"),
    (b"/dev/core", b"/proc/kcore"),
)

TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


class Nodes(Op):
    """(path, type, major, minor, mode, uid, gid) each. What is there already, and is that device,
    stays. `bound`: in a user namespace none can be made, so the machine's are shown."""

    NAME = "devices"
    PHASE = "mounts"
    nodes: tuple[tuple[bytes, str, int, int, int, int, int], ...]
    bound: bool

    @property
    def about(self) -> str:
        return f"{len(self.nodes)} devices"

    def apply(self, context: Context) -> None:
        umask = os.umask(0)
        for path, kind, major, minor, mode, uid, gid in self.nodes:
            folder, name = os.path.split(path)
            parent = rootfd.directory(context.root, folder)
            try:
                if self.bound:
                    target = rootfd.file(context.root, path)
                    rootfd.attach(rootfd.copy_of(path, b"", recursive=False), target)
                else:
                    device = os.makedev(major, minor)
                    os.mknod(name, TYPES[kind] | mode, device, dir_fd=parent)
                    os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                same = stat.S_IFMT(found.st_mode) == TYPES[kind]
                if not same or (kind != "p" and found.st_rdev != os.makedev(major, minor)):
                    text = f"is there already, and is not the device {kind} {major}:{minor}"
                    raise OSError(errno.EEXIST, text, path) from None
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            finally:
                os.close(parent)
        os.umask(umask)

    def describe(self) -> str:
        return "make the devices " + ", ".join(shown(node[0]) for node in self.nodes)

    def shell(self) -> str:
        return "; ".join(
            f"mknod -m {mode:o} ROOT{shown(path)} {kind} {major} {minor}"
            for path, kind, major, minor, mode, _, _ in self.nodes
        )


class Links(Op):
    """(path, target) each; what is there already stays."""

    NAME = "links"
    PHASE = "mounts"
    links: tuple[tuple[bytes, bytes], ...]

    @property
    def about(self) -> str:
        return f"{len(self.links)} links"

    def apply(self, context: Context) -> None:
        for path, target in self.links:
            folder, name = os.path.split(path)
            parent = rootfd.directory(context.root, folder)
            try:
                os.symlink(target, name, dir_fd=parent)
            except FileExistsError:
                pass
            finally:
                os.close(parent)

    def describe(self) -> str:
        return "link " + ", ".join(f"{shown(path)} to {shown(t)}" for path, t in self.links)

    def shell(self) -> str:
        return "; ".join(f"ln -s {shown(target)} ROOT{shown(path)}" for path, target in self.links)
