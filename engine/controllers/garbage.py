"""Garbage: what belongs to owners that are all gone goes too.

- background: the owner is gone; its dependents follow;
- foreground: the owner waits, marked, until the dependents that block it are gone;
- orphan: the owner waits until its dependents no longer name it, and they stay.

Invariant: nothing is deleted on the word of the cache alone; an owner is gone only when the server,
asked by name, has none with that uid. Owners of kinds that this server does not know are there.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator

from engine.client.client import Client
from engine.client.informer import Informer, key_of
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.clock import Clock
from engine.types.codec import to_dict
from engine.types.meta import Object, OwnerReference
from engine.types.registry import RESOURCES, Resource, resource_for, resource_for_kind
from engine.types.status import NotFound

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
OWNER = "owner"
"""Name of the index by the uids of all owners."""
WATCHED = tuple(r for r in RESOURCES if "delete" in r.verbs and r.kind not in ("Event", "Image"))
"""Events are many and go by their age; images are what the nodes hold, and belong to nobody."""
GONE_KEPT = 1024


def _owner_uids(obj: Object) -> list[str]:
    return [reference.uid for reference in obj.metadata.owner_references]


class GarbageController(Controller):
    """Follows owner references over every kind that can own or be owned."""

    name = "garbage-collector-controller"
    workers = 8

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._informers: dict[str, Informer[Object]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        for resource in WATCHED:
            informer: Informer[Object] = informers.of(resource.cls)
            informer.add_index(OWNER, _owner_uids)
            informer.add_handler(self._on_change)
            self._informers[resource.key] = informer

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self._remember_gone(old.metadata.uid)
                for dependent in self._dependents(old.metadata.uid):
                    self.queue.add(_name(dependent))
                self._wake_owners(old)
            return
        meta = new.metadata
        if meta.deletion_timestamp is not None:
            if FOREGROUND in meta.finalizers or ORPHAN in meta.finalizers:
                self.queue.add(_name(new))
        elif (old is None or old.metadata.owner_references != meta.owner_references) and any(
            # The usual new dependent names an owner that is there: nothing to do for it.
            not self._is_known(reference, meta.namespace)
            for reference in meta.owner_references
        ):
            self.queue.add(_name(new))

    def _wake_owners(self, dependent: Object) -> None:
        for reference in dependent.metadata.owner_references:
            owner = self._cached(reference, dependent.metadata.namespace)
            if owner is not None and owner.metadata.deletion_timestamp is not None:
                self.queue.add(_name(owner))

    def _dependents(self, uid: str) -> Iterator[Object]:
        for informer in self._informers.values():
            yield from informer.by_index(OWNER, uid)

    def _cached(self, reference: OwnerReference, namespace: str) -> Object | None:
        resource = resource_for_kind(reference.api_version, reference.kind)
        informer = self._informers.get(resource.key) if resource else None
        if resource is None or informer is None:
            return None
        key = f"{namespace}/{reference.name}" if resource.namespaced else reference.name
        owner = informer.objects.get(key)
        return owner if owner is not None and owner.metadata.uid == reference.uid else None

    def _is_known(self, reference: OwnerReference, namespace: str) -> bool:
        owner = self._cached(reference, namespace)
        return owner is not None and owner.metadata.deletion_timestamp is None

    def _remember_gone(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > GONE_KEPT:
            self._gone.popitem(last=False)

    async def reconcile(self, key: str) -> After | None:
        """Look at one object: as an owner that is ending, else as a dependent."""
        plural, _, name = key.partition("|")
        obj = self._informers[plural].objects.get(name)
        if obj is None:
            return None
        meta = obj.metadata
        if meta.deletion_timestamp is None:
            await self._check_owners(obj)
        elif ORPHAN in meta.finalizers:
            await self._orphan(obj)
        elif FOREGROUND in meta.finalizers:
            await self._foreground(obj)
        return None

    async def _check_owners(self, obj: Object) -> None:
        namespace = obj.metadata.namespace
        staying: list[OwnerReference] = []
        waiting: list[OwnerReference] = []
        references = obj.metadata.owner_references
        for reference in references:
            state = await self._state(reference, namespace)
            if state == "there":
                staying.append(reference)
            elif state == "waiting":
                waiting.append(reference)
        if not references or len(staying) == len(references):
            return
        if staying:
            await self._set_owners(obj, staying)
            return
        has_dependents = next(self._dependents(obj.metadata.uid), None) is not None
        policy = "Foreground" if waiting and has_dependents else "Background"
        meta = obj.metadata
        try:
            await self.client.delete(
                type(obj), meta.name, meta.namespace, uid=meta.uid, propagation=policy
            )
        except NotFound:
            return

    async def _state(self, reference: OwnerReference, namespace: str) -> str:
        """there, waiting (for its dependents to go), or gone."""
        resource = resource_for_kind(reference.api_version, reference.kind)
        if resource is None:
            return "there"
        owner = self._cached(reference, namespace)
        if owner is None:
            owner = await self._live(resource, reference, namespace)
        if owner is None:
            return "gone"
        meta = owner.metadata
        ending = meta.deletion_timestamp is not None and FOREGROUND in meta.finalizers
        return "waiting" if ending else "there"

    async def _live(
        self, resource: Resource, reference: OwnerReference, namespace: str
    ) -> Object | None:
        if reference.uid in self._gone:
            return None
        try:
            owner = await self.client.get(
                resource.cls, reference.name, namespace if resource.namespaced else None
            )
        except NotFound:
            owner = None
        if owner is not None and owner.metadata.uid == reference.uid:
            return owner
        self._remember_gone(reference.uid)
        return None

    async def _orphan(self, owner: Object) -> None:
        uid = owner.metadata.uid
        await asyncio.gather(
            *(
                self._set_owners(
                    dependent, [r for r in dependent.metadata.owner_references if r.uid != uid]
                )
                for dependent in self._dependents(uid)
            )
        )
        await self._drop_finalizer(owner, ORPHAN)

    async def _foreground(self, owner: Object) -> None:
        blocking = False
        for dependent in self._dependents(owner.metadata.uid):
            blocking = blocking or any(
                r.uid == owner.metadata.uid and r.block_owner_deletion
                for r in dependent.metadata.owner_references
            )
            if dependent.metadata.deletion_timestamp is None:
                self.queue.add(_name(dependent))
        if not blocking:
            await self._drop_finalizer(owner, FOREGROUND)

    async def _set_owners(self, obj: Object, references: list[OwnerReference]) -> None:
        await self._patch(obj, {"ownerReferences": [to_dict(ref) for ref in references]})

    async def _drop_finalizer(self, obj: Object, finalizer: str) -> None:
        left = [each for each in obj.metadata.finalizers if each != finalizer]
        await self._patch(obj, {"finalizers": left})

    async def _patch(self, obj: Object, metadata: dict[str, object]) -> None:
        meta = obj.metadata
        metadata |= {"uid": meta.uid, "resourceVersion": meta.resource_version}
        try:
            await self.client.patch(type(obj), meta.name, meta.namespace, {"metadata": metadata})
        except NotFound:
            return


def _name(obj: Object) -> str:
    return f"{resource_for(type(obj)).key}|{key_of(obj)}"
