"""What can go wrong between an engine and its containers, told so that a person can act on it."""

import errno
import os


class RuntimeFailure(Exception):
    """Base: something was asked of a node's runtime and was not done."""


class KeeperLost(RuntimeFailure):
    """The keeper has ended, and its containers can no longer be reached."""


class KeeperNotStarted(RuntimeFailure):
    """The keeper could not be started; the message holds its last words."""


class StartError(RuntimeFailure):
    """A container, or an exec in one, did not start.

    step    the operation that failed: "overlay", "bind", "exec", ...
    object  what it was done to
    errno   0 when the kernel had no part in it
    hint    what to do about it, or ""
    """

    def __init__(self, step: str, object: str, number: int, text: str, about: str) -> None:
        self.step = step
        self.object = object
        self.errno = number
        self.hint = _HINTS.get((step, number), "")
        # What the kernel complained of, unless the object has said it.
        where = f"{about}: " if about and about not in object else ""
        what = f"{step} {object}".rstrip()
        hint = f" ({self.hint})" if self.hint else ""
        super().__init__(f"{what}: {where}{text}{hint}")


# By operation and errno, the causes that a user meets and can remove.
_HINTS = {
    ("set-up", 0): "137 may be a memory limit too small to start in, or a kill",
    ("exec", errno.ENOENT): "is the command right, and in the image?",
    ("exec", errno.EACCES): "is it executable for the container's user? chmod +x, or runAsUser",
    (
        "exec",
        errno.ENOEXEC,
    ): "is it built for this machine, or is its #! line missing?",
    ("workdir", errno.ENOTDIR): "workingDir names a file",
    ("workdir", errno.ELOOP): "workingDir leads through a link of /proc, which is refused",
    ("bind", errno.ENOENT): "does the volume's source exist on this node?",
    ("bind", errno.ENOTDIR): "a folder cannot be mounted on a file, nor below one",
    ("overlay", errno.EINVAL): "the upper directory was used before, or lies on a filesystem that"
    " overlay cannot write to (another overlay, NFS)",
    ("overlay", errno.ENODEV): "this kernel has no overlay filesystem: modprobe overlay",
    ("overlay", errno.ENOENT): "are the image's layers still there?",
    ("clone", errno.ENOSPC): "the limit of nested or user namespaces: /proc/sys/user/max_*",
    ("clone", errno.EAGAIN): "the limit of processes: ulimit -u, pids.max, kernel.pid_max",
    ("clone", errno.ENOMEM): "no memory for a process, or the container has just ended",
    ("join-cgroup", errno.EAGAIN): "the cgroup's limit of processes",
    ("limit-cgroup", errno.EBUSY): "its memory limit may be too small to start in",
    ("limit-cgroup", errno.EINVAL): "a limit that this kernel does not accept",
    ("limit-cgroup", errno.ENOENT): "a cgroup controller is missing",
    ("seccomp", errno.EINVAL): "this kernel lacks CONFIG_SECCOMP_FILTER",
    ("mount", errno.ELOOP): "the image has a symlink where the kernel's files must be mounted",
    ("mount", errno.EPERM): "mounting is not permitted here: is this itself a container?",
    ("gate", errno.EMFILE): "RLIMIT_NOFILE leaves it too few to be started with",
    ("map-mount", errno.EINVAL): "its filesystem, or one mounted below it, cannot show other ids"
    " (ext4, xfs, btrfs and tmpfs can, by Linux 6.3); leave idmap and the mappings out",
    ("map-mount", errno.EPERM): "only who owns the filesystem may show other ids of it",
    ("log", errno.ENOSPC): "the disk is full",
    ("user", errno.EINVAL): "a user or group id that this user namespace does not have; ids come"
    " from /etc/subuid and /etc/subgid",
}


def failed(verb: str, about: str, failure: tuple[object, ...]) -> Exception:
    """The exception for a keeper's answer: its kind, then the facts."""
    kind, *facts = failure
    if kind == "start":
        step, object, number, text, name = facts
        assert isinstance(number, int)
        return StartError(str(step), str(object), number, str(text), str(name))
    if kind == "os":
        number, text, name = facts
        assert isinstance(number, int)
        return OSError(number, str(text) or os.strerror(number), str(name) or about)
    return RuntimeFailure(f"{verb} {about}: the keeper failed: {facts[0]}")
