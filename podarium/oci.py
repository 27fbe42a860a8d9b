"""`podarium oci`, and `podarium-oci` for `podman --runtime`: the command line of runc and crun.

podman runs this several times for each container, so it starts as little as it can: no click, and
each command's parser and modules only for that command. What clones a process first executes
itself again from a read-only mount (engine/runtime/interpreter.py), without site-packages.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from podarium.ocicommands import COMMANDS, GLOBAL, parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

# These make processes that turn into a container's.
_CLONING = ("create", "run", "exec")


def command_of(words: list[str]) -> str:
    """The command among the words, or "": options of ours that take a value are passed over."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            return word
        if word in GLOBAL:
            next(rest, None)
    return ""


def main(words: list[str] | None = None) -> None:
    """The console script."""
    words = sys.argv[1:] if words is None else words
    name = command_of(words)
    options = parser(name if name in COMMANDS else "").parse_args(words)
    if name in _CLONING:
        _seal(words)
    try:
        code = COMMANDS[name].run(options)
    except Exception as error:  # noqa: BLE001 - told in words below, or raised again
        _fail(options, error)
        code = 1
    sys.stdout.flush()
    # Nothing of the interpreter's is worth taking down.
    os._exit(code)


def _seal(words: list[str]) -> None:
    """Go on only behind the seal, and in the mount namespace that we were called in."""
    from engine.runtime.interpreter import seal, sealed

    namespace = os.environ.pop("PODARIUM_OCI_MOUNTS", "")
    if namespace:
        from engine.linux.flags import CLONE
        from engine.linux.namespace import setns

        here = os.getcwd()
        setns(int(namespace), CLONE.NEWNS)
        os.close(int(namespace))
        # setns(2) left us at the root.
        os.chdir(here)
    if sealed():
        return
    here = os.getcwd()
    kept = os.dup(os.open("/proc/self/ns/mnt", os.O_RDONLY))
    os.set_inheritable(kept, True)
    os.environ["PODARIUM_OCI_MOUNTS"] = str(kept)
    interpreter = os.fsdecode(seal())
    os.chdir(here)
    os.execv(interpreter, [interpreter, "-I", "-S", os.path.abspath(__file__), *words])


def _fail(options: argparse.Namespace, error: Exception) -> None:
    from engine.runtime.errors import RuntimeFailure
    from engine.runtime.oci.document import ConfigError
    from engine.runtime.oci.state import StateError

    text = str(error)
    if isinstance(error, OSError):
        about = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        text = f"{about}: {error.strerror}" if about else str(error)
    elif not isinstance(error, RuntimeFailure | ConfigError | StateError):
        import traceback

        text = traceback.format_exc()
    if options.log:
        _log(options.log, options.log_format, text)
    sys.stderr.write(f"podarium-oci: {text}\n")


def _log(path: str, form: str, text: str) -> None:
    from engine.runtime.oci.state import now

    if form == "json":
        import json

        line = json.dumps({"msg": text, "level": "error", "time": now()})
    else:
        line = f"{now()} error {text}"
    try:
        with open(path, "a") as file:
            file.write(line + "\n")
    except OSError as error:
        sys.stderr.write(f"podarium-oci: {path}: {error.strerror}\n")


if __name__ == "__main__":
    main()
