"""Namespaces: one that is deleted goes when all that lived in it is gone."""

import time

from engine.client.client import Client
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.clock import Clock
from engine.types.codec import encode
from engine.types.core import Namespace
from engine.types.meta import Object
from engine.types.registry import RESOURCES, Resource, resource_for
from engine.types.status import Conflict, NotFound

FINALIZER = "kubernetes"
CONTENT = tuple(r for r in RESOURCES if r.namespaced and "delete" in r.verbs)
LOOK_AGAIN = 15.0
"""Seconds, should the last thing's going not have been seen."""


class NamespaceController(Controller):
    """Deletes the content of ending namespaces, then takes off their finalizer."""

    name = "namespace-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._namespaces = informers.of(Namespace)
        self._namespaces.add_handler(self._on_namespace)
        for resource in CONTENT:
            # What the server may forget is deleted at once and needs no watch.
            if resource.durable:
                informers.of(resource.cls).add_handler(self._on_content)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.metadata.deletion_timestamp is not None:
            self.queue.add(new.metadata.name)

    def _on_content(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is not None:
            return
        namespace = self._namespaces.objects.get(old.metadata.namespace)
        if namespace is not None and namespace.metadata.deletion_timestamp is not None:
            self.queue.add(namespace.metadata.name)

    async def reconcile(self, key: str) -> After | None:
        """Delete what is left; finish when nothing is."""
        namespace = self._namespaces.objects.get(key)
        if namespace is None or namespace.metadata.deletion_timestamp is None:
            return None
        if FINALIZER not in namespace.spec.finalizers:
            return None
        left = 0
        for resource in CONTENT:
            left += await self._empty(resource, key)
        if left:
            return After(LOOK_AGAIN)
        await self._finalize(key)
        return None

    async def _empty(self, resource: Resource, namespace: str) -> int:
        """Delete every object of one kind; returns how many are still on their way out."""
        found = await self.client.list(resource.cls, namespace)
        for obj in found.items:
            if obj.metadata.deletion_timestamp is not None:
                continue
            meta = obj.metadata
            try:
                await self.client.delete(resource.cls, meta.name, namespace, uid=meta.uid)
            except (NotFound, Conflict):
                continue
        if not found.items:
            return 0
        return len((await self.client.list(resource.cls, namespace)).items)

    async def _finalize(self, name: str) -> None:
        try:
            live = await self.client.get(Namespace, name)
            live.spec.finalizers = [f for f in live.spec.finalizers if f != FINALIZER]
            path = resource_for(Namespace).path(None, name, "finalize")
            await self.client.raw("PUT", path, body=encode(live))
        except NotFound:
            return
