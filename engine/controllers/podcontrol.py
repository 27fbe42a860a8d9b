"""Making and removing pods for an owner, with events, and remembered until the watch shows them."""

import asyncio
from collections.abc import Callable, Sequence

from engine.client.client import Client
from engine.client.events import EventRecorder
from engine.client.informer import key_of
from engine.controllers.expectations import Expectations
from engine.types.codec import clone
from engine.types.meta import Object, ObjectMeta, owner_reference
from engine.types.pods import Pod, PodTemplateSpec
from engine.types.status import NotFound, StatusError

BURST = 500
"""Most pods made or removed for one owner in one go."""


def pod_from_template(template: PodTemplateSpec, owner: Object) -> Pod:
    """A pod as the template says, controlled by the owner; the server finishes its name."""
    made = clone(template)
    return Pod(
        metadata=ObjectMeta(
            generate_name=f"{owner.metadata.name}-",
            namespace=owner.metadata.namespace,
            labels=made.metadata.labels,
            annotations=made.metadata.annotations,
            finalizers=made.metadata.finalizers,
            owner_references=[owner_reference(owner)],
        ),
        spec=made.spec,
    )


class PodControl:
    """The hands of the controllers that own pods."""

    def __init__(self, client: Client, events: EventRecorder, expected: Expectations) -> None:
        self._client = client
        self._events = events
        self._expected = expected

    async def create(
        self, owner: Object, count: int, make: Callable[[int], Pod]
    ) -> StatusError | None:
        """Create pods, in batches that double, so that a certain failure is met once and not
        `count` times. Returns the error that stopped it."""
        done, batch = 0, 1
        count = min(count, BURST)
        while done < count:
            batch = min(batch, count - done)
            results = await asyncio.gather(
                *(self._create(owner, make(index)) for index in range(done, done + batch))
            )
            error = next((result for result in results if result is not None), None)
            if error is not None:
                return error
            done += batch
            batch *= 2
        return None

    async def _create(self, owner: Object, pod: Pod) -> StatusError | None:
        key = key_of(owner)
        self._expected.expect_creation(key)
        try:
            created = await self._client.create(pod)
        except StatusError as error:
            self._expected.creation_done(key)
            if any(cause.reason == "NamespaceTerminating" for cause in error.causes):
                # The owner is about to go with its namespace: there is nothing to complain of.
                return None
            self._events.record(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            return error
        except BaseException:
            self._expected.creation_done(key)
            raise
        text = f"Created pod: {created.metadata.name}"
        self._events.record(owner, "Normal", "SuccessfulCreate", text)
        return None

    async def delete(self, owner: Object, pods: Sequence[Pod]) -> None:
        """Delete pods, all at once; one that is already gone is fine. Raises the first error."""
        await asyncio.gather(*(self._delete(owner, pod) for pod in pods[:BURST]))

    async def _delete(self, owner: Object, pod: Pod) -> None:
        key, meta = key_of(owner), pod.metadata
        self._expected.expect_deletion(key, meta.uid)
        try:
            await self._client.delete(Pod, meta.name, meta.namespace, uid=meta.uid)
        except NotFound:
            self._expected.deletion_done(key, meta.uid)
            return
        except BaseException:
            self._expected.deletion_done(key, meta.uid)
            raise
        self._events.record(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name}")
