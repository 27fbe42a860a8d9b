"""The machine's first process: it mounts what a machine has, runs the jobs, and powers off.

What a systemd machine has: cgroup v2 alone, with systemd's options, and its sessions in a cgroup of
their own. Each job's beginning and end is a line of the console, which is all that leaves.

It imports nothing of ours: it runs before there is anything to import from.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
import traceback

_FINIT_MODULE = 313  # x86-64
_POWER_OFF = 0x4321FEDC
_MS_BIND, _MS_MOVE = 4096, 8192
_SESSION = "/sys/fs/cgroup/user.slice/session-1.scope"
_MOUNTS = (
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("cgroup2", "/sys/fs/cgroup", "nsdelegate,memory_recursiveprot"),
    ("devtmpfs", "/dev", ""),
    ("devpts", "/dev/pts", "mode=620,ptmxmode=666"),
    ("tmpfs", "/dev/shm", ""),
    ("tmpfs", "/run", "mode=755"),
    ("tmpfs", "/tmp", "mode=1777"),
    ("tmpfs", "/var", "mode=755"),
)
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, about: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), about)


def _mount(source: str, target: str, fstype: str | None, flags: int, options: str) -> None:
    kind = fstype.encode() if fstype else None
    arguments = (source.encode(), target.encode(), kind, flags, options.encode())
    _check(_libc.mount(*arguments), target)


def _leave_the_first_root() -> None:
    """pivot_root(2) refuses the initramfs itself, but not a bind mount of it."""
    os.mkdir("/real")
    _mount("/", "/real", None, _MS_BIND, "")
    os.chdir("/real")
    _mount("/real", "/", None, _MS_MOVE, "")
    os.chroot(".")


def _load_modules() -> None:
    for name in sorted(os.listdir("/modules")):
        with open(f"/modules/{name}", "rb") as file:
            _check(_libc.syscall(_FINIT_MODULE, file.fileno(), b"", 0), name)


def _run(command: list[str], cwd: str) -> int:
    try:
        return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        print(error, flush=True)
        return 127


def main() -> None:
    with open("/jobs.json") as file:
        plan = json.load(file)
    _leave_the_first_root()
    # The checkout may lie in /tmp or /var, which are mounted over: it is kept, and shown again.
    os.mkdir("/checkout")
    _mount(plan["root"], "/checkout", None, _MS_BIND, "")
    for fstype, target, options in _MOUNTS:
        os.makedirs(target, exist_ok=True)
        _mount(fstype, target, fstype, 0, options)
    os.makedirs(plan["root"], exist_ok=True)
    _mount("/checkout", plan["root"], None, _MS_BIND, "")
    _load_modules()
    os.makedirs("/var/lib")
    os.makedirs(_SESSION)
    with open(f"{_SESSION}/cgroup.procs", "w") as procs:
        procs.write("0")
    os.environ.update(PATH=f"{plan['path']}:/usr/bin:/bin:/usr/sbin:/sbin", HOME="/root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, command in plan["jobs"]:
        print(f"\n::begin {name}", flush=True)
        began = time.monotonic()
        code = _run(command, plan["root"])
        print(f"\n::end {name} {code} {time.monotonic() - began:.1f}", flush=True)


if __name__ == "__main__":
    child = os.fork()
    if child == 0:
        try:
            main()
        except BaseException:  # noqa: BLE001 - the console is the only place to tell it
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
    # Orphans become ours, and would stay zombies.
    while os.wait()[0] != child:
        pass
    os.sync()
    _libc.reboot(_POWER_OFF)
