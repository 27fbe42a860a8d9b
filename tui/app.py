"""The door to the dashboard: light to import, so that the first paint does not wait for Textual."""

from __future__ import annotations

import time
from pathlib import Path

from . import runtime
from .endpoint import Endpoint


def run_dashboard(
    endpoint: Endpoint,
    *,
    cluster: str,
    boot: Path | None = None,
    t0: float | None = None,
    read_only: bool = False,
) -> str:
    """Show a cluster until the user leaves.

    `boot` is the log of an engine that is being started, `t0` when that began (time.monotonic()).
    With `read_only` nothing in the cluster can be changed from it.
    Answers `keep` (the cluster goes on), `stop` (it is to be stopped), or `detached` (it was not
    ours to stop, or the terminal went away).
    """
    runtime.before_textual()
    from .commands import keymap
    from .commands.all import COMMANDS

    # Before the screens are imported: their bindings are made of the commands then.
    problems = keymap.load(COMMANDS, keymap.place())
    from .themes import user

    problems += user.load(user.place())
    from .application import PodariumApp

    app = PodariumApp(
        endpoint.connection(),
        cluster=cluster,
        boot=boot,
        t0=time.monotonic() if t0 is None else t0,
        owns_engine=endpoint.unix is not None,
        read_only=read_only,
        problems=problems,
    )
    return app.run() or "detached"
