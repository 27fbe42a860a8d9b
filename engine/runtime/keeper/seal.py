"""Where a keeper's process begins: it leaves the engine, takes namespaces of its own, seals its
interpreter, and executes itself again behind that seal (see interpreter.py).

    python -I -S seal.py PACKAGE-ROOT SERVE.PY ARGUMENTS...
"""

import os
import sys


def main() -> None:
    root, serve, *arguments = sys.argv[1:]
    # The parent ends at once: the keeper is no child of the engine, which may come and go.
    if os.fork():
        os._exit(0)
    os.setsid()
    sys.path.insert(0, root)

    from engine.linux.flags import CLONE
    from engine.linux.namespace import unshare
    from engine.runtime.interpreter import seal

    unshare(CLONE.NEWNET)
    interpreter = seal()
    os.execv(interpreter, [os.fsdecode(interpreter), "-I", "-S", serve, root, *arguments])


if __name__ == "__main__":
    main()
