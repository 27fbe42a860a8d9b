"""The keeper behind its seal: it takes its socket, says that it is ready, and serves.

    python -I -S serve.py PACKAGE-ROOT NODE SOCKET PID-FILE CGROUP READY-FD

Started without site-packages: only the standard library and our own package, a list that a test
holds closed. What it imports every container's first process is a copy of.
"""

import gc
import os
import signal
import socket
import sys


def main() -> None:
    root, node, address, pid_file, cgroup, ready = sys.argv[1:]
    sys.path.insert(0, root)

    from engine.linux.process import set_dumpable, set_name, start_time
    from engine.runtime.cgroup import delegation
    from engine.runtime.keeper.server import Keeper

    # Until it executes its own program, a container's process is a copy of us.
    set_dumpable(False)
    set_name(os.fsencode(f"keeper:{node}"))
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0o177)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    listener.bind(address)
    listener.listen(16)
    os.umask(0o022)
    own = os.fsencode(cgroup)
    keeper = Keeper(delegation.hierarchy(own.partition(b"/")[0]), own)
    with open(pid_file, "w") as file:
        file.write(f"{os.getpid()} {start_time(os.getpid())}\n")
    gc.collect()
    # A later collection would write to every object, and so unshare its page from each child.
    gc.freeze()
    with open(int(ready), "wb", buffering=0) as pipe:
        pipe.write(b"ready\n")
    keeper.serve(listener)
    for path in (address, pid_file):
        os.unlink(path)


if __name__ == "__main__":
    main()
