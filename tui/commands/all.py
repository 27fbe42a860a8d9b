"""Every command, declared. Importing this module fills the registry."""

from __future__ import annotations

from . import (  # noqa: F401
    anatomy,
    deleting,
    editing,
    forwarding,
    images,
    logs,
    marking,
    navigation,
    nodes,
    objects,
    tables,
    terminal,
    workloads,
)
from .command import COMMANDS

__all__ = ["COMMANDS"]
