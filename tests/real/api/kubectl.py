"""The real kubectl against the real server over TLS, with a home and caches of its own."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.api import tls
from engine.api.gateway import LogOptions
from engine.api.handler import Api
from engine.api.server import Server
from engine.store.store import Store
from engine.types.core import Pod
from engine.types.registry import RESOURCES
from engine.types.stats import Tick

VOLATILE = [resource.key for resource in RESOURCES if not resource.durable]


def program() -> str:
    """The kubectl that the tests were set up with, or else the machine's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    assert found, "no kubectl: run tests/install.sh"
    return found


class Echo:
    """A node that has one log for everyone; what follows it is sent by the test."""

    def __init__(self) -> None:
        self.more: asyncio.Queue[bytes] = asyncio.Queue()

    async def logs(self, pod: Pod, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        lines = [b"%s line %d\n" % (container.encode(), number) for number in range(5)]
        if options.previous:
            lines = [b"the life before\n"]
        yield b"".join(lines[-options.tail :] if options.tail else lines)
        while options.follow:
            line = await self.more.get()
            if not line:
                return
            yield line

    async def anatomy(self, pod: Pod, container: str) -> dict[str, Any]:
        return {}

    async def stats(self, history: int) -> AsyncIterator[Tick]:
        yield Tick()


@dataclass
class Ran:
    """What a kubectl said."""

    code: int
    out: str
    err: str


class Cluster:
    """A server, and kubectl for it."""

    def __init__(self, folder: Path, api: Api, port: int) -> None:
        self.folder = folder
        self.api = api
        self.port = port
        self.node = Echo()
        api.gateway = self.node
        self.environment = {
            "HOME": str(folder / "home"),
            "KUBECONFIG": str(folder / "kubeconfig"),
            "KUBECACHEDIR": str(folder / "cache"),
            "PATH": "/usr/bin:/bin",
        }

    async def start(self, *words: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            program(),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment | environment,
            cwd=self.folder,
        )

    async def run(self, *words: str, stdin: str = "", **environment: str) -> Ran:
        process = await self.start(*words, **environment)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def __call__(self, line: str, stdin: str = "", **environment: str) -> str:
        """The output of a command that must succeed; words are split at spaces."""
        ran = await self.run(*line.split(), stdin=stdin, **environment)
        assert ran.code == 0, f"kubectl {line}: {ran.err}{ran.out}"
        return ran.out

    async def fails(self, line: str, stdin: str = "") -> str:
        """What a command that must fail says of it."""
        ran = await self.run(*line.split(), stdin=stdin)
        assert ran.code != 0, f"kubectl {line}: succeeded: {ran.out}"
        return ran.err

    async def object(self, line: str) -> Any:
        return msgspec.json.decode(await self(f"get {line} -o json"))

    async def table(self, line: str) -> list[list[str]]:
        """Rows of words, the heading first."""
        return [row.split() for row in (await self(line)).splitlines()]


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Everything real but the nodes."""
    (folder / "home").mkdir()
    store = Store.open(folder / "store.sqlite", volatile=VOLATILE)
    api = Api(store, name="test")
    await api.bootstrap()
    server = Server(api)
    context = tls.server_context(folder / "pki")
    port = await server.listen_tls("127.0.0.1", 0, context)
    tls.write_kubeconfig(folder / "kubeconfig", folder / "pki", "test", port)
    try:
        yield Cluster(folder, api, port)
    finally:
        await api.close()
        await server.close()
        await store.close()
