"""What a pull or a push needs of the world, in one place, and the repositories behind a name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.images.hostimage import REFERENCE
from engine.images.reference import Reference
from engine.images.registry import progress
from engine.images.registry.client import Repository
from engine.images.registry.credentials import Credential, Keychain
from engine.images.registry.errors import Cancelled, LocalOnly, RegistryError
from engine.images.registry.http import Http
from engine.images.registry.network import Network
from engine.images.registry.stop import Stop
from engine.images.registry.wire import Clock, Patience

_LOCAL = Reference.parse(REFERENCE).name
_T = TypeVar("_T")


@dataclass(frozen=True)
class Session:
    """Settings, credentials, the end that may be asked for, and who looks on."""

    network: Network
    keychain: Keychain
    stop: Stop = field(default_factory=Stop)
    watch: progress.Watch = progress.unwatched
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)

    @classmethod
    def of(
        cls,
        home: Path,
        environment: Mapping[str, str],
        *,
        secrets: Sequence[tuple[str, bytes]] = (),
        stop: Stop | None = None,
        watch: progress.Watch = progress.unwatched,
    ) -> "Session":
        """By the home's registries.toml and the environment. Raise BadSettings."""
        keychain = Keychain.of(environment, secrets)
        return cls(Network.read(home), keychain, stop or Stop(), watch)

    @contextmanager
    def http(self) -> Iterator[Http]:
        """Connections that end with the block, and all of them when one of its parts fails."""

        def retrying(why: str, seconds: float) -> None:
            self.watch(progress.Retrying(why, seconds))

        with self.stop.child() as stop:
            http = Http(
                self.network, stop, clock=self.clock, patience=self.patience, retrying=retrying
            )
            try:
                yield http
            finally:
                http.close()


def refuse_local(reference: Reference) -> None:
    """Raise LocalOnly for the image that is made from this machine's files."""
    if reference.name == _LOCAL:
        raise LocalOnly(
            f"{reference.familiar}: is made from this machine's own files when a cluster starts;"
            " no registry has it, and none is given it"
        )


class Sources:
    """Where an image may come from: mirrors, then the registry, each with every credential."""

    def __init__(self, session: Session, http: Http, reference: Reference) -> None:
        self._repositories: list[Repository] = []
        for endpoint in session.network.endpoints(reference.host):
            known: list[Credential | None] = []
            known += session.keychain.candidates(endpoint.host, reference.path)
            self._repositories += [
                Repository(http, endpoint, reference.path, credential)
                for credential in known or [None]
            ]

    def first(self, ask: Callable[[Repository], _T]) -> _T:
        """The first answer that is one. The place it came from is asked first from then on.

        Raise what the last place said.
        """
        *others, last = list(self._repositories)
        for repository in others:
            try:
                found = ask(repository)
            except Cancelled:
                raise
            except RegistryError:
                continue
            rest = [each for each in self._repositories if each is not repository]
            self._repositories = [repository, *rest]
            return found
        return ask(last)
