"""COPY, ADD and WORKDIR: files put into a layer of their own, without a container."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from engine.builder.stage import Outcome, StageBuild, Step
from engine.images.containerfile.copying import Copy, CopyError, Rule
from engine.images.containerfile.fetching import FetchError, fetch, is_url
from engine.images.containerfile.ignore import BadPattern, Rules
from engine.images.containerfile.instructions import Instruction
from engine.images.containerfile.packed import is_archive, unpack
from engine.images.containerfile.scanner import Heredoc
from engine.images.containerfile.settings import join
from engine.images.containerfile.tree import (
    NotThere,
    Source,
    Tree,
    context_tree,
    layers_tree,
)
from engine.images.containerfile.words import Word, WordError, expand_document
from engine.images.draft import Draft
from engine.images.errors import ImageError
from engine.images.staging import staging

_MODE = re.compile(r"[0-7]{1,4}")
_HEREDOC = re.compile(r"<<-?['\"]?([A-Za-z_][A-Za-z0-9_.-]*)['\"]?")
_NS = 10**9


async def copy(build: StageBuild, step: Step) -> Outcome:
    """Raise ContainerfileError naming the source that cannot be copied."""
    instruction = step.instruction
    rule = await _rule(build, instruction)
    word = instruction.flag("from")
    layers = await build.source(instruction, word) if word else None
    linked = (flag := instruction.flag("link")) is not None and flag.text != "false"
    below = Draft() if linked else build.draft
    copying = _Copying(build, instruction, rule, layers, below)
    return await asyncio.to_thread(copying.run)


async def workdir(build: StageBuild, step: Step) -> Outcome:
    """Have the working directory; no layer when the image has it."""

    def make() -> Outcome:
        with (
            build.site.opened(build.draft) as below,
            Copy(below, now=build.site.now * _NS) as plan,
        ):
            if plan.is_directory(build.workdir):
                return Outcome(build.site.unchanged(build.draft), True)
            try:
                plan.folder(tuple(os.fsencode(build.workdir).split(b"/")[1:]), Rule())
            except CopyError as error:
                raise step.instruction.statement.error(f"WORKDIR: {error}") from None
            return _layer(build, plan)

    return await asyncio.to_thread(make)


def _layer(build: StageBuild, plan: Copy) -> Outcome:
    key = build.key("files", build.draft.chain, plan.identity())
    known = build.site.known(key)
    if known is not None:
        return Outcome(known, True)
    layer = build.site.store_layer(lambda write: plan.write(write, build.site.clamp))
    return Outcome(build.site.keep(key, layer), False)


async def _rule(build: StageBuild, instruction: Instruction) -> Rule:
    mode = None
    if word := instruction.flag("chmod"):
        text = build.expand(instruction, word)
        if not _MODE.fullmatch(text):
            instruction.statement.fail(f"--chmod={text}: an octal mode is expected", word.offset)
        mode = int(text, 8)
    owner = None
    if word := instruction.flag("chown"):
        owner = await _owner(build, instruction, word)
    try:
        excluded = Rules.of(
            [build.expand(instruction, w) for w in instruction.flags.get("exclude", ())]
        )
    except BadPattern as error:
        raise instruction.statement.error(str(error)) from None
    parents = (flag := instruction.flag("parents")) is not None and flag.text != "false"
    return Rule(owner, mode, parents, excluded)


async def _owner(build: StageBuild, instruction: Instruction, word: Word) -> tuple[int, int]:
    text = build.expand(instruction, word)
    user, _, group = text.partition(":")
    accounts = await build.accounts()
    try:
        return accounts.owner(user, group)
    except LookupError as error:
        raise instruction.statement.error(f"--chown={text}: {error}", word.offset) from None


class _Copying:
    """One COPY or ADD, in a thread."""

    def __init__(
        self,
        build: StageBuild,
        instruction: Instruction,
        rule: Rule,
        layers: tuple[Draft, str] | None,
        below: Draft,
    ) -> None:
        self._build = build
        self._instruction = instruction
        self._rule = rule
        self._layers = layers
        self._below = below
        self._open = ExitStack()

    def run(self) -> Outcome:
        *sources, last = self._instruction.words
        to = self._build.expand(self._instruction, last)
        target = join(self._build.workdir, to)
        into = to.endswith("/") or to.split("/")[-1] in (".", "..")
        word = last
        with self._open:
            site = self._build.site
            below = self._open.enter_context(site.opened(self._below))
            plan = self._open.enter_context(Copy(below, now=site.now * _NS))
            tree = self._tree()
            try:
                into = into or self._rule.parents or plan.is_directory(target)
                if len(sources) > 1 and not into:
                    raise CopyError(f"{to!r} must end with / to take more than one source")
                place = target.rstrip("/") + "/" if into else target
                bodies = iter(self._instruction.heredocs)
                for word in sources:
                    self._add(plan, tree, word, place, bodies)
                word = last
                return _layer(self._build, plan)
            except (CopyError, NotThere, BadPattern, FetchError, WordError) as error:
                what = f"{self._instruction.name}: {error}"
                raise self._instruction.statement.error(what, word.offset) from None

    def _tree(self) -> Tree:
        site = self._build.site
        if self._layers is not None:
            draft, title = self._layers
            lowerdirs = self._open.enter_context(site.opened(draft))
            return self._open.enter_context(layers_tree(lowerdirs, title))
        return self._open.enter_context(context_tree(site.options.context, site.rules))

    def _add(
        self, plan: Copy, tree: Tree, word: Word, place: str, bodies: Iterator[Heredoc]
    ) -> None:
        instruction, rule = self._instruction, self._rule
        heredoc = _HEREDOC.fullmatch(word.text)
        if heredoc and not instruction.exec and (body := next(bodies, None)) is not None:
            text = body.body
            if body.expands:
                text = expand_document(text, self._build.lookup, instruction.statement.escape)
            plan.data(body.name, text.encode(), place, rule)
            return
        text = self._build.expand(instruction, word)
        if instruction.name == "ADD" and is_url(text):
            self._fetch(plan, text, place)
            return
        found = tree.select(text)
        if len(found) > 1 and not place.endswith("/"):
            raise CopyError(
                f"{place!r} must end with / to take the {len(found)} that {text!r} means"
            )
        for source in found:
            if instruction.name == "ADD" and is_archive(tree, source):
                self._unpack(plan, tree, source, place)
            else:
                plan.add(tree, source, place, rule)

    def _fetch(self, plan: Copy, url: str, place: str) -> None:
        folder = self._staging()
        checksum = self._instruction.flag("checksum")
        value = self._build.expand(self._instruction, checksum) if checksum else ""
        name = fetch(url, value, folder)
        tree = self._open.enter_context(layers_tree([folder], "what was fetched"))
        plan.add(tree, Source((name,), (name,)), place, self._rule)

    def _unpack(self, plan: Copy, tree: Tree, source: Source, place: str) -> None:
        folder = self._staging()
        try:
            unpack(tree, source, folder)
        except ImageError as error:
            raise CopyError(f"{os.fsdecode(b'/'.join(source.named))}: {error}") from None
        inside = self._open.enter_context(layers_tree([folder], "the archive"))
        plan.add(inside, Source((), ()), place.rstrip("/") + "/", self._rule)

    def _staging(self) -> Path:
        return self._open.enter_context(staging(self._build.site.store.root / "tmp"))
