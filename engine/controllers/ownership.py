"""Whose is it? An owner claims what its selector matches, and lets go of what it does not.

Invariants: an object has at most one controller; an object is adopted only if it has none, is not
ending, and neither is its owner; ownership is by uid, so a new owner of an old name inherits
nothing.
"""

import asyncio
from typing import Generic, TypeVar

from engine.client.client import Client
from engine.controllers.runtime import SharedInformers
from engine.types.codec import to_dict
from engine.types.meta import Object, controller_of, owner_reference
from engine.types.selector import Selector
from engine.types.status import NotFound

C = TypeVar("C", bound=Object)

CONTROLLER = "controller"
"""Name of the index by the controller's uid."""


def _owner_keys(obj: Object) -> list[str]:
    controller = controller_of(obj.metadata)
    return [controller.uid if controller else f"orphan/{obj.metadata.namespace}"]


class Ownership(Generic[C]):
    """The objects of one kind, by their controller."""

    def __init__(self, client: Client, informers: SharedInformers, cls: type[C]) -> None:
        self._client = client
        self._cls = cls
        self._informer = informers.of(cls)
        self._informer.add_index(CONTROLLER, _owner_keys)

    def owned(self, owner: Object) -> list[C]:
        """What names the owner as its controller."""
        return self.owned_by(owner.metadata.uid)

    def owned_by(self, uid: str) -> list[C]:
        """What names the owner with that uid as its controller."""
        return self._informer.by_index(CONTROLLER, uid)

    def orphans(self, namespace: str) -> list[C]:
        """What has no controller."""
        return self._informer.by_index(CONTROLLER, f"orphan/{namespace}")

    async def claim(self, owner: Object, selector: Selector) -> list[C]:
        """Everything that is the owner's, after adopting and releasing by labels."""
        kept, writes = [], []
        for child in self.owned(owner):
            if selector.matches(child.metadata.labels):
                kept.append(child)
            elif owner.metadata.deletion_timestamp is None:
                writes.append(self._release(owner, child))
        adopting = []
        if owner.metadata.deletion_timestamp is None:
            adopting = [
                child
                for child in self.orphans(owner.metadata.namespace)
                if selector.matches(child.metadata.labels)
                and child.metadata.deletion_timestamp is None
            ]
            if adopting and not await self._still_there(owner):
                adopting = []
        await asyncio.gather(*writes, *(self._adopt(owner, child) for child in adopting))
        return kept + adopting

    async def _still_there(self, owner: Object) -> bool:
        """Ask the server, not the cache: an owner that was deleted must not take anything along."""
        try:
            live = await self._client.get(
                type(owner), owner.metadata.name, owner.metadata.namespace
            )
        except NotFound:
            return False
        return live.metadata.uid == owner.metadata.uid and not live.metadata.deletion_timestamp

    async def _adopt(self, owner: Object, child: C) -> None:
        references = [*child.metadata.owner_references, owner_reference(owner)]
        await self._set_references(child, [to_dict(ref) for ref in references])

    async def _release(self, owner: Object, child: C) -> None:
        left = [r for r in child.metadata.owner_references if r.uid != owner.metadata.uid]
        try:
            await self._set_references(child, [to_dict(ref) for ref in left])
        except NotFound:
            return

    async def _set_references(self, child: C, references: list[dict[str, object]]) -> None:
        meta = child.metadata
        patch = {"metadata": {"uid": meta.uid, "ownerReferences": references}}
        await self._client.patch(self._cls, meta.name, meta.namespace, patch)
