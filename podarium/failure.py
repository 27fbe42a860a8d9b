"""What a failure looks like from the shell: words on stderr, and an exit code to rely on.

0 done · 1 refused or failed · 2 wrong usage · 3 the cluster is not running · 130 interrupted;
`run` gives the container's own code.
"""

from __future__ import annotations


class Failure(Exception):
    """Ends the command with a message; caught in one place, __main__.main."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class NotRunning(Failure):
    """The cluster that was named has no living engine."""

    def __init__(self, cluster: str) -> None:
        option = "" if cluster == "default" else f" --cluster {cluster}"
        super().__init__(f"cluster {cluster} is not running; start it: podarium up{option}", 3)
