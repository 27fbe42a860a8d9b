"""Following a stage's instructions, one after the other, upon what it begins with."""

from __future__ import annotations

import time
from dataclasses import replace

from engine.builder.events import Began, Done
from engine.builder.files import copy, workdir
from engine.builder.running import run
from engine.builder.site import Site
from engine.builder.stage import Outcome, StageBuild, Step
from engine.images.containerfile.instructions import Instruction, parse
from engine.images.containerfile.settings import apply
from engine.images.containerfile.stages import SCRATCH, Stage, declare
from engine.images.draft import Draft
from engine.images.registry import platforms


async def build_stage(site: Site, stage: Stage) -> Draft:
    """Raise ContainerfileError, BuildError, ImageError."""
    build = StageBuild(site, stage)
    steps = [*await _begin(build), *stage.steps]
    cmd_is_own = False
    for number, instruction in enumerate(steps, 1):
        step = Step(site.step(), instruction)
        cmd_is_own = cmd_is_own or instruction.name == "CMD"
        site.watch(Began(step.number, stage.title, number, len(steps), instruction.text))
        started = time.monotonic()
        outcome = await _follow(build, step, cmd_is_own=cmd_is_own)
        seconds = time.monotonic() - started
        layer = outcome.known.layer if outcome else None
        size = site.store.blobs.size(layer) if layer else 0
        cached = outcome is not None and outcome.cached
        site.watch(Done(step.number, seconds, cached, layer, size))
    return build.draft


async def _begin(build: StageBuild) -> list[Instruction]:
    """Take what the stage begins with; return what its ONBUILD says to do first."""
    base, platform = build.stage.base, build.site.platform
    if build.stage.platform:
        platform = platforms.parse(build.stage.platform)
    if base == SCRATCH:
        build.draft = Draft(platform=platform)
        return []
    if isinstance(base, int):
        build.draft, name = await build.site.stage(base), build.site.file.stages[base].title
    else:
        build.draft, name = await build.site.image(base, platform), base
    triggers = build.settings.get("OnBuild") or ()
    if triggers:
        settings = {key: value for key, value in build.settings.items() if key != "OnBuild"}
        build.draft = replace(build.draft, settings=settings)
    return parse("\n".join(triggers).encode(), f"ONBUILD of {name}")


async def _follow(build: StageBuild, step: Step, *, cmd_is_own: bool) -> Outcome | None:
    """Do one instruction; None when it could make no layer."""
    instruction = step.instruction
    outcome: Outcome | None = None
    match instruction.name:
        case "ARG":
            given, known = build.site.given, build.site.file.arguments
            declare(instruction, build.arguments, given, build.lookup, known)
        case "MAINTAINER":
            others = {**build.draft.others, "author": instruction.statement.text}
            build.draft = replace(build.draft, others=others)
        case "RUN":
            outcome = await run(build, step)
        case "COPY" | "ADD":
            outcome = await copy(build, step)
        case "WORKDIR":
            settings = apply(build.settings, instruction, build.lookup)
            build.draft = replace(build.draft, settings=settings)
            outcome = await workdir(build, step)
        case _:
            settings = apply(build.settings, instruction, build.lookup, cmd_is_own=cmd_is_own)
            build.draft = build.draft.configured(settings, instruction.text, build.draft.created)
    if outcome is not None:
        build.take(step, outcome)
    return outcome
