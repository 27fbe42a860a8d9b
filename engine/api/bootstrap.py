"""What every cluster has from its first moment on: the namespaces."""

from __future__ import annotations

from engine.api.writer import Writer
from engine.types.core import Namespace
from engine.types.meta import ObjectMeta
from engine.types.registry import resource_for
from engine.types.status import AlreadyExists

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def bootstrap(writer: Writer) -> None:
    """Create what is missing; harmless when nothing is."""
    for name in NAMESPACES:
        namespace = Namespace(metadata=ObjectMeta(name=name))
        try:
            await writer.create(resource_for(Namespace), "", namespace)
        except AlreadyExists:
            pass
