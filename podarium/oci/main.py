"""`podarium oci`, and `podarium-oci` for `podman --runtime`: the command line of runc and crun.

podman runs this several times for each container, so it starts as little as it can: no click, and
each command's parser and modules only for that command. What clones a process first executes
itself again from a read-only mount (engine/runtime/interpreter.py), without site-packages.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

# Options before the command that take a value.
_GLOBAL = ("--root", "--log", "--log-format", "--cgroup-manager", "--rootless", "--criu")
# These make processes that turn into a container's.
_CLONING = ("create", "run", "exec")


def command_of(words: list[str]) -> str:
    """The command among the words, or ""."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            return word
        if word in _GLOBAL:
            next(rest, None)
    return ""


def main(words: list[str] | None = None) -> None:
    """The console script."""
    words = sys.argv[1:] if words is None else words
    name = command_of(words)
    if name in _CLONING and not {"-h", "--help"} & set(words):
        _seal(words)
    from podarium.oci import life, telling

    commands = life.COMMANDS | telling.COMMANDS
    chosen = {name: commands[name]} if name in commands else commands
    parser = _parser()
    below = parser.add_subparsers(required=True, metavar="COMMAND")
    for each, command in chosen.items():
        command.add(below.add_parser(each, help=command.help, description=command.help))
    options = parser.parse_args(words)
    try:
        code = commands[name].run(options)
    except Exception as error:  # noqa: BLE001 - told in words below
        _fail(options, error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing of the interpreter's is worth taking down.
    os._exit(code)


def _parser() -> ArgumentParser:
    import argparse

    from engine.runtime.oci.state import default_root

    found = argparse.ArgumentParser(
        prog="podarium-oci", description="Run containers as the OCI runtime specification has it."
    )
    found.add_argument("--root", default=default_root(), help="where states are kept")
    found.add_argument("--log", default="", metavar="FILE", help="where errors go, besides stderr")
    found.add_argument("--log-format", choices=("text", "json"), default="text")
    found.add_argument("--debug", action="store_true", help="accepted")
    found.add_argument("--systemd-cgroup", action="store_true", help="accepted: cgroupfs is used")
    for option in ("--cgroup-manager", "--rootless", "--criu"):
        found.add_argument(option, help="accepted")
    found.add_argument("--version", "-v", action="version", version=_version())
    return found


def _version() -> str:
    from engine.runtime.oci.document import VERSION
    from engine.types.version import PODARIUM

    return f"podarium-oci version {PODARIUM}, spec: {VERSION}"


def _seal(words: list[str]) -> None:
    """Go on only behind the seal, and in the mount namespace that we were called in."""
    from engine.linux.flags import CLONE
    from engine.linux.namespace import setns
    from engine.runtime.interpreter import seal, sealed

    here = os.getcwd()
    namespace = os.environ.pop("PODARIUM_OCI_MOUNTS", "")
    if namespace:
        setns(int(namespace), CLONE.NEWNS)
        os.close(int(namespace))
        # setns(2) left us at the root.
        os.chdir(here)
    if sealed():
        return
    kept = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    os.set_inheritable(kept, True)
    os.environ["PODARIUM_OCI_MOUNTS"] = str(kept)
    interpreter = os.fsdecode(seal())
    os.chdir(here)
    os.execv(interpreter, [interpreter, "-I", "-S", os.path.abspath(__file__), *words])


def _fail(options: Namespace, error: Exception) -> None:
    from engine.runtime.errors import RuntimeFailure
    from engine.runtime.oci.document import ConfigError
    from engine.runtime.oci.state import StateError

    text = str(error)
    if isinstance(error, OSError):
        about = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        text = f"{about}: {error.strerror}" if about else str(error)
    elif not isinstance(error, RuntimeFailure | ConfigError | StateError):
        import traceback

        text = "".join(traceback.format_exception(error))
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
