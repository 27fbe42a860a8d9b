"""Service accounts: every namespace has one named default."""

import time

from engine.client.client import Client
from engine.controllers.runtime import After, Controller, SharedInformers
from engine.types.clock import Clock
from engine.types.core import Namespace, ServiceAccount
from engine.types.meta import ObjectMeta
from engine.types.status import AlreadyExists

DEFAULT = "default"


class ServiceAccountController(Controller):
    """Makes the default service account of each namespace that is not ending."""

    name = "service-account-controller"

    def __init__(
        self, client: Client, informers: SharedInformers, clock: Clock = time.time
    ) -> None:
        super().__init__(client, informers, clock)
        self._namespaces = informers.of(Namespace)
        self._accounts = informers.of(ServiceAccount)
        self._namespaces.add_handler(self._on_namespace)
        self._accounts.add_handler(self._on_account)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None:
            self.queue.add(new.metadata.name)

    def _on_account(self, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
        if new is None and old is not None and old.metadata.name == DEFAULT:
            self.queue.add(old.metadata.namespace)

    async def reconcile(self, key: str) -> After | None:
        """Create the account where it is missing."""
        namespace = self._namespaces.objects.get(key)
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            return None
        if f"{key}/{DEFAULT}" in self._accounts.objects:
            return None
        account = ServiceAccount(metadata=ObjectMeta(name=DEFAULT, namespace=key))
        try:
            await self.client.create(account)
        except AlreadyExists:
            return None
        return None
