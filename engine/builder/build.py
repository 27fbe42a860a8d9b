"""One build: from a Containerfile and a context to an image with names.

Only the stages that the target needs are built, all at once as far as they do not wait for each
other. What a step makes is found again by its key (cache.py), so a build that is repeated makes the
same image of the same bytes, and with `epoch` (SOURCE_DATE_EPOCH) so does one on another machine.
"""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

from engine.builder.events import Watch, unwatched
from engine.builder.following import build_stage
from engine.builder.site import Options, Site
from engine.images.draft import Draft
from engine.images.reference import Reference
from engine.images.store import ImageStore
from engine.images.types import Image


async def build(store: ImageStore, home: Path, options: Options, watch: Watch = unwatched) -> Image:
    """Build and name an image. Whatever happens, nothing is left but what the cache keeps.

    Raise ContainerfileError naming the line, BuildError, or any other ImageError.
    """
    for tag in options.tags:
        Reference.parse(tag)
    with ExitStack() as closing:
        closing.enter_context(store.busy())
        site = Site(store, home, options, watch, build_stage)
        closing.callback(site.cache.close)
        async with AsyncExitStack() as unmaking:
            unmaking.push_async_callback(site.close)
            draft = await _target(site)
        image = await asyncio.to_thread(_name, site, draft)
        site.cache.shrink()
    return image


async def _target(site: Site) -> Draft:
    target = site.file.target(site.options.target)
    tasks = [site.begin(stage) for stage in site.file.needed(target)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    return await site.stage(target)


def _name(site: Site, draft: Draft) -> Image:
    """Store the image's documents under its names."""
    labels = site.options.labels
    if labels:
        merged = {**(draft.settings.get("Labels") or {}), **labels}
        draft = replace(draft, settings={**draft.settings, "Labels": merged})
    return draft.store(site.store, site.options.tags)
