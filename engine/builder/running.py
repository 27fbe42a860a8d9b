"""RUN: a command in a container on what there is so far; what it changed becomes a layer.

The container is confined as a pod's is, sees a loopback and nothing else of any network unless
`--network=host` gives it the way out that pods have, and is gone with its command. What the layer
holds is read from its read-write layer, never from inside it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from engine.builder.events import Said
from engine.builder.mounts import RunMount, mounts
from engine.builder.output import Output
from engine.builder.shown import Shown
from engine.builder.stage import Outcome, StageBuild, Step
from engine.images.archive import host_platform
from engine.images.containerfile.instructions import Instruction
from engine.images.containerfile.problem import ContainerfileError, Place
from engine.images.containerfile.settings import DEFAULT_SHELL
from engine.images.errors import ImageError
from engine.images.readwrite import mount_points, write_layer
from engine.images.rootfs import Rootfs, create_rootfs, remove_rootfs
from engine.images.types import Digest
from engine.runtime.cgroup.api import Resources
from engine.runtime.plan import PlanError, Target, compile
from engine.runtime.runtime import ContainerConfig, RuntimeFailure
from engine.runtime.spec import DEFAULT_PATH, Mount, Spec, User, default_spec

_PIDS_MAX = 4096
_HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost\n"
_ONLY_HEREDOC = re.compile(r"<<-?['\"]?[A-Za-z_][A-Za-z0-9_.-]*['\"]?")
_SCRIPT = "/dev/run-script"  # /dev is the container's own, in memory: no layer sees it
_LAST_MAX = 2000


class CommandFailed(ContainerfileError):
    """A RUN's command ended with another code than 0. `last` are its last lines."""

    def __init__(self, place: Place, reason: str, code: int, last: list[str]) -> None:
        said = "".join(f"\n  | {line}" for line in last)
        super().__init__(place, reason)
        self.args = (f"{self.args[0]}\n  it said last:{said}" if last else self.args[0],)
        self.code = code


async def run(build: StageBuild, step: Step) -> Outcome:
    """Raise ContainerfileError, CommandFailed when the command fails, BuildError."""
    instruction = step.instruction
    outside = _outside(build, instruction)
    if (security := instruction.flag("security")) and security.text != "sandbox":
        why = f"--security={security.text}: refused: a build never has more rights than a pod"
        instruction.statement.fail(why, security.offset)
    here, wanted = host_platform(), build.draft.platform
    if here.architecture != wanted.architecture:
        instruction.statement.fail(
            f"RUN: this machine is {here.architecture}, and cannot run {wanted.architecture}"
        )
    if not build.draft.layers:
        instruction.statement.fail("RUN: there is nothing to run yet: scratch is empty")
    wishes = mounts(instruction, lambda word: build.expand(instruction, word), build.workdir)
    shown = Shown(build, step, wishes)
    command = await _Command.of(build, instruction)
    key = build.key(
        "RUN", build.draft.chain, command.identity, outside, [m.identity for m in wishes],
        await shown.identity(),
    )  # fmt: skip
    known = await asyncio.to_thread(build.site.known, key)
    if known is not None:
        return Outcome(known, True)
    layer = await _run(build, step, command, wishes, shown, outside=outside)
    return Outcome(await asyncio.to_thread(build.site.keep, key, layer), False)


class _Command:
    """What is executed, as whom, and what it sees: all that a RUN's result depends on."""

    def __init__(self, args: tuple[str, ...], script: str, build: StageBuild) -> None:
        self.args = args
        self.script = script
        self.cwd = build.workdir
        self.named = build.settings.get("User") or ""
        self.variables = build.variables()
        self._proxies = build.proxies()
        self.user = User()
        self.home = "/"

    @classmethod
    async def of(cls, build: StageBuild, instruction: Instruction) -> _Command:
        args, script = _arguments(build, instruction)
        command = cls(args, script, build)
        accounts = await build.accounts()
        name, _, group = command.named.partition(":")
        try:
            uid, gid = accounts.owner(name or "0", group)
        except LookupError as error:
            raise instruction.statement.error(f"USER {command.named}: {error}") from None
        known = accounts.user(name or "0")
        further = accounts.memberships(known[2]) if known else []
        command.user = User(uid=uid, gid=gid, additional_gids=tuple(further))
        command.home = (known[3] if known else "") or "/"
        return command

    @property
    def identity(self) -> tuple[object, ...]:
        return (self.args, self.script, self.cwd, self.named, sorted(self.variables.items()))

    def spec(self, secrets: Mapping[str, str]) -> Spec:
        own = {"PATH": DEFAULT_PATH, "HOME": self.home}
        variables = {**own, **self._proxies, **self.variables, **secrets}
        env = tuple(f"{name}={value}" for name, value in variables.items())
        return default_spec(self.args, env=env, cwd=self.cwd, user=self.user)


def _arguments(build: StageBuild, instruction: Instruction) -> tuple[tuple[str, ...], str]:
    """The words to execute, and the script that they are the name of, if it brings its own #!."""
    shell = tuple(build.settings.get("Shell") or DEFAULT_SHELL)
    if instruction.exec:
        return tuple(word.text for word in instruction.words), ""
    text = instruction.words[0].text if instruction.words else ""
    if not text.strip():
        instruction.statement.fail("RUN: a command is expected")
    bodies = instruction.heredocs
    if len(bodies) == 1 and _ONLY_HEREDOC.fullmatch(text.strip()):
        body = bodies[0].body
        return ((_SCRIPT,), body) if body.startswith("#!") else ((*shell, body), "")
    documents = "".join(f"\n{each.body}{each.name}" for each in bodies)
    return (*shell, text.replace("<<-", "<<") + documents if documents else text), ""


def _outside(build: StageBuild, instruction: Instruction) -> bool:
    word = instruction.flag("network")
    wanted = word.text if word else "default"
    if wanted not in ("default", "none", "host"):
        assert word is not None
        instruction.statement.fail(f"--network={wanted}: default, none or host", word.offset)
    return (build.site.options.network if wanted == "default" else wanted) == "host"


async def _run(
    build: StageBuild,
    step: Step,
    command: _Command,
    wishes: list[RunMount],
    shown: Shown,
    *,
    outside: bool,
) -> Digest | None:
    """Run it; return the layer, None when it changed nothing."""
    shop = await build.site.workshop()
    id = secrets.token_hex(8)
    try:
        sandbox = await shop.sandbox(outside=outside)
        image, store = build.draft.image(), build.site.store
        lowerdirs = await asyncio.to_thread(store.prepare, image, keeper=shop.keeper_pid)
        resolv = await asyncio.to_thread(_resolv_conf) if outside else b""
        async with AsyncExitStack() as stack:
            rootfs = await asyncio.to_thread(_root, lowerdirs, shop.folder(id), resolv)
            stack.push_async_callback(asyncio.to_thread, remove_rootfs, shop.folder(id))
            binds = await stack.enter_async_context(shown.mounts())
            if command.script:
                binds += [_script(rootfs, command.script)]
            spec = command.spec(shown.variables())
            spec = msgspec.structs.replace(spec, mounts=(*spec.mounts, *binds))
            target = Target(
                container_id=id,
                sandbox=sandbox,
                lowerdirs=rootfs.lowerdirs,
                upper=rootfs.upper,
                work=rootfs.work,
                cgroup=shop.cgroup(sandbox, id),
                hierarchy=shop.hierarchy,
                resources=Resources(pids_limit=_PIDS_MAX),
                hosts=rootfs.hosts,
                hostname=rootfs.hostname,
                resolv_conf=rootfs.resolv_conf,
            )
            log = shop.log(id)
            config = ContainerConfig(
                id=id, sandbox=sandbox, plan=compile(spec, target), log_path=log
            )
            output = Output(log, lambda line: build.site.watch(Said(step.number, line)))
            try:
                state = await shop.run(config)
            finally:
                output.finish()
            if state.exit_code:
                raise _failed(step, state.exit_code, state.oom_killed, list(output.last))
            places = [mount.destination for mount in binds]
            return await asyncio.to_thread(_layer, build, rootfs, lowerdirs, places)
    except ContainerfileError:
        raise
    except (RuntimeFailure, PlanError, ImageError, OSError) as error:
        raise step.instruction.statement.error(f"RUN: {error}") from error


def _root(lowerdirs: list[Path], folder: Path, resolv: bytes) -> Rootfs:
    return create_rootfs(lowerdirs, folder, hostname="build", hosts=_HOSTS, resolv=resolv)


def _layer(
    build: StageBuild, rootfs: Rootfs, lowerdirs: list[Path], places: list[str]
) -> Digest | None:
    entries = 0

    def fill(write: Callable[[bytes], object]) -> None:
        nonlocal entries
        stubs, clamp = mount_points(lowerdirs, places), build.site.clamp
        entries = write_layer(rootfs.upper, lowerdirs, write, stubs=stubs, clamp=clamp)

    layer = build.site.store_layer(fill)
    return layer if entries else None


def _script(rootfs: Rootfs, text: str) -> Mount:
    path = rootfs.upper.with_name("script")
    path.write_text(text)
    path.chmod(0o755)
    return Mount(destination=_SCRIPT, type="bind", source=str(path), options=("bind", "ro"))


def _resolv_conf() -> bytes:
    try:
        return Path("/etc/resolv.conf").read_bytes()
    except FileNotFoundError:
        return b""


def _failed(step: Step, code: int, oom_killed: bool, last: list[bytes]) -> CommandFailed:
    statement = step.instruction.statement
    why = "was killed for lack of memory" if oom_killed else f"ended with exit code {code}"
    lines = [line[:_LAST_MAX].decode(errors="replace") for line in last]
    text = step.instruction.text
    what = text if len(text) <= 80 else text[:79] + "…"
    return CommandFailed(statement.head, f"{what}: {why}", code, lines)
