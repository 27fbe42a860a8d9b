"""Every change of an object: read its newest state, change it, admit it, store it.

All of a change but the wait for the disk happens within one turn of the event loop, so two changes
never mix; a caller that names the revision it has read gets Conflict when there is a newer one.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable

from engine.api import deletion
from engine.api.admission.admit import admit_change, admit_new
from engine.store.entry import Entry, Exists, Key, Missing, Stale, Unwritable
from engine.store.store import Store
from engine.types import clock, codec
from engine.types.clock import Clock
from engine.types.core import Namespace, Pod
from engine.types.meta import DeleteOptions, Object
from engine.types.registry import Resource
from engine.types.status import (
    AlreadyExists,
    Cause,
    Conflict,
    Forbidden,
    InternalError,
    NotFound,
    StatusError,
)

# Without vowels and digits that look like them, so that no name reads as a word (kube's own set).
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 5
_GENERATED_MAX = 63 - _SUFFIX
_TRIES = 8
IMMORTAL = ("default", "kube-system", "kube-public")

Change = Callable[[Object, Entry], Object]
"""Makes the wished state from the newest one (which it may alter) and its bytes."""


def key_of(resource: Resource, namespace: str, name: str) -> Key:
    return Key(resource.key, namespace if resource.namespaced else "", name)


class Writer:
    """Creates, changes and deletes; each method returns the object's bytes as stored."""

    def __init__(self, store: Store, now: Clock, rng: random.Random) -> None:
        self._store = store
        self._now = now
        self._random = rng

    async def create(
        self, resource: Resource, namespace: str, obj: Object, *, dry_run: bool = False
    ) -> bytes:
        """Raise AlreadyExists, NotFound (the namespace), Forbidden (it is ending) or Invalid."""
        meta = obj.metadata
        meta.namespace = namespace if resource.namespaced else ""
        if resource.namespaced:
            self._check_namespace(resource, namespace, meta.name)
        if not meta.name and meta.generate_name:
            meta.name = self._generate(resource, namespace, meta.generate_name)
        meta.uid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        meta.creation_timestamp = clock.now(self._now)
        meta.resource_version = meta.self_link = ""
        meta.deletion_timestamp = meta.deletion_grace_period_seconds = None
        meta.generation = 0
        meta.managed_fields = []
        admit_new(obj, resource)
        key = key_of(resource, namespace, meta.name)
        if self._store.head(key) is not None:
            raise AlreadyExists(resource.qualified, meta.name)
        if dry_run:
            return codec.encode(obj)
        return (await self._stored(resource, key, self._store.create(key, _encoder(obj)))).value

    async def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Change,
        *,
        part: str = "",
        dry_run: bool = False,
    ) -> bytes:
        """Apply `change` to the whole object, or to one `part` of it: "status", "finalize" (of a
        namespace), of a pod "ephemeralcontainers", "resize" (its containers' resources) or
        "binding" (whatever binding it changes; nothing else may).

        Raise NotFound, Conflict, Invalid, or whatever `change` raises.
        """
        key = key_of(resource, namespace, name)
        entry = self._head(resource, key)
        old = codec.decode(resource.cls, entry.value)
        new = change(codec.decode(resource.cls, entry.value), entry)
        _check_identity(resource, new, old, entry)
        new = _merge(new, old, part, resource)
        if part not in ("status", "binding"):
            admit_change(new, old, resource, part)
        if dry_run:
            return codec.encode(new)
        if deletion.is_over(new):
            gone = self._store.delete(key, _encoder(new), expected=entry.revision)
            return (await self._stored(resource, key, gone)).value
        if codec.encode(new) == entry.value:
            # Nothing changes. What was answered from must be on the disk all the same.
            await self._settled(key)
            return entry.value
        stored = self._store.update(key, _encoder(new), expected=entry.revision)
        return (await self._stored(resource, key, stored)).value

    async def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[bytes, bool]:
        """Mark or remove; the flag says whether it is gone. Raise NotFound or Conflict."""
        key = key_of(resource, namespace, name)
        entry = self._head(resource, key)
        obj = codec.decode(resource.cls, entry.value)
        _check_preconditions(resource, obj, options)
        if resource.kind == "Namespace" and name in IMMORTAL:
            raise Forbidden(resource.qualified, name, "this namespace may not be deleted")
        deletion.mark(obj, options, self._now())
        over = deletion.is_over(obj)
        if options.dry_run:
            return codec.encode(obj), over
        if over:
            done = self._store.delete(key, _encoder(obj), expected=entry.revision)
        elif codec.encode(obj) == entry.value:
            await self._settled(key)
            return entry.value, False
        else:
            done = self._store.update(key, _encoder(obj), expected=entry.revision)
        return (await self._stored(resource, key, done)).value, over

    def _head(self, resource: Resource, key: Key) -> Entry:
        entry = self._store.head(key)
        if entry is None:
            raise NotFound(resource.qualified, key.name)
        return entry

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        entry = self._store.head(Key("namespaces", "", namespace))
        if entry is None:
            raise NotFound("namespaces", namespace)
        owner = codec.decode(Namespace, entry.value)
        if owner.metadata.deletion_timestamp is not None:
            why = (
                f"unable to create new content in namespace {namespace} because it is being"
                " terminated"
            )
            error = Forbidden(resource.qualified, name, why)
            text = f"namespace {namespace} is being terminated"
            error.causes = (Cause("NamespaceTerminating", text, "metadata.namespace"),)
            raise error

    def _generate(self, resource: Resource, namespace: str, prefix: str) -> str:
        """A name that is free; with ten thousand of one prefix a few of the first tries are not."""
        name = ""
        for _ in range(_TRIES):
            name = prefix[:_GENERATED_MAX] + "".join(self._random.choices(_ALPHABET, k=_SUFFIX))
            if self._store.head(key_of(resource, namespace, name)) is None:
                break
        return name

    async def _settled(self, key: Key) -> None:
        try:
            await self._store.settle(key)
        except Unwritable as error:
            raise InternalError(error) from error

    async def _stored(self, resource: Resource, key: Key, writing: Awaitable[Entry]) -> Entry:
        try:
            return await writing
        except Exists as error:
            raise AlreadyExists(resource.qualified, key.name) from error
        except Missing as error:
            raise NotFound(resource.qualified, key.name) from error
        except Stale as error:
            raise Conflict(resource.qualified, key.name) from error
        except Unwritable as error:
            raise InternalError(error) from error


def _encoder(obj: Object) -> Callable[[int], bytes]:
    def encode(revision: int) -> bytes:
        obj.metadata.resource_version = str(revision)
        return codec.encode(obj)

    return encode


def _check_identity(resource: Resource, new: Object, old: Object, entry: Entry) -> None:
    meta, qualified, name = new.metadata, resource.qualified, old.metadata.name
    if meta.name and meta.name != name:
        raise StatusError(
            f"the name of the object ({meta.name}) does not match the name on the URL ({name})",
            code=400,
            reason="BadRequest",
        )
    if meta.uid and meta.uid != old.metadata.uid:
        raise Conflict(
            qualified,
            name,
            f"Precondition failed: UID in precondition: {meta.uid}, UID in object meta:"
            f" {old.metadata.uid}",
        )
    if meta.resource_version and meta.resource_version != str(entry.revision):
        raise Conflict(qualified, name)


def _merge(new: Object, old: Object, part: str, resource: Resource) -> Object:
    """`new` as far as `part` may change `old`; the rest stays as it is."""
    if part == "binding":
        return new
    if part:
        result = codec.clone(old)
        if part == "finalize":
            assert isinstance(result, Namespace)
            assert isinstance(new, Namespace)
            result.spec.finalizers = new.spec.finalizers
        elif part == "ephemeralcontainers":
            assert isinstance(result, Pod)
            assert isinstance(new, Pod)
            result.spec.ephemeral_containers = new.spec.ephemeral_containers
        elif part == "resize":
            assert isinstance(result, Pod)
            assert isinstance(new, Pod)
            _resize(result, new)
        else:
            result.status = new.status  # type: ignore[attr-defined]
        return result
    meta, before = new.metadata, old.metadata
    meta.name, meta.namespace, meta.uid = before.name, before.namespace, before.uid
    meta.resource_version = before.resource_version
    meta.generate_name = before.generate_name
    meta.creation_timestamp = before.creation_timestamp
    meta.deletion_timestamp = before.deletion_timestamp
    meta.deletion_grace_period_seconds = before.deletion_grace_period_seconds
    meta.generation = before.generation
    meta.self_link, meta.managed_fields = "", []
    if resource.has_status:
        new.status = old.status  # type: ignore[attr-defined]
    return new


def _resize(pod: Pod, wished: Pod) -> None:
    by_name = {c.name: c for c in (*wished.spec.init_containers, *wished.spec.containers)}
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        if container.name in by_name:
            container.resources = by_name[container.name].resources


def _check_preconditions(resource: Resource, obj: Object, options: DeleteOptions) -> None:
    wanted = options.preconditions or {}
    meta = obj.metadata
    pairs = (
        ("UID", wanted.get("uid"), meta.uid),
        ("ResourceVersion", wanted.get("resourceVersion"), meta.resource_version),
    )
    for what, expected, actual in pairs:
        if expected and expected != actual:
            raise Conflict(
                resource.qualified,
                meta.name,
                f"Precondition failed: {what} in precondition: {expected}, {what} in object meta:"
                f" {actual}",
            )
