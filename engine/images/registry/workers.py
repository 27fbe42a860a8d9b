"""A few threads for one pull or push, which fail and end together."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from engine.images.registry.errors import Cancelled
from engine.images.registry.stop import Stop

PARALLEL = 3


def together(calls: Iterable[Callable[[], None]], stop: Stop) -> None:
    """Make all calls, some at a time; the first failure cancels the others, and is raised."""
    with ThreadPoolExecutor(PARALLEL, "blob") as pool:
        tasks = [pool.submit(call) for call in calls]
        try:
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
        except BaseException:  # an interrupt comes to the waiting thread only
            stop.cancel()
            raise
        failed = [error for task in done if (error := task.exception()) is not None]
        if failed:
            stop.cancel()
            raise min(failed, key=lambda error: isinstance(error, Cancelled))
