"""One stage of a build: its instructions, one after the other, upon what it begins with."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from engine.builder.cache import Known
from engine.builder.site import Site
from engine.images.accounts import Accounts
from engine.images.containerfile.instructions import Instruction
from engine.images.containerfile.settings import Settings, environment
from engine.images.containerfile.stages import PROXIES, Stage
from engine.images.containerfile.words import Word
from engine.images.draft import Draft

VERSION = 1
"""Of what keys are made of: another one forgets all that was cached."""


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction being worked at."""

    number: int
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step made, and whether that was known already."""

    known: Known
    cached: bool


class StageBuild:
    """`draft` is what there is so far; `arguments` are the ARGs that count by now."""

    def __init__(self, site: Site, stage: Stage) -> None:
        self.site = site
        self.stage = stage
        self.draft = Draft(platform=site.platform)
        self.arguments: dict[str, str] = {}
        self._accounts: tuple[str, Accounts] | None = None

    # What instructions need

    @property
    def settings(self) -> Settings:
        return self.draft.settings

    @property
    def workdir(self) -> str:
        return self.settings.get("WorkingDir") or "/"

    def lookup(self, name: str) -> str | None:
        """A variable: of the image's environment, else an argument."""
        value = environment(self.settings).get(name)
        return self.arguments.get(name) if value is None else value

    def expand(self, instruction: Instruction, word: Word) -> str:
        return instruction.expand(word, self.lookup)

    def variables(self) -> dict[str, str]:
        """What a command sees: arguments, and over them the image's environment."""
        return {**self.arguments, **environment(self.settings)}

    def proxies(self) -> dict[str, str]:
        """What it sees besides, and what nothing depends on."""
        return {name: self.site.given[name] for name in PROXIES if name in self.site.given}

    async def accounts(self) -> Accounts:
        """Those of the image as it is by now."""
        chain = self.draft.chain
        if self._accounts is None or self._accounts[0] != chain:
            self._accounts = chain, await asyncio.to_thread(self._read_accounts)
        return self._accounts[1]

    async def source(self, instruction: Instruction, word: Word) -> tuple[Draft, str]:
        """What --from means: a stage's or an image's draft, and a title for people."""
        origin = self.site.file.source(self.stage, instruction, word)
        if isinstance(origin, int):
            title = f"stage {self.site.file.stages[origin].title}"
            return await self.site.stage(origin), title
        return await self.site.image(origin, self.draft.platform), f"image {origin}"

    def key(self, *fields: object) -> str:
        """Of a step that depends on these, besides the format of layers and their times."""
        facts = (VERSION, self.site.options.epoch, *fields)
        return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()

    def take(self, step: Step, outcome: Outcome) -> None:
        """Go on from what a step made."""
        self.draft = self.site.layered(self.draft, outcome.known, step.instruction.text)

    def _read_accounts(self) -> Accounts:
        with self.site.opened(self.draft) as lowerdirs:
            return Accounts.of(lowerdirs)
