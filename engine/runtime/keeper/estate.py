"""All that a keeper has: sandboxes, containers and execs; and how another keeper comes to have it.

Over an exec (succession.py) everything goes, as facts with descriptors' numbers in them. From
engines that held it (holders.py) come the containers that still run, and their sandboxes; what was
being started or executed when a keeper died is ended.
"""

from __future__ import annotations

import os

from engine.runtime.keeper import holders
from engine.runtime.keeper.container import Container
from engine.runtime.keeper.exits import Exits
from engine.runtime.keeper.holders import Holders
from engine.runtime.keeper.process import Process
from engine.runtime.keeper.sandbox import Sandbox
from engine.runtime.keeper.succession import Bequest, taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.runtime.keeper.client import Client
    from engine.runtime.keeper.start import Ground


class Exec:
    """One that a client began by its request of that number; `id` is what holders know it by."""

    __slots__ = ("client", "container", "id", "number", "process")

    def __init__(self, id: str, container: str, client: Client | None, number: int) -> None:
        self.id = id
        self.container = container
        self.client = client
        self.number = number
        self.process: Process | None = None

    @property
    def running(self) -> Process:
        assert self.process is not None
        return self.process


class Estate:
    """`exits` and `holders` are told of everything that comes and goes."""

    def __init__(
        self,
        ground: Ground,
        cgroup: bytes,
        exits: Exits,
        on_exit: Callable[[dict[str, Any]], None],
    ) -> None:
        """`cgroup`: the node's; `on_exit` is given the last state of each container."""
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}
        self.holders = Holders()
        self.exits = exits
        self._ground = ground
        self._cgroup = cgroup
        self._on_exit = on_exit
        self._serial = 0

    # What comes and goes

    def add_sandbox(self, sandbox: Sandbox) -> None:
        state = sandbox.state()
        self.sandboxes[state["id"]] = sandbox
        self.holders.keep("sandbox", state["id"], state, sandbox.namespaces)

    def remove_sandbox(self, id: str) -> None:
        self.sandboxes.pop(id).close()
        self.holders.let_go("sandbox", id)

    def started(self, container: Container) -> None:
        """To be called before anybody is told of it: what is known to run is held."""
        self.holders.keep("container", container.id, container.kept(), container.descriptors())

    def exited(self, container: Container) -> None:
        self.exits.record(container.state)
        self._on_exit(container.state)

    def remove_container(self, id: str) -> None:
        del self.containers[id]
        self.exits.forget(id)
        self.holders.let_go("container", id)

    def new_exec(self, container: str, client: Client, number: int) -> Exec:
        self._serial += 1
        running = Exec(str(self._serial), container, client, number)
        self.execs[running.id] = client.execs[number] = running
        return running

    def exec_started(self, exec: Exec) -> None:
        process = exec.running
        self.holders.keep("exec", exec.id, {"pid": process.pid}, {"process": process.pidfd})

    def exec_ended(self, exec: Exec, *how: int | None) -> None:
        """`how` is told to whoever began it; without, it never ran."""
        del self.execs[exec.id]
        self.holders.let_go("exec", exec.id)
        if exec.client is not None:
            exec.client.execs.pop(exec.number, None)
            if how:
                exec.client.send(0, "exec-exit", exec.number, *how)

    @property
    def starting(self) -> bool:
        """Whether there is a process that has not reported yet."""
        return any(container.starting for container in self.containers.values()) or any(
            exec.process is None or exec.process.starting for exec in self.execs.values()
        )

    # To engines, and from them

    def send_all(self, client: Client) -> None:
        """Let an engine hold all that there is."""
        self.holders.add(client)
        for id, sandbox in self.sandboxes.items():
            holders.send(client, "sandbox", id, sandbox.state(), sandbox.namespaces)
        for id, container in self.containers.items():
            if not container.starting:
                holders.send(client, "container", id, container.kept(), container.descriptors())
        for id, exec in self.execs.items():
            if not exec.running.starting:
                facts, fds = {"pid": exec.running.pid}, {"process": exec.running.pidfd}
                holders.send(client, "exec", id, facts, fds)

    def recall(self) -> None:
        """The ends that an earlier keeper noted, and that nobody has removed."""
        for state in self.exits.all():
            self.containers[state["id"]] = Container.ended(state, self._ground)

    def adopt(self, kind: str, facts: dict[str, Any], fds: dict[str, int]) -> bool:
        """What an engine held when another keeper died. `fds` become ours. Gives whether it goes
        on."""
        if kind == "sandbox":
            self.sandboxes[facts["id"]] = Sandbox.adopted(facts, fds)
            return True
        if kind == "container":
            return self._adopt_container(facts, fds)
        # Whoever talked with it was told that it is over.
        lost = Process.adopted(self._ground.loop, facts["pid"], fds["process"], self._pids)
        lost.kill_session()
        return False

    def _pids(self) -> list[int]:
        return self._ground.hierarchy.procs(self._cgroup)

    def _adopt_container(self, kept: dict[str, Any], fds: dict[str, int]) -> bool:
        known = self.containers.get(kept["state"]["id"])
        if known is not None:
            # The keeper that died noted its end; what it said last is still in the pipes.
            kept["state"] = known.state
            if "process" in fds:
                os.close(fds.pop("process"))
        return self._take_container(kept, fds).running

    def _take_container(self, kept: dict[str, Any], fds: dict[str, int]) -> Container:
        if fds:
            container = Container.adopted(kept, fds, self._ground, self.exited)
        else:
            container = Container.ended(kept["state"], self._ground)
        self.containers[container.id] = container
        return container

    def settle(self) -> int:
        """After the last adopt(): end whatever else runs in the node's cgroup. Gives how many
        cgroups that were. Raise OSError for one that cannot be removed."""
        ours = {container.cgroup for container in self.containers.values()}
        ours |= {sandbox.pause_cgroup for sandbox in self.sandboxes.values()}
        above = {sandbox.config["cgroup"] for sandbox in self.sandboxes.values()}
        return self._end_others(self._cgroup, ours, above)

    def _end_others(self, cgroup: bytes, ours: set[bytes], above: set[bytes]) -> int:
        ended = 0
        for name in self._ground.hierarchy.children(cgroup):
            path = cgroup + b"/" + name
            if path in ours:
                continue
            if path in above or any(known.startswith(path + b"/") for known in ours | above):
                ended += self._end_others(path, ours, above)
            elif self._ground.hierarchy.procs(path) or cgroup in above:
                # An empty one may be of a pod whose sandbox is being made.
                self._ground.hierarchy.kill(path)
                self._ground.hierarchy.remove(path)
                ended += 1
        return ended

    # Over an exec

    def bequeath(self, bequest: Bequest) -> dict[str, Any]:
        """Everything, with the number of every descriptor."""
        containers = []
        for container in self.containers.values():
            kept = container.kept()
            kept["streams"] |= container.unfinished()
            for _, taps in kept["streams"].get("outputs", {}).values():
                bequest.give(*(fd for fd, _, _ in taps))
            fds = container.descriptors()
            bequest.give(*fds.values())
            containers.append((kept, fds))
        for sandbox in self.sandboxes.values():
            bequest.give(*sandbox.namespaces.values())
        for exec in self.execs.values():
            bequest.give(exec.running.pidfd)
        return {
            "serial": self._serial,
            "sandboxes": [(s.state(), s.namespaces) for s in self.sandboxes.values()],
            "containers": containers,
            "execs": [
                (e.id, e.container, e.number, e.running.pid, e.running.pidfd)
                for e in self.execs.values()
            ],
        }

    def inherit(self, facts: dict[str, Any]) -> None:
        """What bequeath() gave."""
        self._serial = facts["serial"]
        for state, namespaces in facts["sandboxes"]:
            for fd in namespaces.values():
                taken(fd)
            self.sandboxes[state["id"]] = Sandbox.adopted(state, namespaces)
        for kept, fds in facts["containers"]:
            for fd in fds.values():
                taken(fd)
            for _, taps in kept["streams"].get("outputs", {}).values():
                for fd, _, _ in taps:
                    taken(fd)
            self._take_container(kept, fds)
        for id, inside, number, pid, pidfd in facts["execs"]:
            self.execs[id] = exec = Exec(id, inside, None, number)
            known = self.containers.get(inside)
            around = list if known is None else known.pids
            exec.process = Process.adopted(self._ground.loop, pid, taken(pidfd), around)
            exec.process.on_exit = self.exec_end(exec)

    def exec_end(self, exec: Exec) -> Callable[[int | None, int | None], None]:
        """For its process to call."""
        return lambda code, signum: self.exec_ended(exec, code, signum)
