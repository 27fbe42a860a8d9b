"""Every command, declared. Importing this module fills the registry."""

from __future__ import annotations

from . import deleting, editing, logs, marking, navigation, nodes, objects, workloads  # noqa: F401
from .command import COMMANDS

__all__ = ["COMMANDS"]
