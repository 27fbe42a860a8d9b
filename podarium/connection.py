"""From a shell command to the API of a running cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.client.http import HttpTransport
from engine.home import ClusterPaths
from engine.launch import running
from engine.types.status import StatusError
from podarium.failure import Failure, NotRunning

Result = TypeVar("Result")


def ask(paths: ClusterPaths, question: Callable[[Client], Awaitable[Result]]) -> Result:
    """Run one conversation with the API; its refusals become Failure, in the API's own words."""
    if running(paths) is None:
        raise NotRunning(paths.name)

    async def conversation() -> Result:
        async with HttpTransport(unix=paths.api_socket) as transport:
            return await question(Client(transport))

    try:
        return asyncio.run(conversation())
    except StatusError as error:
        reason = f"{error.reason}: " if error.reason else ""
        raise Failure(reason + error.message) from None
    except Unreachable as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("interrupted", 130) from None
