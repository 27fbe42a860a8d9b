"""What is shown, into a file: a log, a list, the screen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.client.errors import Unreachable
from engine.types import registry
from engine.types.status import StatusError

from ..model import saved, spreadsheet

if TYPE_CHECKING:
    from .main import MainScreen


async def save(screen: MainScreen, what: str) -> None:
    """`log`, `csv`, `json` or `picture`; the user is told where, or why not."""
    place = screen.place
    words: tuple[str, ...]
    data: Iterable[bytes]
    try:
        match what:
            case "log":
                lines = screen.log_view.lines()
                words = (place.namespace, place.name, place.part or "all")
                data, folder, count = saved.log(lines), "logs", f"{len(lines)} lines in"
            case "csv":
                words, folder = (place.kind,), "tables"
                data, count = [spreadsheet.table(screen.view)], f"{len(screen.view.order)} rows in"
            case "json":
                words, folder = (place.kind,), "tables"
                data, count = [await _objects(screen)], f"{len(screen.view.order)} objects in"
            case _:
                words, folder = (
                    (place.namespace, place.name or place.kind or place.view),
                    "pictures",
                )
                data, count = [_picture(screen)], "the screen is in"
        suffix = {"log": ".log", "csv": ".csv", "json": ".json"}.get(what, ".svg")
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(screen.cluster.now()))
        name = "-".join((*filter(None, words), stamp))
        file = await asyncio.to_thread(saved.write, folder, name, suffix, data)
    except OSError as error:
        screen.flash(f"cannot save: {error.filename or ''} {error.strerror or error}", "bad")
    except (StatusError, Unreachable) as error:
        screen.flash(str(error), "bad")
    else:
        screen.flash(f"{count} {file}", "ok")


def _picture(screen: MainScreen) -> bytes:
    from ..recording.picture import picture

    return picture(screen.podarium, screen.cluster.name).encode()


async def _objects(screen: MainScreen) -> bytes:
    """Those of the list, whole, as `kubectl get -o json` writes a list."""
    resource = registry.find(screen.place.kind)
    assert resource is not None
    found = json.loads(await screen.cluster.client.raw("GET", resource.path()))
    shown = set(screen.view.order)
    items = []
    for item in found.get("items") or ():
        meta = item["metadata"]
        space = meta.get("namespace")
        if (f"{space}/{meta['name']}" if space else meta["name"]) in shown:
            items.append({"apiVersion": resource.api_version, "kind": resource.kind} | item)
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    return json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"
