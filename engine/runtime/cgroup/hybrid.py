"""Hybrid: v1's trees hold the controllers, and a v2 tree without any holds the processes.

The bare v2 tree gives what v1 never had: a process can be born in its cgroup, a whole subtree is
killed by one write, and freezing needs no controller.
"""

from __future__ import annotations

from engine.runtime.cgroup.sampling import PressureSampler
from engine.runtime.cgroup.v1 import USED, V1
from engine.runtime.cgroup.v2 import V2


class Hybrid(V1):
    name = "hybrid"

    def __init__(
        self, roots: dict[bytes, bytes], unified: bytes, used: tuple[bytes, ...] = USED
    ) -> None:
        super().__init__(roots, used=tuple(name for name in used if name != b"freezer"))
        self._unified = V2(unified)
        self.filters_devices = b"devices" not in self._roots

    def directories(self, path: bytes) -> list[bytes]:
        return [*super().directories(path), *self._unified.directories(path)]

    def create(self, path: bytes) -> None:
        super().create(path)
        self._unified.create(path)

    def join(self, path: bytes) -> None:
        super().join(path)
        self._unified.join(path)

    def directory_fd(self, path: bytes) -> int | None:
        return self._unified.directory_fd(path)

    def freeze(self, path: bytes, frozen: bool) -> None:
        self._unified.freeze(path, frozen)

    def is_frozen(self, path: bytes) -> bool:
        return self._unified.is_frozen(path)

    def kill(self, path: bytes) -> None:
        self._unified.kill(path)

    def pressure(self, path: bytes) -> PressureSampler | None:
        return self._unified.pressure(path)

    def _process_tree(self) -> bytes:
        return self._unified.root
