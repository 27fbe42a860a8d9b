"""Ending a container gracefully: preStop hook, the stop signal, the rest of the grace, SIGKILL.

A grace that is shortened on the way (a second, more impatient delete) takes effect at once.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from engine.kubelet.handlers import Handlers
from engine.kubelet.node import LocalNode
from engine.runtime.runtime import KeeperLost, Runtime
from engine.types.containers import Container, LifecycleHandler

# After a preStop hook has used up the grace the process still gets this long to end by itself.
MINIMUM_GRACE_S = 2.0


class Stopping:
    """One container's end. `over` is set by whoever learns that the process has ended."""

    def __init__(
        self, node: LocalNode, container: Container, id: str, pod_ip: str, over: asyncio.Event
    ) -> None:
        self._node = node
        self._container = container
        self._id = id
        self._handlers = Handlers(node, container, id, pod_ip)
        self._over = over
        self._deadline = float("inf")
        self._sooner = asyncio.Event()

    def within(self, grace_s: float) -> None:
        """Be done in `grace_s` seconds from now, unless it is to be done sooner already."""
        deadline = time.monotonic() + grace_s
        if deadline < self._deadline:
            self._deadline = deadline
            self._sooner.set()

    async def run(self, hook_failed: Callable[[str], None], signum: int) -> None:
        """End the container. Return when it was killed or has ended."""
        hook = self._container.lifecycle.pre_stop if self._container.lifecycle else None
        if hook is not None and self._remaining() > 0:
            await self._unless_over(self._hook(hook, hook_failed))
            self._deadline = max(self._deadline, time.monotonic() + MINIMUM_GRACE_S)
        if not self._over.is_set() and self._remaining() > 0:
            await self._ask(lambda runtime: runtime.signal(self._id, signum))
            await self._unless_over(asyncio.Event().wait())
        if not self._over.is_set():
            await self._ask(lambda runtime: runtime.kill(self._id))

    async def _ask(self, question: Callable[[Runtime], Awaitable[None]]) -> None:
        """If the keeper dies, the next one; unless the container has ended with it."""
        while not self._over.is_set():
            runtime = self._node.runtime
            try:
                await question(runtime)
            except KeeperLost:
                await self._node.another_than(runtime)
            else:
                return

    async def _hook(self, hook: LifecycleHandler, failed: Callable[[str], None]) -> None:
        outcome = await run_hook(self._handlers, hook, self._remaining())
        if outcome:
            failed(outcome)

    async def _unless_over(self, work: Awaitable[object]) -> None:
        """Wait for `work`, the container's end, or the deadline, whichever is first."""
        task, over = asyncio.ensure_future(work), asyncio.ensure_future(self._over.wait())
        try:
            while not (task.done() or over.done()) and self._remaining() > 0:
                self._sooner.clear()
                sooner = asyncio.ensure_future(self._sooner.wait())
                await asyncio.wait(
                    {task, over, sooner},
                    timeout=self._remaining(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                sooner.cancel()
        finally:
            over.cancel()
            task.cancel()
            await asyncio.gather(task, over, return_exceptions=True)

    def _remaining(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


async def run_hook(handlers: Handlers, hook: LifecycleHandler, timeout_s: float) -> str:
    """Run a lifecycle hook; what went wrong, or nothing."""
    if hook.sleep:
        await asyncio.sleep(hook.sleep.seconds)
        return ""
    try:
        if hook.exec:
            outcome = await handlers.exec(hook.exec, timeout_s)
        elif hook.http_get:
            outcome = await handlers.http(hook.http_get, timeout_s)
        else:
            return "the hook names no action that is supported: exec, httpGet, sleep"
    except KeeperLost as error:
        return str(error)
    return "" if outcome.ok else outcome.message


def stop_signal(container: Container, image_signal: str) -> int:
    """The signal that asks the container to end: its own, its image's, or SIGTERM."""
    name = (container.lifecycle.stop_signal if container.lifecycle else None) or image_signal
    if not name:
        return signal.SIGTERM
    if name.isdecimal():
        return int(name)
    full = name if name.startswith("SIG") else f"SIG{name}"
    return getattr(signal.Signals, full, signal.SIGTERM)
