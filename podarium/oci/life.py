"""Commands that make, change and end containers."""

from __future__ import annotations

from podarium.oci.command import CONTAINER, Command
from podarium.oci.options import Option, Syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.runtime.oci.foreground import Foreground
    from engine.runtime.oci.launch import Cloned


_PROCESS = (
    Option("--pid-file", value="FILE", default=""),
    Option("--console-socket", value="SOCKET", default=""),
    Option("--preserve-fds", value="N", read=int, default=0),
)
_CREATING = (
    Option("--bundle", "-b", value="DIRECTORY", default="."),
    *_PROCESS,
    Option("--no-pivot", help="refused"),
    Option("--no-new-keyring", help="accepted"),
    Option("--no-subreaper", help="accepted"),
)
_DETACH = Option("--detach", "-d")
_RUNNING = (_DETACH, Option("--keep", help="do not delete it when it has ended"), *_CREATING)
_EXECUTING = (
    *_PROCESS,
    Option("--process", "-p", value="FILE", default="", help="process.json"),
    Option("--tty", "-t"),
    _DETACH,
    Option("--cwd", value="DIRECTORY", default=""),
    Option("--user", "-u", value="UID[:GID]", default=""),
    Option("--env", "-e", value="NAME=VALUE", many=True),
    Option("--cap", "-c", value="CAPABILITY", many=True),
    Option("--additional-gids", "-g", value="GID", read=int, many=True),
    Option("--no-new-privs"),
    Option("--ignore-paused", help="accepted"),
    Option("--process-label", value="LABEL", default=""),
    Option("--apparmor", value="PROFILE", default=""),
)


def _create(options: Any) -> int:
    from engine.runtime.oci import creation

    _refuse_no_pivot(options)
    creation.create(
        options.root,
        options.container,
        options.bundle,
        console=_console(options),
        pid_file=options.pid_file,
        keep=options.preserve_fds,
    )
    return 0


def _refuse_no_pivot(options: Any) -> None:
    from engine.runtime.oci.document import ConfigError

    if options.no_pivot:
        raise ConfigError("--no-pivot: not supported, as the machine's root would stay in reach")


def _console(options: Any) -> int:
    if not options.console_socket:
        return -1
    from engine.runtime.oci.console import connect

    return connect(options.console_socket).detach()


def _run(options: Any) -> int:
    from engine.runtime.oci import creation, ending, starting
    from engine.runtime.oci.bundle import Bundle

    _refuse_no_pivot(options)
    terminal = Bundle.load(options.bundle).config.get("process", "terminal").flag()
    stay, console = _attended(options, terminal)
    created = creation.create(
        options.root,
        options.container,
        options.bundle,
        console=console,
        pid_file=options.pid_file,
        keep=options.preserve_fds,
    )
    try:
        if stay is not None:
            stay.take_terminal()
        starting.start(options.root, options.container)
    except BaseException:
        ending.delete(options.root, options.container, force=True)
        raise
    if stay is None:
        return 0
    code = stay.wait(created.pid)
    if not options.keep:
        ending.delete(options.root, options.container, force=True)
    return code


def _attended(options: Any, terminal: bool) -> tuple[Foreground | None, int]:
    """Who stays with the process, if not detached, and the socket that its terminal goes to."""
    console = _console(options)
    if options.detach:
        return None, console
    from engine.runtime.oci.foreground import Foreground

    if not terminal or console >= 0:
        return Foreground(None), console
    from engine.runtime.oci.console import Relay

    relay = Relay()
    return Foreground(relay), relay.theirs.fileno()


def _exec(options: Any) -> int:
    from engine.runtime.oci import execution, state
    from engine.runtime.oci.console import own_size
    from engine.runtime.oci.document import ConfigError, Value, read

    if options.process:
        process = Value(read(options.process, "process").raw, "process")
    elif not options.args:
        raise ConfigError("exec: a command, or --process FILE")
    else:
        found = state.load(options.root, options.container)
        process = execution.process_of(found, _changes(options))
    stay, console = _attended(options, process.get("terminal").flag())
    if stay is not None and stay.relays and not process.get("consoleSize"):
        columns, rows = own_size()
        process.raw["consoleSize"] = {"width": columns, "height": rows}
    cloned: Cloned = execution.execute(
        options.root, options.container, process, console=console, keep=options.preserve_fds
    )
    if options.pid_file:
        state.write_pid(options.pid_file, cloned.pid)
    if stay is None:
        return 0
    stay.take_terminal()
    return stay.wait(cloned.pid)


def _changes(options: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {"args": options.args, "terminal": options.tty, "env": options.env}
    if options.cwd:
        changes["cwd"] = options.cwd
    if options.user or options.additional_gids:
        uid, _, gid = (options.user or "0").partition(":")
        changes["user"] = {
            "uid": int(uid),
            "gid": int(gid or 0),
            "additionalGids": options.additional_gids,
        }
    if options.cap:
        changes["capabilities"] = options.cap
    if options.no_new_privs:
        changes["noNewPrivileges"] = True
    if options.process_label:
        changes["selinuxLabel"] = options.process_label
    if options.apparmor:
        changes["apparmorProfile"] = options.apparmor
    return changes


def _start(options: Any) -> int:
    from engine.runtime.oci import starting

    starting.start(options.root, options.container)
    return 0


def _kill(options: Any) -> int:
    from engine.linux.signals import signal_number
    from engine.runtime.oci import ending
    from engine.runtime.oci.document import ConfigError

    try:
        number = signal_number(options.signal or "TERM")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    ending.kill(options.root, options.container, number, every=options.all)
    return 0


def _delete(options: Any) -> int:
    from engine.runtime.oci import ending

    ending.delete(options.root, options.container, force=options.force)
    return 0


def _pause(options: Any) -> int:
    from engine.runtime.oci import changing

    changing.pause(options.root, options.container)
    return 0


def _resume(options: Any) -> int:
    from engine.runtime.oci import changing

    changing.resume(options.root, options.container)
    return 0


_NUMBERS = {
    "--cpu-period": "cpu.period",
    "--cpu-quota": "cpu.quota",
    "--cpu-share": "cpu.shares",
    "--cpu-burst": "cpu.burst",
    "--cpu-idle": "cpu.idle",
    "--cpu-rt-period": "cpu.realtimePeriod",
    "--cpu-rt-runtime": "cpu.realtimeRuntime",
    "--blkio-weight": "blockIO.weight",
    "--pids-limit": "pids.limit",
}
_SIZES = {
    "--memory": "memory.limit",
    "--memory-reservation": "memory.reservation",
    "--memory-swap": "memory.swap",
    "--kernel-memory": "memory.kernel",
    "--kernel-memory-tcp": "memory.kernelTCP",
}
_SETS = {"--cpuset-cpus": "cpu.cpus", "--cpuset-mems": "cpu.mems"}
_UPDATING = (
    Option("--resources", "-r", value="FILE", default="", help="JSON; - for what is read"),
    *(Option(name, value="N", read=int) for name in _NUMBERS),
    *(Option(name, value="BYTES", help="as 64m; -1 for no limit") for name in _SIZES),
    *(Option(name, value="LIST", help="as 0-3,7") for name in _SETS),
)


def _update(options: Any) -> int:
    from engine.runtime.oci import changing

    if options.resources:
        resources = changing.resources_from(options.resources)
    else:
        fields = _NUMBERS | _SETS | _SIZES
        given = {name: getattr(options, name[2:].replace("-", "_")) for name in fields}
        for name in _SIZES:
            if given[name] is not None:
                given[name] = changing.size(given[name])
        resources = changing.resources_of({fields[name]: value for name, value in given.items()})
    changing.update(options.root, options.container, resources)
    return 0


COMMANDS = {
    "create": Command(
        "everything up to the exec of the program", Syntax(_CREATING, ("CONTAINER",)), _create
    ),
    "start": Command("let a created container execute its program", CONTAINER, _start),
    "run": Command(
        "create and start, and stay until it ends", Syntax(_RUNNING, ("CONTAINER",)), _run
    ),
    "kill": Command(
        "send a signal",
        Syntax((Option("--all", "-a", help="every process"),), ("CONTAINER", "SIGNAL?")),
        _kill,
    ),
    "delete": Command(
        "remove what is left of a container",
        Syntax((Option("--force", "-f", help="kill it first"),), ("CONTAINER",)),
        _delete,
    ),
    "exec": Command(
        "run another process in a container",
        Syntax(_EXECUTING, ("CONTAINER",), "COMMAND..."),
        _exec,
    ),
    "pause": Command("stop every process of a container", CONTAINER, _pause),
    "resume": Command("let them go on", CONTAINER, _resume),
    "update": Command(
        "change the limits of a container", Syntax(_UPDATING, ("CONTAINER",)), _update
    ),
}
