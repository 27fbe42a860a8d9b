"""The config maps and secrets that the pods of a node name: watched one by one, while they are
named.

Like the kubelet, a node asks for no object that none of its pods refers to. A pod is told when one
of its objects changes, so a volume follows its source within moments.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.client.client import Client
from engine.client.informer import Informer
from engine.kubelet.environment import References, config_map_contents, secret_contents
from engine.types.core import ConfigMap, Secret

SYNC_TIMEOUT_S = 10.0

Key = tuple[type[ConfigMap] | type[Secret], str, str]
"""Kind, namespace, name."""


@dataclass(slots=True)
class _Watched:
    informer: Informer[ConfigMap] | Informer[Secret]
    task: asyncio.Task[None]
    pods: set[str] = field(default_factory=set)


class Sources:
    """`changed(uid)` is called for each pod that names an object which came, changed or went."""

    def __init__(self, client: Client, changed: Callable[[str], None]) -> None:
        self._client = client
        self._changed = changed
        self._watched: dict[Key, _Watched] = {}

    async def references(
        self, uid: str, namespace: str, config_maps: Iterable[str], secrets: Iterable[str]
    ) -> References:
        """The objects as they are now, and from now on watched for the pod.

        Raise TimeoutError when the API cannot be asked.
        """
        wanted: set[Key] = {(ConfigMap, namespace, name) for name in config_maps}
        wanted |= {(Secret, namespace, name) for name in secrets}
        self._drop(uid, keep=wanted)
        for key in wanted:
            self._watch(key).pods.add(uid)
        async with asyncio.timeout(SYNC_TIMEOUT_S):
            for key in wanted:
                await self._watched[key].informer.synced.wait()
        known = References(namespace)
        for key in wanted:
            for obj in self._watched[key].informer.objects.values():
                if isinstance(obj, ConfigMap):
                    known.config_maps[obj.metadata.name] = config_map_contents(obj)
                else:
                    known.secrets[obj.metadata.name] = secret_contents(obj)
        return known

    def release(self, uid: str) -> None:
        """The pod is gone."""
        self._drop(uid, keep=set())

    async def close(self) -> None:
        tasks = [watched.task for watched in self._watched.values()]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, key: Key) -> _Watched:
        if key not in self._watched:
            cls, namespace, name = key
            selector = f"metadata.name={name}"
            informer: Informer[ConfigMap] | Informer[Secret]
            if cls is ConfigMap:
                informer = Informer(self._client, ConfigMap, namespace, fields=selector)
            else:
                informer = Informer(self._client, Secret, namespace, fields=selector)
            watched = _Watched(informer, asyncio.create_task(informer.run()))
            informer.add_handler(lambda old, new: self._tell(watched))
            self._watched[key] = watched
        return self._watched[key]

    def _tell(self, watched: _Watched) -> None:
        # Until the first list is in, everyone still waits in references().
        if watched.informer.synced.is_set():
            for uid in watched.pods:
                self._changed(uid)

    def _drop(self, uid: str, keep: set[Key]) -> None:
        for key, watched in list(self._watched.items()):
            if key not in keep:
                watched.pods.discard(uid)
                if not watched.pods:
                    watched.task.cancel()
                    del self._watched[key]
