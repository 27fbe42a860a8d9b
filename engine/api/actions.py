"""Kinds that are never stored: what is asked of objects, or said of them."""

from __future__ import annotations

from typing import Annotated

from engine.types.autoscaling import Scale
from engine.types.core import Binding
from engine.types.declare import F, always
from engine.types.meta import DeleteOptions, Object
from engine.types.registry import Resource


class Eviction(Object, kw_only=True):
    """The wish that a pod leave its node."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("policy/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Eviction")
    delete_options: Annotated[DeleteOptions | None, F("How it is deleted.", 2)] = None


SCALE = Resource("v1", "Scale", "scales", Scale, group="autoscaling")
BINDING = Resource("v1", "Binding", "bindings", Binding)
EVICTION = Resource("v1", "Eviction", "evictions", Eviction, group="policy")
ACTIONS = {(each.api_version, each.kind): each for each in (SCALE, BINDING, EVICTION)}
