"""kill -9 while writing: whatever was acknowledged is there after the next start."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.entry import Key
from engine.store.store import Store

WRITER = """
import asyncio, sys
from pathlib import Path
from engine.store.entry import Key
from engine.store.store import Store

async def writer(store, number):
    step = 0
    while True:
        key = Key("pods", "a", f"{number}-{step % 7}")
        value = f"{number} {step}".encode()
        encode = lambda revision: b"%d " % revision + value
        entry = await (store.update if store.head(key) else store.create)(key, encode)
        event = await store.create(Key("events", "a", f"{number}-{step}"), encode)
        sys.stdout.write(f"{key.name} {entry.revision} {event.revision} {step}\\n")
        sys.stdout.flush()
        step += 1

async def main():
    store = Store.open(Path(sys.argv[1]), volatile={"events"})
    await asyncio.gather(*(writer(store, number) for number in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 50, 400])
def test_an_acknowledged_write_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "store.sqlite"
    root = Path(__file__).parents[3]
    latest: dict[str, tuple[int, bytes]] = {}
    highest = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, 1):
            if count == acknowledged:
                process.send_signal(signal.SIGKILL)
            if not line.endswith(b"\n"):
                break  # the kill cut this line: not acknowledged
            name, revision, event, step = line.decode().split()
            value = f"{revision} {name.split('-')[0]} {step}".encode()
            latest[name] = (int(revision), value)
            highest = max(highest, int(revision), int(event))

    async def check() -> None:
        store = Store.open(path, volatile={"events"})
        for name, (revision, value) in latest.items():
            entry = store.get(Key("pods", "a", name))
            assert entry is not None, f"{name} was acknowledged at {revision} and is lost"
            assert entry.revision >= revision
            if entry.revision == revision:
                assert entry.value == value
        assert store.revision >= highest
        assert store.scan("events") == []
        await store.close()

    assert latest
    asyncio.run(check())
