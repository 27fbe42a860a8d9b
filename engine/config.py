"""A cluster's shape: chosen at its first start, kept in cluster.json, the same ever after."""

from __future__ import annotations

import os
from ipaddress import IPv4Network

import msgspec

from engine.home import ClusterPaths
from engine.launch import EngineOptions
from engine.types import quantity

DEFAULT_NODES = 3
_GRAIN = 256 << 20


class ConfigError(ValueError):
    """A shape that cannot be: names the option, the value and the reason."""


class NodeShape(msgspec.Struct, frozen=True):
    """One local node: its capacity is the limit of its cgroup subtree."""

    name: str
    index: int
    cpu: str
    memory: str


class ClusterConfig(msgspec.Struct):
    """What cluster.json holds; `cidr` empty and `tls_port` 0 until they were found free."""

    nodes: list[NodeShape]
    cidr: str = ""
    tls_port: int = 0

    @property
    def network(self) -> IPv4Network:
        """All addresses of the cluster; engine.network.ipam says who has which part."""
        return IPv4Network(self.cidr)

    def save(self, paths: ClusterPaths) -> None:
        fresh = paths.config.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2))
        fresh.replace(paths.config)


def load(paths: ClusterPaths, options: EngineOptions) -> ClusterConfig:
    """The kept shape, or a new one as the options say. Raises ConfigError when they contradict."""
    if not paths.config.exists():
        config = _new(options)
        config.save(paths)
        return config
    config = msgspec.json.decode(paths.config.read_bytes(), type=ClusterConfig)
    kept = config.nodes[0]
    for option, asked, has in (
        ("--nodes", options.nodes, len(config.nodes)),
        ("--node-cpu", options.node_cpu, kept.cpu),
        ("--node-memory", options.node_memory, kept.memory),
    ):
        if asked is not None and asked != has:
            raise ConfigError(
                f"cluster {paths.name} exists with {option} {has}, not {asked}:"
                f" podarium down --purge --cluster {paths.name} first, or another --cluster"
            )
    return config


def tls_port(paths: ClusterPaths) -> int:
    """The one of the last time, 0 when there was none."""
    if not paths.config.exists():
        return 0
    return msgspec.json.decode(paths.config.read_bytes(), type=ClusterConfig).tls_port


def _new(options: EngineOptions) -> ClusterConfig:
    count = options.nodes or DEFAULT_NODES
    cpu, memory = options.node_cpu or _cpu_share(), options.node_memory or _memory_share(count)
    for option, value in (("--node-cpu", cpu), ("--node-memory", memory)):
        try:
            if quantity.parse(value) <= 0:
                raise ConfigError(f"{option} {value}: must be more than 0")
        except quantity.InvalidQuantity as error:
            raise ConfigError(f"{option} {value}: {error}") from None
    nodes = [NodeShape(f"node-{index}", index, cpu, memory) for index in range(1, count + 1)]
    return ClusterConfig(nodes)


def _cpu_share() -> str:
    """Half of this machine's cores each: nodes share them, as virtual machines would."""
    return str(max(1, len(os.sched_getaffinity(0)) // 2))


def _memory_share(nodes: int) -> str:
    """An equal part of the memory, with one part left for the machine itself."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    share = max(_GRAIN, total // (nodes + 1) // _GRAIN * _GRAIN)
    return f"{share >> 20}Mi" if share % (1 << 30) else f"{share >> 30}Gi"
