"""The keeper behind its seal: it takes its socket, says that it is ready, and serves.

    python -I -S serve.py PACKAGE-ROOT NODE SOCKET PID-FILE EXITS CGROUP DIGEST start READY-FD
                                                                                go-on FACTS-FD
                                                                                check FORMAT

Of a keeper that becomes this program by execve(2) it goes on with everything (succession.py).
Started without site-packages: only the standard library and our own package, a list that a test
holds closed. What it imports every container's first process is a copy of.
"""

import gc
import os
import signal
import socket
import sys


def main() -> None:
    root, node, address, pid_file, exits, cgroup, digest, how, number = sys.argv[1:]
    sys.path.insert(0, root)

    from engine.linux.process import set_dumpable, set_name, start_time
    from engine.runtime.cgroup import delegation
    from engine.runtime.keeper.exits import Exits
    from engine.runtime.keeper.server import Keeper
    from engine.runtime.keeper.succession import CHECK, GO_ON, check, inherited, taken

    if how == CHECK:
        sys.exit(check(int(number)))
    # Until it executes its own program, a container's process is a copy of us.
    set_dumpable(False)
    set_name(os.fsencode(f"keeper:{node}"))
    for ignored in (signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    os.chdir("/")
    own, noted = os.fsencode(cgroup), Exits(exits)
    hierarchy = delegation.hierarchy(own.partition(b"/")[0])
    if how == GO_ON:
        facts = inherited(int(number))
        listener = socket.socket(fileno=taken(facts["listener"]))
        keeper = Keeper(hierarchy, own, noted, digest, facts["open_files"])
        keeper.inherit(facts)
        settle()
    else:
        listener = listen(address)
        keeper = Keeper(hierarchy, own, noted, digest)
        keeper.recall()
        with open(pid_file, "w") as file:
            file.write(f"{os.getpid()} {start_time(os.getpid())}\n")
        settle()
        with open(int(number), "wb", buffering=0) as pipe:
            pipe.write(b"ready\n")
    keeper.serve(listener)
    for path in (address, pid_file):
        os.unlink(path)


def listen(address: str) -> socket.socket:
    os.umask(0o177)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    listener.bind(address)
    listener.listen(16)
    os.umask(0o022)
    return listener


def settle() -> None:
    """A later collection would write to every object, and so unshare its page from each child."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
