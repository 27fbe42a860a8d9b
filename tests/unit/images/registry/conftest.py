"""A store, a registry, and time that tests rule."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.images.registry.credentials import Keychain
from engine.images.registry.network import Network
from engine.images.registry.progress import Event
from engine.images.registry.pull import Pulled, pull
from engine.images.registry.push import Pushed, push
from engine.images.registry.session import Session
from engine.images.registry.stop import Stop
from engine.images.registry.wire import Clock, Patience
from engine.images.store import ImageStore
from engine.images.types import Platform
from tests.unit.images.registry.fake import FakeRegistry


class FakeClock(Clock):
    """Time goes on by `step` seconds with each look, and by what is waited for at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self.step = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        self.time += self.step
        return self.time

    def wait(self, stop: Stop, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds
        stop.check()


@dataclass
class World:
    """What a test has."""

    store: ImageStore
    registry: FakeRegistry
    other: FakeRegistry
    clock: FakeClock
    session: Session
    events: list[Event] = field(default_factory=list)

    def name(self, tag: str = "1", path: str = "x") -> str:
        colon = "@" if tag.startswith("sha256:") else ":"
        return f"{self.registry.host}/{path}{colon}{tag}"

    def pull(self, tag: str = "1", *, platform: Platform | None = None) -> Pulled:
        return pull(self.store, self.name(tag), self.session, platform=platform)

    def push(self, reference: str, destination: str = "") -> Pushed:
        return push(self.store, reference, self.session, destination=destination)

    def login(self, host: str = "", **auth: str) -> None:
        """Credentials for a host."""
        fields = ", ".join(f'"{name}": "{value}"' for name, value in auth.items())
        text = f'{{"auths": {{"{host or self.registry.host}": {{{fields}}}}}}}'
        self.session = replace(self.session, keychain=Keychain([("test", text.encode())]))

    def blobs(self) -> list[str]:
        return [str(digest) for digest in self.store.blobs.all()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        registry = stack.enter_context(FakeRegistry().running())
        other = stack.enter_context(FakeRegistry().running())
        store = ImageStore(tmp_path / "store")
        stack.callback(store.close)
        events: list[Event] = []
        clock = FakeClock()
        session = Session(
            Network(), Keychain(), watch=events.append, clock=clock, patience=Patience()
        )
        yield World(store, registry, other, clock, session, events)
