"""Which ids an ordinary user's containers have: those of subuid(5) and subgid(5), or the one own.

With subordinate ids newuidmap(1) and newgidmap(1), which are set-user-ID, write the maps; a single
id anyone may map for himself, if the namespace gives up setgroups(2) first: user_namespaces(7).
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

from engine.linux.flags import CLONE
from engine.linux.namespace import unshare

_TOOLS = ("newuidmap", "newgidmap")
_FILES = ("/etc/subuid", "/etc/subgid")


class Ids:
    """`uids`, `gids`: (first, how many) of what the machine lets this user have besides his own.

    `why`: what keeps him from having more than one; "" when nothing does.
    """

    def __init__(
        self, uids: list[tuple[int, int]], gids: list[tuple[int, int]], why: str = ""
    ) -> None:
        self.uids = uids
        self.gids = gids
        self.why = why

    @property
    def count(self) -> int:
        """How many there are, his own among them."""
        return 1 + min(sum(count for _, count in ranges) for ranges in (self.uids, self.gids))


def of_user() -> Ids:
    """What /etc/subuid and /etc/subgid give to the user who asks."""
    uid = os.getuid()
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    uids, gids = (parse(_text(file), names) for file in _FILES)
    lacking = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not uids or not gids:
        file = _FILES[0] if not uids else _FILES[1]
        return Ids([], [], f"{file} has no line for this user")
    if lacking:
        return Ids([], [], f"{' and '.join(lacking)} not installed (package uidmap, shadow-utils)")
    return Ids(uids, gids)


def parse(text: str, names: set[str]) -> list[tuple[int, int]]:
    """The ranges of a user, known by `names`, in subuid(5): NAME:FIRST:COUNT. Pure."""
    found = []
    for line in text.splitlines():
        name, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if name in names and first.isdigit() and count.isdigit() and int(count):
            found.append((int(first), int(count)))
    return found


def arguments(own: int, ranges: list[tuple[int, int]]) -> list[str]:
    """Of newuidmap(1): root inside is the user himself, then come the others in turn. Pure."""
    words, inside = ["0", str(own), "1"], 1
    for first, count in ranges:
        words += [str(inside), str(first), str(count)]
        inside += count
    return words


def own_user_namespace(ids: Ids) -> str:
    """Enter a new one, of which this process, which must be single-threaded, is root.

    Returns why it has a single id, "" when it has all of `ids`. Raise OSError when there can be
    none: EPERM or ENOSPC of unshare(2), or what a map was refused for.
    """
    pid = os.getpid()
    waiting, go_on = os.pipe2(os.O_CLOEXEC)
    reader, told = os.pipe2(os.O_CLOEXEC)
    # A map is written from outside: inside, nobody has a capability in the parent's namespace.
    child = os.fork()
    if child == 0:
        try:
            os.close(go_on)
            if os.read(waiting, 1):
                os.write(told, _map(pid, ids).encode())
        finally:
            os._exit(0)
    os.close(waiting)
    os.close(told)
    try:
        try:
            unshare(CLONE.NEWUSER)
            os.write(go_on, b"x")
        finally:
            os.close(go_on)
        with open(reader, "rb", closefd=False) as file:
            kind, _, text = file.read().decode(errors="replace").partition(" ")
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    if kind != "mapped":
        raise OSError(int(kind or 0), text or "its ids were not mapped", "user namespace")
    return text


def _map(pid: int, ids: Ids) -> str:
    """Map the ids of a process that has just entered its namespace; the answer, for a pipe."""
    why = ids.why
    try:
        if not why:
            why = _run("newuidmap", pid, arguments(os.getuid(), ids.uids))
            if not why:
                refused = _run("newgidmap", pid, arguments(os.getgid(), ids.gids))
                return f"1 {refused}" if refused else "mapped "
        _write(pid, "setgroups", "deny")
        _write(pid, "uid_map", f"0 {os.getuid()} 1")
        _write(pid, "gid_map", f"0 {os.getgid()} 1")
    except OSError as error:
        return f"{error.errno or 0} {error.strerror}: {error.filename}"
    return f"mapped {why}"


def _run(tool: str, pid: int, words: list[str]) -> str:
    """What it complains of, "" when it worked."""
    ran = subprocess.run([tool, str(pid), *words], capture_output=True, text=True)
    if ran.returncode == 0:
        return ""
    return ran.stderr.strip() or f"{tool} ended with code {ran.returncode}"


def _write(pid: int, name: str, text: str) -> None:
    # One write(2): a map is taken whole or not at all.
    with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
        file.write(text.encode())


def _text(file: str) -> str:
    try:
        with open(file) as lines:
            return lines.read()
    except (FileNotFoundError, PermissionError):
        return ""
