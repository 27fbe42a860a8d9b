"""Which checks belong to which kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.api.admission.causes import Causes

CHECKS: dict[str, Callable[[Any, Causes], None]] = {}
UPDATE_CHECKS: dict[str, Callable[[Any, Any, Causes], None]] = {}
