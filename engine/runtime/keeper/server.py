"""The keeper: whoever is connected, and what they ask, answered one at a time.

Engines come and go; what they started stays. Every connection is first told of each container that
has ended and has not been removed, so that an exit is never missed. Keepers go too: what another
one needs is handed to it over an exec (succession.py), or by engines that hold it (holders.py).
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct

from engine.linux.doorstep import Doorstep
from engine.runtime import wire
from engine.runtime.keeper.client import Client, Request
from engine.runtime.keeper.estate import Estate
from engine.runtime.keeper.exits import Exits
from engine.runtime.keeper.loop import Loop
from engine.runtime.keeper.process import StartFailure
from engine.runtime.keeper.start import Ground
from engine.runtime.keeper.succession import Bequest, Program, Succession, taken
from engine.runtime.keeper.verbs import LATER, VERBS, Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from engine.runtime.cgroup.api import Hierarchy


class Keeper:
    """One node's."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        cgroup: bytes,
        exits: Exits,
        digest: str,
        open_files: tuple[int, int] | None = None,
    ) -> None:
        """`cgroup`: the node's; `digest` tells this program from others; `open_files`: what a
        container gets of them, when it is not what we were given."""
        # Each container costs us three descriptors; what it gets itself is what we were given.
        self._open_files = open_files or resource.getrlimit(resource.RLIMIT_NOFILE)
        most = self._open_files[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._loop = Loop()
        self._clients: set[Client] = set()
        self._digest = digest
        self._mounts = os.open(b"/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        ground = Ground(self._loop, hierarchy, self._open_files, Doorstep())
        self._estate = Estate(ground, cgroup, exits, self._tell_exit)
        self._verbs = Verbs(ground, cgroup, self._estate)
        self._listener: socket.socket | None = None
        self._succeeding = False

    def serve(self, listener: socket.socket) -> None:
        """Until shutdown."""
        listener.setblocking(False)
        self._listener = listener
        self._listen(True)
        self._loop.run()

    def _listen(self, listening: bool) -> None:
        """Whether to take connections and requests; those that come meanwhile wait."""
        assert self._listener is not None
        self._loop.add(self._listener.fileno(), self._accept, readable=listening)
        for client in list(self._clients):
            client.listen(listening)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            # Gone again, or we have no descriptor left: there is nobody to tell.
            return
        size = struct.calcsize("=iII")
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, uid, _ = struct.unpack("=iII", credentials)
        if uid not in (0, os.geteuid()):
            sock.close()
            return
        client = self._greet(sock)
        for container in self._estate.containers.values():
            if container.state["finished_at"] is not None:
                client.send(0, "exit", container.state)

    def _greet(self, sock: socket.socket) -> Client:
        client = Client(sock, self._loop, self._handle, self._gone)
        self._clients.add(client)
        fds = (self._verbs.home["network"], self._mounts)
        client.send(0, "hello", wire.VERSION, os.getpid(), self._digest, fds=fds)
        return client

    def _tell_exit(self, state: dict[str, Any]) -> None:
        for client in list(self._clients):
            client.send(0, "exit", state)

    def _gone(self, client: Client) -> None:
        """An engine that is new gives its containers new ids."""
        self._clients.discard(client)
        self._estate.holders.discard(client)
        self._verbs.waiting.drop_all(client=client)

    def _asked(self, request: Request) -> object:
        if request.verb == "re-exec":
            return self._re_exec(request, *request.arguments)
        return VERBS[request.verb](self._verbs, request, *request.arguments)

    def _handle(self, request: Request) -> None:
        try:
            result = self._asked(request)
        except StartFailure as failure:
            request.fail("start", *failure.args)
        except OSError as error:
            name = error.filename
            about = os.fsdecode(name) if isinstance(name, bytes) else str(name or "")
            request.fail("os", error.errno or 0, error.strerror or str(error), about)
        except Exception as error:  # noqa: BLE001 - a keeper that ends takes its node with it
            request.fail("bug", repr(error))
        else:
            if result is not LATER:
                request.reply(result)

    def recall(self) -> None:
        """What an earlier keeper of the node has noted."""
        self._estate.recall()

    def _re_exec(self, request: Request, interpreter: str, words: tuple[str, ...]) -> object:
        """Become another program, with everything that we have; it is the one that answers."""
        if self._succeeding:
            raise OSError(errno.EALREADY, "it is becoming another program", "keeper")

        def failed(error: OSError) -> None:
            self._succeeding = False
            request.fail("os", error.errno or 0, error.strerror or str(error), str(error.filename))

        def bequeath(bequest: Bequest) -> dict[str, Any]:
            self._verbs.waiting.drop_all()
            return self._bequeath(bequest, request)

        Succession(
            Program(interpreter, words),
            self._loop,
            starting=lambda: self._estate.starting,
            listen=self._listen,
            bequeath=bequeath,
            failed=failed,
        )
        self._succeeding = True
        return LATER

    def _bequeath(self, bequest: Bequest, request: Request) -> dict[str, Any]:
        assert self._listener is not None
        clients = []
        for client in self._clients:
            unsent = client.unsent()
            bequest.give(client.fileno(), *(fd for _, fds in unsent for fd in fds))
            clients.append(
                {
                    "socket": client.fileno(),
                    "holds": client in self._estate.holders,
                    "execs": [exec.id for exec in client.execs.values()],
                    "unsent": unsent,
                    "asks": request.number if client is request.client else 0,
                }
            )
        bequest.give(self._listener.fileno())
        return {
            "open_files": self._open_files,
            "listener": self._listener.fileno(),
            "estate": self._estate.bequeath(bequest),
            "clients": clients,
        }

    def inherit(self, facts: dict[str, Any]) -> None:
        """From the program that we were."""
        self._estate.inherit(facts["estate"])
        for known in facts["clients"]:
            client = self._greet(socket.socket(fileno=taken(known["socket"])))
            client.resend([(data, [taken(fd) for fd in fds]) for data, fds in known["unsent"]])
            if known["holds"]:
                self._estate.holders.add(client)
            for id in known["execs"]:
                exec = self._estate.execs[id]
                exec.client, client.execs[exec.number] = client, exec
            if known["asks"]:
                client.send(known["asks"], True, None)
