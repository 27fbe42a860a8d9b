"""linux.resources of a bundle as the limits of a cgroup. Pure."""

from __future__ import annotations

from engine.runtime.cgroup.api import UNLIMITED, Hierarchy, Resources
from engine.runtime.oci.controls import needed
from engine.runtime.oci.document import Value

# Whoever makes which node: these may always be made, and these opened (runc and crun agree).
_ALWAYS = (
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
)
_EVERYTHING = "a *:* rwm"


def controllers(value: Value) -> frozenset[bytes]:
    """Which cgroup controllers the settings need beyond the usual."""
    cpu = value.get("cpu")
    found = needed(value)
    if cpu.get("cpus") or cpu.get("mems"):
        found.add(b"cpuset")
    return frozenset(found)


def limits(value: Value, hierarchy: Hierarchy) -> Resources:
    """Raise ConfigError for what this machine, or we, cannot limit."""
    cpu, memory, pids = value.get("cpu"), value.get("memory"), value.get("pids")
    _require(hierarchy, b"cpu", cpu, ("shares", "quota", "period", "burst", "idle"))
    _require(hierarchy, b"cpuset", cpu, ("cpus", "mems"))
    _require(hierarchy, b"memory", memory, ("limit", "swap", "reservation"))
    _require(hierarchy, b"pids", pids, ("limit",))
    unified = tuple(_unified(*entry, hierarchy) for entry in value.get("unified").entries())
    # Which is about what is changed later.
    memory.get("checkBeforeUpdate").flag()
    limit = _given(memory.get("limit"))
    swap = _given(memory.get("swap"))
    quota, period = _given(cpu.get("quota")), _given(cpu.get("period"))
    if period is not None and quota is None:
        quota = UNLIMITED
    pids_limit = _given(pids.get("limit"))
    idle = cpu.get("idle")
    return Resources(
        cpu_shares=_given(cpu.get("shares")),
        cpu_quota_us=quota,
        cpu_period_us=period,
        cpu_burst_us=cpu.get("burst").number() if cpu.get("burst") else None,
        cpu_idle=bool(idle.number()) if idle else None,
        cpuset_cpus=cpu.get("cpus").text("") or None,
        cpuset_mems=cpu.get("mems").text("") or None,
        memory_limit=limit,
        memory_low=_given(memory.get("reservation")),
        # Nothing said of swap: as much as there is.
        memory_swap=UNLIMITED if swap is None and limit is not None else swap,
        pids_limit=pids_limit,
        devices=device_rules(value.get("devices")),
        unified=unified or None,
    )


def _unified(file: str, value: Value, hierarchy: Hierarchy) -> tuple[str, str]:
    controller = file.partition(".")[0]
    if hierarchy.name != "v2":
        text = "is a setting of cgroup v2, which limits nothing on this machine"
        raise value.error(f"{text}; say it in v1's words, or leave it out")
    if "/" in file or not controller or controller == file:
        raise value.error(f"{file!r} is not the name of a cgroup's file")
    if controller != "cgroup" and controller.encode() not in hierarchy.controllers:
        raise value.error(f"this machine has no cgroup controller {controller} that we can use")
    return file, value.text()


def _given(value: Value) -> int | None:
    """0 means that nothing is asked for, as everywhere in the specification."""
    return (value.number() or None) if value else None


def _require(hierarchy: Hierarchy, controller: bytes, value: Value, names: tuple[str, ...]) -> None:
    if controller in hierarchy.controllers:
        return
    for name in names:
        if value.get(name).raw:
            text = f"this machine has no cgroup controller {controller.decode()} that we can use"
            raise value.get(name).error(text)


def device_rules(value: Value) -> tuple[str, ...] | None:
    """The rules in their order, after what every container may; None where nothing is ruled."""
    found: list[str] = []
    for item in value.items():
        rule = _rule(item)
        if rule == "!" + _EVERYTHING:
            found = [*_ALWAYS]
        elif rule == _EVERYTHING:
            found = [rule]
        else:
            # Up to here all was allowed.
            found = [*(found or [_EVERYTHING]), rule]
    return tuple(found) or None


def _rule(value: Value) -> str:
    kind = value.get("type").text("a") or "a"
    if kind not in ("a", "b", "c"):
        raise value.get("type").error(f"{kind!r} is none of a, b, c")
    access = value.get("access").text("") or "rwm"
    if set(access) - set("rwm"):
        raise value.get("access").error(f"{access!r} is not made of r, w and m")
    numbers = [_number(value.get(name)) for name in ("major", "minor")]
    if kind == "a" and numbers == ["*", "*"]:
        access = "rwm"
    rule = f"{kind} {':'.join(numbers)} {access}"
    return rule if value.get("allow").flag() else "!" + rule


def _number(value: Value) -> str:
    number = value.number(-1)
    return "*" if number < 0 else str(number)
