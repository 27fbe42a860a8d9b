"""`podarium oci`, and `podarium-oci` for `podman --runtime`: the command line of runc and crun.

podman runs this several times for each container, so it starts as little as it can: without
site-packages (bin/podarium-oci), and of the standard library only what is written in C or is small.
What clones a process first executes itself again from a read-only mount
(engine/runtime/interpreter.py).
"""

from __future__ import annotations

import gc
import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from podarium.oci.options import Given, Option, Syntax, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from podarium.oci.command import Command

# These make processes that turn into a container's.
_CLONING = ("create", "run", "exec")
GLOBAL = Syntax(
    (
        Option("--root", value="DIRECTORY", default="", help="where states are kept"),
        Option("--log", value="FILE", default="", help="where errors go, besides stderr"),
        Option("--log-format", value="FORMAT", default="text", choices=("text", "json")),
        Option("--version", "-v"),
        Option("--debug", help="accepted"),
        Option("--systemd-cgroup", help="accepted: directories of cgroups are made as it would"),
        *(
            Option(name, value="WORD", help="accepted")
            for name in ("--cgroup-manager", "--rootless", "--criu", "--log-level")
        ),
    ),
    ("COMMAND?",),
    "...",
)


def main(words: list[str] | None = None) -> None:
    """The console script."""
    # What is made lives as long as we do, which is not long.
    gc.disable()
    words = sys.argv[1:] if words is None else words
    given = Given()
    try:
        GLOBAL.read(words, given)
        if given.command in _CLONING:
            _seal(words)
        command = _command(given)
        command.syntax.read(given.args, given)
    except UsageError as error:
        sys.stderr.write(f"podarium-oci: {error} (--help tells what there is)\n")
        _end("", 2)
    if given.help:
        usage = f"podarium-oci {given.command} {command.syntax.usage()}"
        _end(f"{usage}: {command.help}\n{command.syntax.help()}")
    try:
        _end("", command.run(given))
    except Exception as error:  # noqa: BLE001 - told in words
        _fail(given, error)
        _end("", 1)


def _command(given: Given) -> Command:
    """The one that was asked for; ends with what was, if that is help or the version."""
    from engine.runtime.oci.state import default_root
    from podarium.oci import life, telling

    if given.version:
        _end(_version())
    given.root = given.root or default_root()
    commands = life.COMMANDS | telling.COMMANDS
    if given.command in commands:
        return commands[given.command]
    if given.help or not given.command:
        lines = [f"  {name:8}  {command.help}\n" for name, command in commands.items()]
        usage = f"podarium-oci {GLOBAL.usage()}\n{GLOBAL.help()}commands:\n{''.join(lines)}"
        _end(usage, 0 if given.help else 2)
    raise UsageError(f"{given.command!r} is none of {', '.join(commands)}")


def _end(text: str, code: int = 0) -> NoReturn:
    sys.stdout.write(text)
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing of the interpreter's is worth taking down.
    os._exit(code)


def _version() -> str:
    from engine.runtime.oci.document import VERSION
    from engine.types.version import PODARIUM

    # As runc tells it, which others read line by line.
    return f"podarium-oci version {PODARIUM}\nspec: {VERSION}\n"


def _seal(words: list[str]) -> None:
    """Go on only behind the seal, and in the mount namespace that we were called in."""
    from engine.linux.flags import CLONE
    from engine.linux.namespace import setns
    from engine.runtime.interpreter import seal, sealed

    if os.geteuid():
        way = "unshare --map-root-user --mount podarium oci --root FOLDER ..."
        sys.stderr.write(f"podarium-oci: without root it takes a user namespace: {way}\n")
        _end("", 1)
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


def _fail(options: Given, error: Exception) -> None:
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
        from engine.runtime.oci.jsontext import compose

        line = compose({"msg": text, "level": "error", "time": now()})
    else:
        line = f"{now()} error {text}"
    try:
        with open(path, "a") as file:
            file.write(line + "\n")
    except OSError as error:
        sys.stderr.write(f"podarium-oci: {path}: {error.strerror}\n")


if __name__ == "__main__":
    main()
