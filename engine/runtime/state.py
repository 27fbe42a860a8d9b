"""What a node is asked to hold, and what it says of it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.runtime.plan import Plan, Preparation


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """A pod's shared namespaces. Without `ip` it has a loopback only; `mtu` 0 is the kernel's.

    cgroup  the pod's, to be made and removed with the sandbox; b"" when others see to that
    host    which of "network" and "ipc" it has no own one of, but the node's
    pids    whether it has a pid namespace, too, for containers that want to share one
    sysctls (name, value) of its own namespaces; whoever asks knows that they are
    """

    id: str
    hostname: str
    ip: str = ""
    prefix: int = 24
    gateway: str = ""
    bridge: str = "br0"
    mtu: int = 0
    cgroup: bytes = b""
    host: tuple[str, ...] = ()
    pids: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SandboxState:
    """`link` and `index` are the node's end of its cable, by which its traffic is counted."""

    id: str
    hostname: str
    ip: str
    prefix: int
    gateway: str
    bridge: str
    mtu: int
    cgroup: bytes
    host: tuple[str, ...]
    pids: bool
    sysctls: tuple[tuple[str, str], ...]
    labels: dict[str, str]
    link: str
    index: int


@dataclass(frozen=True, kw_only=True)
class ContainerConfig:
    """What to start. The labels come back in every state, also to an engine that is new."""

    id: str
    sandbox: str
    plan: Plan
    log_path: Path
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """Times in Unix seconds. `exit_code` is 128 + `signal` for a process that a signal ended, and
    None while it runs, or when its keeper died and this kernel tells its exit to no other process.

    trace       (operation, its object, microseconds) of its start, in order
    warnings    what was asked and could be done only in part
    """

    id: str
    sandbox: str
    labels: dict[str, str]
    log_path: str
    cgroup: bytes
    pid: int
    started_at: float
    finished_at: float | None
    exit_code: int | None
    signal: int | None
    oom_killed: bool
    paused: bool
    trace: list[tuple[str, str, int]]
    warnings: list[str]

    @property
    def running(self) -> bool:
        return self.finished_at is None


@dataclass(frozen=True)
class ExecResult:
    """`output`: both outputs as they came, cut at the limit. Timed out, the code is 137."""

    exit_code: int
    output: bytes
    timed_out: bool


class Origin(enum.Enum):
    """How an engine came to its keeper."""

    STARTED = "started"
    FOUND = "found"
    RE_EXECUTED = "re-executed"
    ADOPTED = "adopted"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Beginning:
    """`text` says for a person what was kept and what was lost; "" when there is nothing to say."""

    origin: Origin
    text: str = ""


def whole(config: ContainerConfig) -> dict[str, Any]:
    """What the keeper is told of a container."""
    return beginning(config.plan) | {
        "limit_ops": [op.encode() for op in config.plan.limit_ops],
        "id": config.id,
        "sandbox": config.sandbox,
        "labels": dict(config.labels),
        "log_path": str(config.log_path),
    }


def beginning(preparation: Preparation) -> dict[str, Any]:
    """What the keeper is told of a plan, or of its part that can be done ahead."""
    return {
        "id": preparation.container_id,
        "sandbox": preparation.sandbox,
        "cgroup": preparation.cgroup,
        "born": preparation.born,
        "pids": preparation.pids,
        "host_ops": [op.encode() for op in preparation.host_ops],
        "clone_flags": int(preparation.clone_flags),
        "child_ops": [op.encode() for op in preparation.child_ops],
    }
