"""Commands that make, change and end containers."""

from __future__ import annotations

import argparse

from podarium.oci.command import Command, container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.runtime.oci.foreground import Foreground
    from engine.runtime.oci.launch import Cloned


def _creating(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", "-b", default=".", metavar="DIRECTORY")
    _process(parser)
    parser.add_argument("--no-pivot", action="store_true", help="refused")
    for option in ("--no-new-keyring", "--no-subreaper"):
        parser.add_argument(option, action="store_true", help="accepted")
    container(parser)


def _process(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pid-file", default="", metavar="FILE")
    parser.add_argument("--console-socket", default="", metavar="SOCKET")
    parser.add_argument("--preserve-fds", type=int, default=0, metavar="N")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detach", "-d", action="store_true")
    parser.add_argument("--keep", action="store_true", help="do not delete it when it has ended")
    _creating(parser)


def _exec_arguments(parser: argparse.ArgumentParser) -> None:
    _process(parser)
    parser.add_argument("--process", "-p", default="", metavar="FILE", help="process.json")
    parser.add_argument("--tty", "-t", action="store_true")
    parser.add_argument("--detach", "-d", action="store_true")
    parser.add_argument("--cwd", default="")
    parser.add_argument("--user", "-u", default="", metavar="UID[:GID]")
    parser.add_argument("--env", "-e", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cap", "-c", action="append", default=[])
    parser.add_argument("--additional-gids", "-g", action="append", type=int, default=[])
    parser.add_argument("--no-new-privs", action="store_true")
    parser.add_argument("--ignore-paused", action="store_true", help="accepted")
    parser.add_argument("--process-label", default="")
    parser.add_argument("--apparmor", default="")
    container(parser)
    parser.add_argument("args", nargs=argparse.REMAINDER, metavar="COMMAND")


def _create(options: Any) -> int:
    from engine.runtime.oci import creation

    _refuse_no_pivot(options)
    creation.create(
        options.root,
        options.id,
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
        options.id,
        options.bundle,
        console=console,
        pid_file=options.pid_file,
        keep=options.preserve_fds,
    )
    try:
        if stay is not None:
            stay.begin()
            stay.take_terminal()
        starting.start(options.root, options.id)
    except BaseException:
        ending.delete(options.root, options.id, force=True)
        raise
    if stay is None:
        return 0
    code = stay.wait(created.pid)
    if not options.keep:
        ending.delete(options.root, options.id, force=True)
    return code


def _attended(options: Any, terminal: bool) -> tuple[Foreground | None, int]:
    """Who stays with the process, if not detached, and the socket that its terminal goes to."""
    console = _console(options)
    if options.detach:
        return None, console
    from engine.runtime.oci.console import Relay
    from engine.runtime.oci.foreground import Foreground

    if not terminal or console >= 0:
        return Foreground(None), console
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
        found = state.load(options.root, options.id)
        process = execution.process_of(found, _changes(options))
    stay, console = _attended(options, process.get("terminal").flag())
    if stay is not None and stay.relays and not process.get("consoleSize"):
        columns, rows = own_size()
        process.raw["consoleSize"] = {"width": columns, "height": rows}
    cloned: Cloned = execution.execute(
        options.root, options.id, process, console=console, keep=options.preserve_fds
    )
    if options.pid_file:
        state.write_pid(options.pid_file, cloned.pid)
    if stay is None:
        return 0
    stay.begin()
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

    starting.start(options.root, options.id)
    return 0


def _kill_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", "-a", action="store_true", help="every process of it")
    container(parser)
    parser.add_argument("signal", nargs="?", default="SIGTERM")


def _kill(options: Any) -> int:
    from engine.runtime.oci import ending

    ending.kill(options.root, options.id, signal_number(options.signal), every=options.all)
    return 0


def signal_number(word: str) -> int:
    """Of "9", "KILL", "sigkill" or "RTMIN+3". Raise ConfigError."""
    import signal

    from engine.runtime.oci.document import ConfigError

    if word.isdecimal() and 0 < int(word) < signal.NSIG:
        return int(word)
    name, _, more = word.upper().removeprefix("SIG").partition("+")
    found = signal.Signals.__members__.get("SIG" + name)
    if found is None or (more and not more.isdecimal()):
        raise ConfigError(f"signal {word!r} is not one of signal(7)")
    return int(found) + int(more or 0)


def _delete_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", "-f", action="store_true", help="kill it first")
    container(parser)


def _delete(options: Any) -> int:
    from engine.runtime.oci import ending

    ending.delete(options.root, options.id, force=options.force)
    return 0


def _pause(options: Any) -> int:
    from engine.runtime.oci import changing

    changing.pause(options.root, options.id)
    return 0


def _resume(options: Any) -> int:
    from engine.runtime.oci import changing

    changing.resume(options.root, options.id)
    return 0


_NUMBERS = {
    "--cpu-period": "cpu.period",
    "--cpu-quota": "cpu.quota",
    "--cpu-share": "cpu.shares",
    "--cpu-burst": "cpu.burst",
    "--cpu-idle": "cpu.idle",
    "--pids-limit": "pids.limit",
}
_SIZES = {
    "--memory": "memory.limit",
    "--memory-reservation": "memory.reservation",
    "--memory-swap": "memory.swap",
}
_SETS = {"--cpuset-cpus": "cpu.cpus", "--cpuset-mems": "cpu.mems"}


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resources", "-r", default="", metavar="FILE", help="- for stdin")
    for option, name in _NUMBERS.items():
        parser.add_argument(option, dest=name, type=int)
    for option, name in (_SIZES | _SETS).items():
        parser.add_argument(option, dest=name)
    container(parser)


def _update(options: Any) -> int:
    from engine.runtime.oci import changing

    if options.resources:
        resources = changing.resources_from(options.resources)
    else:
        given = vars(options)
        values = {name: given[name] for name in (_NUMBERS | _SETS).values()}
        for name in _SIZES.values():
            values[name] = None if given[name] is None else changing.size(given[name])
        resources = changing.resources_of(values)
    changing.update(options.root, options.id, resources)
    return 0


COMMANDS = {
    "create": Command("everything up to the exec of the program", _creating, _create),
    "start": Command("let a created container execute its program", container, _start),
    "run": Command("create and start, and stay until it ends", _run_arguments, _run),
    "kill": Command("send a signal", _kill_arguments, _kill),
    "delete": Command("remove what is left of a container", _delete_arguments, _delete),
    "exec": Command("run another process in a container", _exec_arguments, _exec),
    "pause": Command("stop every process of a container", container, _pause),
    "resume": Command("let them go on", container, _resume),
    "update": Command("change the limits of a container", _update_arguments, _update),
}
