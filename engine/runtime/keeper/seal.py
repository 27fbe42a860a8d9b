"""Where a keeper's process begins: it leaves the engine, takes namespaces of its own, seals its
interpreter, and executes itself again behind that seal (see interpreter.py).

    python -I -S seal.py PACKAGE-ROOT NAMESPACES WORDS...

NAMESPACES is "new", or "NETWORK,MOUNT": descriptors of those that an earlier keeper was in. WORDS
are what the interpreter is executed with.
"""

import os
import sys


def main() -> None:
    root, namespaces, *words = sys.argv[1:]
    # The parent ends at once: the keeper is no child of the engine, which may come and go.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.path.insert(0, root)

    from engine.linux.flags import CLONE
    from engine.linux.namespace import setns, unshare
    from engine.runtime.interpreter import seal, seal_again

    if namespaces == "new":
        unshare(CLONE.NEWNET)
        interpreter = seal()
    else:
        network, mount = map(int, namespaces.split(","))
        setns(network, CLONE.NEWNET)
        setns(mount, CLONE.NEWNS)
        interpreter = os.fsencode(os.path.realpath("/proc/self/exe"))
        seal_again(interpreter)
        os.close(network)
        os.close(mount)
    os.execv(interpreter, [os.fsdecode(interpreter), *words])


if __name__ == "__main__":
    main()
