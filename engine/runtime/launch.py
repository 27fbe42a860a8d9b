"""How an engine comes to a node's keeper, and a keeper to what an earlier one had.

there is none, and never was        one is started
it is of our own program            it is found
it is of another program            it re-executes itself, and keeps everything
it died while we held its pipes     a new one goes on with every container that runs
it died, and nobody held them       its containers are ended; a new one is started
"""

from __future__ import annotations

import asyncio

from engine.home import NodePaths
from engine.runtime import keepers, program, wire
from engine.runtime.errors import KeeperLost, KeeperNotStarted, RuntimeFailure
from engine.runtime.held import Holding
from engine.runtime.runtime import Beginning, Origin, Runtime

TRIES = 3
"""How often a keeper may die of what it is to go on with."""


async def launch(paths: NodePaths, node: str, after: Runtime | None) -> Runtime:
    """Runtime.launch(), which see."""
    runtime = await Runtime.attach(paths)
    if runtime is not None:
        runtime = await _made_ours(paths, node, runtime)
    elif after is not None and after.held.tries < TRIES:
        runtime = await _adopted(paths, node, after)
    else:
        runtime = await _started(paths, node, after)
    try:
        await runtime.hold()
    except BaseException:
        runtime.close()
        raise
    if after is not None:
        after.close()
    return runtime


async def _started(paths: NodePaths, node: str, after: Runtime | None) -> Runtime:
    ended = await asyncio.to_thread(keepers.clean_dead_keeper, paths)
    await keepers.start(paths, node)
    runtime = await _connected(paths, node)
    why = "no engine held its containers" if after is None else f"{TRIES} others after it"
    text = f"the node's keeper had died, and {why}: their {ended} processes were ended"
    runtime.beginning = Beginning(Origin.REPLACED, text) if ended else Beginning(Origin.STARTED)
    return runtime


async def _connected(paths: NodePaths, node: str) -> Runtime:
    runtime = await Runtime.attach(paths)
    if runtime is None:
        raise KeeperNotStarted(f"node {node}: its keeper ended at once; see {paths.keeper_log}")
    return runtime


async def _adopted(paths: NodePaths, node: str, after: Runtime) -> Runtime:
    """A new keeper, in the network and among the mounts of the old one, with all that was held."""
    after.held.tries += 1
    await asyncio.to_thread(keepers.end_keeper, paths)
    await keepers.start(paths, node, namespaces=after.namespaces)
    runtime = await _connected(paths, node)
    try:
        lost = await _give(runtime, list(after.held))
        running = sum(state.running for state in await runtime.containers())
    except BaseException:
        runtime.close()
        raise
    text = f"a new keeper goes on with {running} running containers"
    text += f"; lost: {'; '.join(lost)}" if lost else "; nothing is lost"
    runtime.beginning = Beginning(Origin.ADOPTED, text)
    return runtime


async def _give(runtime: Runtime, held: list[Holding]) -> list[str]:
    """Gives what is lost, told for a person. Raise KeeperLost."""
    answers = await asyncio.gather(*map(runtime.adopt, held), return_exceptions=True)
    lost = []
    for each, answer in zip(held, answers, strict=True):
        if isinstance(answer, KeeperLost):
            raise answer
        if isinstance(answer, BaseException):
            lost.append(f"{each.kind} {each.id}: {answer}")
        elif each.kind == "exec":
            lost.append(f"the process {each.facts['pid']}, executed for a client")
    if others := await runtime.settle():
        lost.append(f"{others} containers whose start was not over")
    return lost


async def _made_ours(paths: NodePaths, node: str, runtime: Runtime) -> Runtime:
    """A keeper that lives, of our own program or about to be."""
    version, digest = runtime.version, runtime.digest
    if (version, digest) == (wire.VERSION, program.digest()):
        return runtime
    try:
        if version == wire.VERSION:
            # Should the new program die at once.
            await runtime.hold()
        await runtime.become(program.interpreter(), program.words(paths, node))
    except KeeperLost:
        if version != wire.VERSION:
            raise
        adopted = await _adopted(paths, node, runtime)
        runtime.close()
        return adopted
    except (OSError, RuntimeFailure) as error:
        if version != wire.VERSION:
            runtime.close()
            raise RuntimeFailure(
                f"node {node}: its keeper is of another version of Podarium ({version}, not"
                f" {wire.VERSION}) and does not become one of this version: {error}; take the"
                " cluster down and up again"
            ) from error
        text = f"the keeper goes on as the program it is, since it cannot be this one: {error}"
        runtime.beginning = Beginning(Origin.FOUND, text)
    except BaseException:
        runtime.close()
        raise
    else:
        text = f"the keeper, pid {runtime.keeper_pid}, became this engine's program in place"
        runtime.beginning = Beginning(Origin.RE_EXECUTED, text)
    return runtime
