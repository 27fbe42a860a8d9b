"""Where a keeper's process begins: it leaves the engine, takes namespaces of its own, seals its
interpreter, and executes itself again behind that seal (see interpreter.py).

    python -I -S seal.py PACKAGE-ROOT NETWORK WORDS...

NETWORK is "new", or the descriptor of one that an earlier keeper was in; WORDS are what the
interpreter is executed with.
"""

import os
import sys


def main() -> None:
    root, network, *words = sys.argv[1:]
    # The parent ends at once: the keeper is no child of the engine, which may come and go.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.path.insert(0, root)

    from engine.linux.flags import CLONE
    from engine.linux.namespace import setns, unshare
    from engine.runtime.interpreter import seal

    if network == "new":
        unshare(CLONE.NEWNET)
    else:
        setns(int(network), CLONE.NEWNET)
        os.close(int(network))
    interpreter = seal()
    os.execv(interpreter, [os.fsdecode(interpreter), *words])


if __name__ == "__main__":
    main()
