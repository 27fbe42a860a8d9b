"""Which page a place shows, and which preview a row has."""

from __future__ import annotations

from typing import Any

from ..model.cluster import Cluster
from ..model.forwards import Forwards
from ..model.groups import Groups
from ..model.place import Place
from ..model.replay import Replay
from ..pages.container import container_page
from ..pages.forwards import forwards_page
from ..pages.heat import HEATS
from ..pages.layers import image_page
from ..pages.layers import preview as image_preview
from ..pages.node import node_page
from ..pages.node import preview as node_preview
from ..pages.overview import overview
from ..pages.pod import pod_page
from ..pages.pod_preview import preview as pod_preview
from ..pages.summary import summary
from ..pages.xray import xray
from ..render.page import Page, Source

PREVIEWED = ("pods", "images", "nodes", "deployments", "replicasets", "jobs", "events")


class Pages:
    """Sources of pages for one cluster."""

    def __init__(self, cluster: Cluster, forwards: Forwards) -> None:
        self.cluster = cluster
        self.forwards = forwards
        self.namespace = ""
        self.groups = Groups(cluster)
        self.heat = HEATS[0]
        self.stack: Source = lambda w, h, target: Page()
        """What stands beside an image's files."""
        self.anatomy: dict[str, dict[str, Any]] = {}
        """What the engine says of a container, by `namespace/pod/container`."""
        self.replay: Replay | None = None

    def source(self, place: Place) -> Source:
        """The page of a place that is a sheet."""
        cluster = self.cluster
        match place.view:
            case "overview":
                return lambda w, h, target: overview(
                    cluster, self.groups, self.namespace, self.heat, w, h, target
                )
            case "pod":
                return lambda w, h, target: self._pod(place, w, h)
            case "forwards":
                return lambda w, h, target: forwards_page(self.forwards, w, h, target)
            case "container":
                return lambda w, h, target: self._container(place, w, h)
            case "xray":
                for kind in ("configmaps", "secrets", "serviceaccounts"):
                    cluster.watch(kind)
                return lambda w, h, target: xray(cluster, place.kind, place.key, w, target)
            case "node":
                return lambda w, h, target: node_page(cluster, place.key, w, h, target)
            case "image":
                return lambda w, h, target: image_page(cluster, place.key, w, h, target)
        return lambda w, h, target: Page([(("  loading …", "dim"),)])

    def _pod(self, place: Place, width: int, height: int) -> Page:
        pod = self.cluster.pods().get(place.key)
        part = place.part
        if not part and pod is not None and pod.spec.containers:
            part = pod.spec.containers[0].name
        return pod_page(
            self.cluster, place.key, self.anatomy.get(f"{place.key}/{part}"), width, height
        )

    def _container(self, place: Place, width: int, height: int) -> Page:
        found = self.anatomy.get(f"{place.key}/{place.part}")
        return container_page(
            self.cluster, place.key, place.part, found, self.replay, width, height
        )

    def take_anatomy(self, key: str, found: dict[str, Any]) -> None:
        """What the engine says of a container now; what it wrote since the last time is marked."""
        before = self.anatomy.get(key)
        if before is not None:
            known = {(c.get("path"), c.get("kind"), c.get("size")) for c in before["changes"]}
            for change in found.get("changes") or ():
                facts = (change.get("path"), change.get("kind"), change.get("size"))
                change["fresh"] = facts not in known
        found.setdefault("changes", [])
        self.anatomy = {key: found}

    def preview(self, kind: str, key: str) -> Source:
        """What stands beside a list for the row under the cursor."""
        cluster = self.cluster
        if not key:
            return lambda w, h, target: Page()
        match kind:
            case "pods":
                return lambda w, h, target: pod_preview(cluster, key, w, h)
            case "images":
                return lambda w, h, target: image_preview(cluster, key, w, h)
            case "nodes":
                return lambda w, h, target: node_preview(cluster, key, w, h)
        return lambda w, h, target: summary(cluster, kind, key, w, h)
