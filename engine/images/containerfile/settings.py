"""What instructions set in an image's config: everything that makes no layer. Pure.

The names of the fields are Docker's and the image specification's (config.md); Healthcheck, Shell
and OnBuild are Docker's only, and kept by every tool that knows them.
"""

import re
from collections.abc import Mapping
from typing import Any

from engine.images.containerfile.instructions import Instruction, understand
from engine.images.containerfile.scanner import scan
from engine.images.containerfile.words import Lookup, Word

DEFAULT_SHELL = ("/bin/sh", "-c")
CHANGES = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "STOPSIGNAL",
    "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PORTS_MAX = 65535

Settings = Mapping[str, Any]


def environment(settings: Settings) -> dict[str, str]:
    """Env as a mapping; the last of a name wins."""
    entries = (entry.partition("=") for entry in settings.get("Env") or ())
    return {name: value for name, _, value in entries}


def changed(settings: Settings, changes: list[str]) -> Settings:
    """After the instructions of --change options. Raise ContainerfileError."""
    for change in changes:
        for statement in scan(change.encode(), "--change"):
            instruction = understand(statement)
            if instruction.name not in CHANGES:
                statement.fail(f"{instruction.name} makes no setting: {', '.join(CHANGES)} do")
            known = environment(settings)
            settings = apply(settings, instruction, known.get)
    return settings


def apply(
    settings: Settings, instruction: Instruction, lookup: Lookup, *, cmd_is_own: bool = True
) -> Settings:
    """The settings after one instruction that makes no layer.

    `cmd_is_own`: whether Cmd was set here; an ENTRYPOINT drops one that was inherited. Raise
    ContainerfileError.
    """
    values = [instruction.expand(word, lookup) for word in instruction.words]
    shell = list(settings.get("Shell") or DEFAULT_SHELL)
    literal = [word.text for word in instruction.words]
    command = literal if instruction.exec else [*shell, *literal] if literal else []
    match instruction.name:
        case "CMD":
            return _with(settings, Cmd=command)
        case "ENTRYPOINT":
            kept = settings if cmd_is_own else _with(settings, Cmd=[])
            return _with(kept, Entrypoint=command)
        case "ENV":
            pairs = _pairs(instruction, lookup)
            merged = environment(settings) | pairs
            return _with(settings, Env=[f"{name}={value}" for name, value in merged.items()])
        case "LABEL":
            return _with(
                settings, Labels={**(settings.get("Labels") or {}), **_pairs(instruction, lookup)}
            )
        case "EXPOSE":
            ports: dict[str, Any] = {port: {} for port in _ports(instruction, lookup)}
            return _with(settings, ExposedPorts={**(settings.get("ExposedPorts") or {}), **ports})
        case "VOLUME":
            for word, value in zip(instruction.words, values, strict=True):
                if not value.strip():
                    instruction.statement.fail("VOLUME: a path is expected", word.offset)
            volumes: dict[str, Any] = {_absolute(settings, value): {} for value in values}
            return _with(settings, Volumes={**(settings.get("Volumes") or {}), **volumes})
        case "WORKDIR":
            return _with(settings, WorkingDir=_absolute(settings, values[0]))
        case "USER":
            return _with(settings, User=values[0])
        case "STOPSIGNAL":
            return _with(settings, StopSignal=values[0])
        case "SHELL":
            return _with(settings, Shell=literal)
        case "HEALTHCHECK":
            return _with(settings, Healthcheck=_healthcheck(instruction, shell))
        case "ONBUILD":
            bodies = "".join(f"\n{each.body}{each.name}" for each in instruction.heredocs)
            triggers = [*(settings.get("OnBuild") or ()), instruction.statement.text + bodies]
            return _with(settings, OnBuild=triggers)
    raise instruction.statement.error(f"{instruction.name} makes no setting")


def _with(settings: Settings, **values: Any) -> Settings:
    merged = {**settings, **values}
    return {key: value for key, value in merged.items() if value not in ([], "", None)}


def _pairs(instruction: Instruction, lookup: Lookup) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in instruction.pairs:
        key = instruction.expand(name, lookup)
        if not key:
            instruction.statement.fail(f"{instruction.name}: an empty name", name.offset)
        found[key] = instruction.expand(value, lookup) if value is not None else ""
    return found


def _absolute(settings: Settings, path: str) -> str:
    return join(settings.get("WorkingDir") or "/", path)


def join(folder: str, path: str) -> str:
    """A path seen from a folder, cleaned by text as Docker does: ".." never leads above "/"."""
    import posixpath

    return "/" + posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _ports(instruction: Instruction, lookup: Lookup) -> list[str]:
    found = []
    for word in instruction.words:
        # One variable may hold several.
        for each in instruction.expand(word, lookup).split():
            match = _PORT.fullmatch(each)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if match is None or not first <= last <= _PORTS_MAX:
                instruction.statement.fail(
                    f"EXPOSE: {each!r} is no port, as 80, 53/udp or 8000-8010/tcp", word.offset
                )
            found += [f"{port}/{match[3] or 'tcp'}" for port in range(first, last + 1)]
    return found


def _healthcheck(instruction: Instruction, shell: list[str]) -> dict[str, Any]:
    if not instruction.words:
        return {"Test": ["NONE"]}
    literal = [word.text for word in instruction.words]
    if instruction.exec:
        test = ["CMD", *literal]
    elif shell == list(DEFAULT_SHELL):
        test = ["CMD-SHELL", *literal]
    else:
        test = ["CMD", *shell, *literal]
    found: dict[str, Any] = {"Test": test}
    for flag, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ):
        if word := instruction.flag(flag):
            found[key] = _nanoseconds(instruction, flag, word)
    if retries := instruction.flag("retries"):
        if not retries.text.isdecimal() or len(retries.text) > 6:
            instruction.statement.fail("--retries: a number is expected", retries.offset)
        found["Retries"] = int(retries.text)
    return found


def _nanoseconds(instruction: Instruction, flag: str, word: Word) -> int:
    """A duration as 1m30s."""
    at, total = 0, 0.0
    while match := _DURATION.match(word.text, at):
        total += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    if at == 0 or at != len(word.text) or total > 1 << 62:
        instruction.statement.fail(f"--{flag}: a duration as 30s or 1m30s is expected", word.offset)
    return int(total)
