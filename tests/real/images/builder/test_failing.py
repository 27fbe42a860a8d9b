"""Builds that fail say where and why, and leave nothing: not even when they are killed."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from engine.builder.build import build
from engine.builder.events import Event, Said
from engine.builder.running import CommandFailed
from engine.builder.site import Options
from engine.builder.workshop import sweep
from engine.images.containerfile.problem import ContainerfileError
from engine.images.errors import ImageError, ImageNotFound
from engine.images.types import Platform
from tests.real.images.builder.conftest import HOST, Log, Shop


def test_a_command_that_fails_says_its_code_and_its_last_lines(shop: Shop) -> None:
    text = (
        f"FROM {HOST}\nCOPY f /\nRUN for n in $(seq 30); do echo line $n; done; \\\n  exit 7\nRUN y"
    )
    names = shop.store.references()
    with pytest.raises(CommandFailed) as caught:
        shop.build(text, {"f": ""}, tags=("t/failed:1",))
    error = caught.value
    assert (error.code, error.place.line, error.place.column) == (7, 3, 1)
    said = str(error)
    assert said.startswith("Containerfile:3:1: RUN for n in $(seq 30)")
    assert "ended with exit code 7" in said
    assert said.endswith("  | line 30")
    assert "| line 11\n" in said
    assert "| line 10\n" not in said
    assert shop.store.references() == names
    assert shop.left() == []


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        (f"FROM {HOST}\nRUN --security=insecure x", 2, 16, "never has more rights than a pod"),
        (f"FROM {HOST}\nRUN --network=container:x x", 2, 15, "default, none or host"),
        (f"FROM {HOST}\nRUN --mount=type=ssh x", 2, 13, "type 'ssh' is not supported"),
        (f"FROM {HOST}\nRUN --mount=type=cache,targt=/x x", 2, 24, "did you mean target"),
        (f"FROM {HOST}\nRUN --mount=type=cache x", 2, 13, "needs a target"),
        (f"FROM {HOST}\nRUN --mount=type=secret,id=k,required x", 2, 13, "give --secret id=k"),
        (f"FROM {HOST}\nRUN --mount=target=/x,source=none x", 2, 13, "'none' is not in the build"),
        (f"FROM {HOST}\nRUN --mount=target=/ x", 2, 13, "nothing can be mounted on /"),
        (f"FROM {HOST}\nRUN --mount=target=/proc/x x", 2, 5, "nothing may be mounted"),
        ("FROM scratch\nRUN x", 2, 5, "scratch is empty"),
        (f"FROM {HOST}\nUSER nobodyknows\nRUN x", 3, 5, "no user 'nobodyknows'"),
        (f'FROM {HOST}\nRUN ["/none"]', 2, 5, "is the command right"),
        (f"FROM {HOST}\nCOPY none /", 2, 6, "'none' is not in the build context"),
        (f"FROM {HOST}\nCOPY no*ne /", 2, 6, "nothing in the build context matches 'no*ne'"),
        (f"FROM {HOST}\nCOPY a b /c", 2, 10, "must end with /"),
        (f"FROM {HOST}\nCOPY a /etc/passwd/x", 2, 6, "/etc/passwd: is a file in the image"),
        (f"FROM {HOST}\nCOPY d /etc/passwd", 2, 6, "/etc/passwd: is a file in the image"),
        (f"FROM {HOST}\nCOPY a /a/\nCOPY dd/ /a/", 3, 6, "/a/a: is a file, and a directory"),
        (f"FROM {HOST}\nCOPY --chown=who a /", 2, 14, "no user 'who'"),
        (f"FROM {HOST}\nCOPY --chmod=u+x a /", 2, 14, "an octal mode"),
        (f"FROM {HOST}\nADD https://127.0.0.1:1/x /", 2, 5, "only with --checksum"),
        (f"FROM {HOST}\nADD --checksum=sha256:{'0' * 64} http://127.0.0.1:1/x /", 2, 88,
         "cannot be fetched"),
        (f"FROM {HOST}\nADD git@github.com:a/b /", 2, 5, "only http:// and https://"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_has_a_place(
    shop: Shop, text: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(ContainerfileError) as caught:
        shop.build(text, {"a": "", "b": "", "d/x": "", "dd/a/y": ""})
    assert reason in str(caught.value)
    place = caught.value.place
    assert (place.line, place.column) == (line, column)
    assert shop.left() == []


def test_images_that_cannot_be_begun_with(shop: Shop) -> None:
    with pytest.raises(ImageNotFound, match="no-such"):
        shop.build("FROM no-such:1\nRUN x")
    with pytest.raises(ImageError, match="arm64"):
        shop.build(f"FROM {HOST}\n", platform=Platform(os="linux", architecture="arm64"))
    arm = Platform(os="linux", architecture="arm64")
    image = shop.build("FROM scratch\nCOPY f /", {"f": ""}, platform=arm, tags=("t/arm:1",))
    assert image.architecture == "arm64"
    with pytest.raises(ContainerfileError, match="cannot run arm64"):
        shop.build("FROM t/arm:1\nRUN x", platform=arm)


def test_an_argument_that_nobody_asked_for_is_told(shop: Shop) -> None:
    log = Log()
    shop.build("ARG A\nFROM scratch\nARG B", log=log, arguments={"A": "1", "B": "2", "C": "3"})
    assert log.remarks() == ["--build-arg C: no ARG C in Containerfile"]


def test_a_build_that_is_given_up_ends_its_container(shop: Shop) -> None:
    text = f"FROM {HOST}\nRUN echo started; sleep 1000\n"
    options = Options(containerfile=text.encode(), name="C", context=shop.context({}))

    async def give_up() -> None:
        started = asyncio.Event()

        def watch(event: Event) -> None:
            if isinstance(event, Said):
                started.set()

        task = asyncio.create_task(build(shop.store, shop.home, options, watch))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(give_up())
    assert shop.left() == []


def test_one_stage_that_fails_ends_the_others(shop: Shop) -> None:
    text = (
        f"FROM {HOST} AS slow\nRUN sleep 1000\nFROM {HOST} AS bad\nRUN exit 3\n"
        "FROM scratch\nCOPY --from=slow /x /\nCOPY --from=bad /x /\n"
    )
    with pytest.raises(CommandFailed, match="exit code 3"):
        shop.build(text)
    assert shop.left() == []


def test_what_a_killed_build_left_is_swept_by_the_next(shop: Shop) -> None:
    folder = shop.context({"Containerfile": f"FROM {HOST}\nRUN echo started; sleep 1000\n"})
    command = [sys.executable, "-m", "podarium", "build", str(folder)]
    env = {**os.environ, "PODARIUM_HOME": str(shop.home)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("| started\n"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert shop.left() != []
    # A build that lives is left alone.
    inside: list[bool] = []
    _during(shop, lambda: inside.append(bool(shop.left())))
    assert inside == [True]
    sweep(shop.home)
    assert [path for path in shop.left() if "/builds/" in path] == []
    shop.build(f"FROM {HOST}\nRUN true")
    other = type(shop.store)(shop.store.root)  # a store that is opened sweeps its own
    other.close()
    assert shop.left() == []


def _during(shop: Shop, look: Callable[[], object]) -> None:
    """Look while a build's command runs, after somebody else has swept."""

    def watch(event: Event) -> None:
        if isinstance(event, Said):
            sweep(shop.home)
            look()

    text = f"FROM {HOST}\nRUN echo here; exec true\n".encode()
    options = Options(containerfile=text, name="C", context=shop.context({}), use_cache=False)
    asyncio.run(build(shop.store, shop.home, options, watch))


class _Served(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_an_address_is_fetched_when_it_is_said_what_it_is(shop: Shop) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/file.txt?x=y"
    right = f"--checksum=sha256:{hashlib.sha256(b'served').hexdigest()}"
    try:
        image = shop.build(f"FROM scratch\nADD {right} {url} /d/\nADD {right} {url} /named\n")
        assert shop.read(image, "/d/file.txt") == shop.read(image, "/named") == b"served"
        for flag, reason in (("", "only with --checksum"), (right[:-1] + "x", "--checksum: digest"),
                             (f"--checksum=sha256:{'0' * 64}", "has digest sha256:")):  # fmt: skip
            with pytest.raises(ContainerfileError, match=reason):
                shop.build(f"FROM scratch\nADD {flag} {url} /\n")
    finally:
        server.shutdown()
        server.server_close()
    assert shop.left() == []
