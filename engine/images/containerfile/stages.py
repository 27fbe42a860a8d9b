"""Stages of a Containerfile: what each begins with, and which others it needs.

A stage can only name what stands before it, so the stages are a graph without circles by their
order alone. Only what the wanted stage needs is built. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.images.containerfile.instructions import Instruction
from engine.images.containerfile.problem import nearest
from engine.images.containerfile.words import Lookup, Word
from engine.images.errors import ImageError
from engine.images.types import Platform

SCRATCH = "scratch"
_TARGET = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT")
_BUILD = ("BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT")
# Known to every stage without an ARG, and never part of an image's history or key.
PROXIES = tuple(
    name
    for each in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (each, each.lower())
)


class BuildError(ImageError):
    """What keeps an image from being built and is no instruction's fault."""


@dataclass(frozen=True, slots=True)
class Stage:
    """`base` is a stage's index, an image's name, or SCRATCH; `needs` are indexes of stages."""

    index: int
    name: str
    start: Instruction
    base: int | str
    platform: str
    steps: tuple[Instruction, ...]

    @property
    def title(self) -> str:
        return self.name or f"stage {self.index}"


@dataclass(frozen=True, slots=True)
class Containerfile:
    """A whole file. `arguments` are those before the first FROM, with their values."""

    stages: tuple[Stage, ...]
    arguments: Mapping[str, str]

    def find(self, name: str, before: int | None = None) -> int | None:
        """The stage with a name or a number; of those with one name the last."""
        known = self.stages if before is None else self.stages[:before]
        for stage in reversed(known):
            if stage.name and stage.name == name.lower():
                return stage.index
        if name.isdecimal() and int(name) < len(known):
            return int(name)
        return None

    def target(self, name: str) -> int:
        """The stage that is wanted; the last one without a name. Raise BuildError."""
        if not name:
            return len(self.stages) - 1
        found = self.find(name)
        if found is None:
            names = [stage.name for stage in self.stages if stage.name]
            there = ", ".join(names) or "no stage has a name"
            raise BuildError(f"target {name!r}: no such stage{nearest(name, names)}: {there}")
        return found

    def source(self, stage: Stage, step: Instruction, word: Word) -> int | str:
        """What --from means: a stage before this one, or an image's name.

        Raise ContainerfileError for a stage that does not stand before.
        """
        name = word.text
        found = self.find(name, stage.index)
        if found is not None:
            return found
        if self.find(name) is not None or name.isdecimal():
            step.statement.fail(
                f"{step.name}: --from={name}: only a stage before this one can be copied from",
                word.offset,
            )
        return name

    def needed(self, target: int) -> list[Stage]:
        """What the target needs, itself included, in order. Raise ContainerfileError."""
        wanted, pending = {target}, [target]
        while pending:
            for needed in self.needs(self.stages[pending.pop()]):
                if needed not in wanted:
                    wanted.add(needed)
                    pending.append(needed)
        return [stage for stage in self.stages if stage.index in wanted]

    def needs(self, stage: Stage) -> set[int]:
        """The stages that one stands on or takes from."""
        found = {stage.base} if isinstance(stage.base, int) else set()
        for step in stage.steps:
            for word in sources_of(step):
                source = self.source(stage, step, word)
                if isinstance(source, int):
                    found.add(source)
        return found


def sources_of(step: Instruction) -> Iterator[Word]:
    """Every --from of an instruction, those in its mounts too."""
    if word := step.flag("from"):
        yield word
    for mount in step.flags.get("mount", ()):
        at = mount.offset
        for option in mount.text.split(","):
            key, equals, value = option.partition("=")
            if key == "from" and value:
                yield Word(value, at + len(key) + len(equals))
            at += len(option) + 1


def arrange(
    instructions: list[Instruction], given: Mapping[str, str], target: Platform, here: Platform
) -> Containerfile:
    """The stages; `given` are the --build-arg values. Raise ContainerfileError, BuildError."""
    arguments = dict(_platforms(target, here))
    at = 0
    while at < len(instructions) and instructions[at].name == "ARG":
        declare(instructions[at], arguments, given, arguments.get)
        at += 1
    if at == len(instructions):
        raise BuildError("the Containerfile has no FROM: there is nothing to build")
    stages: list[Stage] = []
    steps: list[list[Instruction]] = []
    for instruction in instructions[at:]:
        if instruction.name == "FROM":
            stages.append(_stage(instruction, stages, arguments))
            steps.append([])
        elif not stages:
            instruction.statement.fail("before the first FROM only ARG is allowed")
        else:
            steps[-1].append(instruction)
    stages = [replace(s, steps=tuple(own)) for s, own in zip(stages, steps, strict=True)]
    return Containerfile(tuple(stages), arguments)


def declare(
    instruction: Instruction,
    arguments: dict[str, str],
    given: Mapping[str, str],
    lookup: Lookup,
    defaults: Mapping[str, str] | None = None,
) -> None:
    """Take an ARG into account: the value given, else its own, else that of before FROM."""
    for name, value in instruction.pairs:
        key = instruction.expand(name, lookup)
        if key in given:
            arguments[key] = given[key]
        elif value is not None:
            arguments[key] = instruction.expand(value, lookup)
        elif defaults is not None and key in defaults:
            arguments[key] = defaults[key]


def _stage(start: Instruction, before: list[Stage], arguments: Mapping[str, str]) -> Stage:
    image = start.words[0]
    base = start.expand(image, arguments.get)
    if not base:
        start.statement.fail(f"FROM: {image.text!r} is empty", image.offset)
    name = start.words[2].text.lower() if len(start.words) == 3 else ""
    if name and not (name[0].isalpha() and all(c.isalnum() or c in "-_." for c in name)):
        start.statement.fail(f"FROM: {name!r} cannot be a stage's name", start.words[2].offset)
    known = {stage.name: stage.index for stage in before if stage.name}
    word = start.flag("platform")
    platform = start.expand(word, arguments.get) if word else ""
    return Stage(len(before), name, start, known.get(base.lower(), base), platform, ())


def _platforms(target: Platform, here: Platform) -> Iterator[tuple[str, str]]:
    for names, platform in ((_TARGET, target), (_BUILD, here)):
        parts = [platform.os, platform.architecture, platform.variant]
        values = ("/".join(part for part in parts if part), *parts)
        yield from zip(names, values, strict=True)
