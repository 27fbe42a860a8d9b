"""Why, and for how long, the containers of one pod wait for their next try.

Two reasons: the last life ended (CrashLoopBackOff), or the last try did not even become a life (an
image, a config map or a sandbox is missing). Each has its own growing back-off.
"""

from collections.abc import Callable
from typing import NamedTuple

from engine.kubelet.backoff import Backoff
from engine.kubelet.node import LocalNode
from engine.kubelet.starter import NotStarted
from engine.kubelet.status import Record
from engine.types.containers import Container
from engine.types.pods import Pod

FIRST_RETRY_S, LAST_RETRY_S = 0.5, 120.0

Say = Callable[[str, str, str, str], None]
"""(container, event type, reason, message)"""


class _Failure(NamedTuple):
    at: float
    reason: str
    message: str


class Waiting:
    def __init__(self, node: LocalNode, uid: str, say: Say) -> None:
        self._node = node
        self._uid = uid
        self._say = say
        self._retries = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        self._failures: dict[str, _Failure] = {}
        self._told: set[tuple[str, float]] = set()

    def remaining(self, pod: Pod, container: Container, record: Record, now: float) -> float:
        """Seconds until the container may be started; its record says what it waits for."""
        wait = self._after_failure(container, record, now)
        return wait or self._after_crash(pod, container, record, now)

    def _after_crash(self, pod: Pod, container: Container, record: Record, now: float) -> float:
        life = record.ended
        if life is None or life.finished_at is None:
            return 0.0
        key = (self._uid, container.name)
        wait = self._node.crashes.remaining(key, life.finished_at, now)
        if wait:
            meta = pod.metadata
            whose = f"pod {meta.name}_{meta.namespace}({meta.uid})"
            delay = duration(self._node.crashes.delay(key))
            text = f"back-off {delay} restarting failed container={container.name}"
            record.waiting = ("CrashLoopBackOff", f"{text} {whose.replace(' ', '=', 1)}")
            self._once(
                container.name,
                life.finished_at,
                f"Back-off restarting failed container {container.name} in {whose}",
            )
        return wait

    def _after_failure(self, container: Container, record: Record, now: float) -> float:
        failure = self._failures.get(container.name)
        if failure is None:
            return 0.0
        key = (container.name, failure.reason)
        wait = self._backoff(failure.reason).remaining((self._uid, *key), failure.at, now)
        if wait and failure.reason == "ErrImagePull":
            text = f'Back-off pulling image "{container.image}"'
            record.waiting = ("ImagePullBackOff", f"{text}: {failure.reason}: {failure.message}")
            self._once(container.name, failure.at, text, "Normal")
        return wait

    def _once(self, name: str, since: float, text: str, type: str = "Warning") -> None:
        if (name, since) not in self._told:
            self._told = {told for told in self._told if told[0] != name} | {(name, since)}
            self._say(name, type, "BackOff", text)

    def begins(self, container: Container, record: Record, now: float) -> None:
        """A try begins."""
        life = record.ended
        if life is not None and life.finished_at is not None:
            self._node.crashes.advance((self._uid, container.name), life.finished_at, now)

    def failed(self, name: str, error: NotStarted, now: float) -> float:
        """A try did not become a life; seconds until the next one."""
        self._failures[name] = _Failure(now, error.reason, str(error))
        key = (self._uid, name, error.reason)
        backoff = self._backoff(error.reason)
        backoff.advance(key, now, now)
        return backoff.remaining(key, now, now)

    def succeeded(self, name: str) -> None:
        self._failures.pop(name, None)

    def look_again(self, prefix: str = "") -> None:
        """Something changed: tries that failed for a reason so named may be repeated at once."""
        for name, failure in list(self._failures.items()):
            if failure.reason.startswith(prefix):
                self._backoff(failure.reason).forget((self._uid, name, failure.reason))
                del self._failures[name]

    def forget(self, names: list[str]) -> None:
        """The pod is gone."""
        self.look_again()
        for name in names:
            self._node.crashes.forget((self._uid, name))

    def _backoff(self, reason: str) -> Backoff:
        return self._node.pulls if reason.startswith("ErrImage") else self._retries


def duration(seconds: float) -> str:
    """As Go prints it: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
