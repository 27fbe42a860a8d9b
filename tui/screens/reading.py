"""What the main screen asks the API for when a view needs it: texts, anatomies, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.client.errors import Unreachable
from engine.types import registry
from engine.types.status import StatusError

from ..model.log_merge import LogMerge, Source, sources_of
from ..model.log_stream import LogStream
from ..model.place import OF_IMAGES, Place
from ..model.replay import Replay, steps_of
from ..render.describe import describe
from ..render.yaml import yaml_page

if TYPE_CHECKING:
    from .main import MainScreen

FLUSH_SECONDS = 0.1


class Reading:
    """Reads in the background; what comes too late for the place it was for is dropped."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen
        self.stream: LogStream | LogMerge | None = None
        self.log_due = False
        """Whether new lines wait to be shown."""

    def open(self, place: Place) -> None:
        """Show the text of a place."""
        text = self._screen.text
        if place.view == "journal":
            text.show_text(self._screen.journal.page())
        elif place.view in OF_IMAGES:
            self._screen.imaging.open_text(place)
        else:
            text.show_text([(("  loading …", "dim"),)])
            self.text(place)

    def text(self, place: Place) -> None:
        """Fetch an object, to be described or shown as YAML."""
        self._screen.run_worker(
            self._text(place), group="text", exclusive=True, exit_on_error=False
        )

    async def _text(self, place: Place) -> None:
        screen = self._screen
        cluster = screen.cluster
        resource = registry.find(place.kind)
        if resource is None:
            return
        try:
            raw = await cluster.client.get_raw(resource.cls, place.name, place.namespace or None)
        except (StatusError, Unreachable) as error:
            screen.text.replace([((str(error), "bad"),)])
            return
        if place != screen.place:
            return
        if place.view == "yaml":
            screen.text.replace(yaml_page(raw))
            return
        obj = cluster.get(place.kind, place.key)
        about = cluster.events_about(obj) if obj is not None else []
        screen.text.replace(describe(raw, about, cluster.now(), screen.size.width))

    def anatomy(self, place: Place) -> None:
        """Ask our engine what a pod's container is made of."""
        if "stats" not in self._screen.cluster.missing:
            self._screen.run_worker(
                self._anatomy(place), group="anatomy", exclusive=True, exit_on_error=False
            )

    async def _anatomy(self, place: Place) -> None:
        screen = self._screen
        pod = screen.cluster.pods().get(place.key)
        if pod is None or not pod.spec.containers:
            return
        part = place.part or pod.spec.containers[0].name
        path = _path(place, part, "anatomy")
        try:
            found = msgspec.json.decode(await screen.cluster.client.raw("GET", path))
        except (StatusError, Unreachable, msgspec.DecodeError):
            return  # a cluster that cannot tell, or a container that has not been: nothing to show
        if isinstance(found, dict):
            screen.pages.take_anatomy(f"{place.key}/{part}", found)
            screen.sheet.update()

    async def trace(self, place: Place) -> Replay | str:
        """How the container was started, or why that cannot be told."""
        path = _path(place, place.part, "trace")
        try:
            found = msgspec.json.decode(await self._screen.cluster.client.raw("GET", path))
        except (StatusError, Unreachable, msgspec.DecodeError) as error:
            return str(error)
        steps = steps_of(found) if isinstance(found, dict) else []
        if not steps:
            return f"nothing is known of the start of {place.part}"
        return Replay(steps, int(found.get("microseconds") or 0))

    def logs(self, place: Place) -> None:
        """Follow a container's log, or those of all containers of a pod or of its owner."""
        screen = self._screen
        client = screen.cluster.client
        stream: LogStream | LogMerge
        merged = place.kind != "pods" or not place.part
        if merged:
            stream = LogMerge(client, lambda: self._sources(place), range=place.range)
        else:
            target = (place.namespace, place.name, place.part)
            stream = LogStream(client, *target, previous=place.previous, range=place.range)
        stream.on_change = self._log_changed
        self.stream = stream
        screen.log_view.show(stream.buffer, labelled=merged, follow=place.range.follow)
        screen.run_worker(stream.run(), group="logs", exclusive=True, exit_on_error=True)

    def _sources(self, place: Place) -> list[Source]:
        cluster = self._screen.cluster
        if place.kind == "pods":
            pod = cluster.pods().get(place.key)
            return [] if pod is None else sources_of([pod])
        owner = cluster.get(place.kind, place.key)
        pods = [] if owner is None else cluster.pods_of(owner)
        return sources_of(pods, place.name, place.part)

    def stop_logs(self) -> None:
        """The log is not looked at any more."""
        if self.stream is not None:
            self._screen.workers.cancel_group(self._screen, "logs")
            self.stream = None

    def _log_changed(self) -> None:
        if not self.log_due:
            self.log_due = True
            self._screen.set_timer(FLUSH_SECONDS, self._flush_log)

    def _flush_log(self) -> None:
        self.log_due = False
        screen = self._screen
        if self.stream is not None and screen.place.view == "logs":
            screen.log_view.note = self.stream.note
            screen.log_view.update()
            screen.tell_place()


def _path(place: Place, part: str, what: str) -> str:
    """Of our engine's API, about one container."""
    return f"/podarium/v1/namespaces/{place.namespace}/pods/{place.name}/containers/{part}/{what}"
