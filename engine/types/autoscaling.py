"""The autoscaling group, v1: the scale of anything that has replicas."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always
from engine.types.meta import Object


class ScaleSpec(Type, kw_only=True):
    """How many there should be."""

    replicas: Annotated[int, F("How many.", 1)] = 0


class ScaleStatus(Type, kw_only=True):
    """How many there are."""

    replicas: Annotated[int, F("How many.", 1)] = always(int)
    selector: Annotated[str, F("Label selector of its pods, as text.", 2)] = ""


class Scale(Object, kw_only=True):
    """The `scale` subresource."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("autoscaling/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Scale")
    spec: Annotated[ScaleSpec, F("How many there should be.", 2)] = always(ScaleSpec)
    status: Annotated[ScaleStatus, F("How many there are.", 3)] = always(ScaleStatus)
