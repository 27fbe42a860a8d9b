"""Ordinary users build images, RUN and all, and leave nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.rootless.people import Person, person

_UID = 64_234

TEXT = """\
FROM podarium/host AS base
WORKDIR /app
COPY f .
RUN --mount=type=cache,target=/c --mount=type=secret,id=s,target=/s \\
    echo $(cat f /s) > made && touch /c/used && rm /etc/os-release && id -u && ls /sys/class/net
RUN --network=host ls /sys/class/net
FROM scratch
COPY --from=base /app/made /
"""


@pytest.fixture(scope="module", params=[True, False], ids=["many-ids", "one-id"])
def builder(request: pytest.FixtureRequest) -> Iterator[Person]:
    uid = _UID + 2 * (os.getpid() % 1000) + request.param
    with person(uid, f"pdm{uid}", subordinate=request.param) as builder:
        yield builder


def context(builder: Person, text: str) -> str:
    folder = builder.home / "ctx"
    folder.mkdir(exist_ok=True)
    (folder / "Containerfile").write_text(text)
    (folder / "f").write_text("file")
    (folder / "secret").write_text("token")
    return str(folder)


def left(builder: Person) -> list[str]:
    builds = builder.paths.home / "builds"
    return [*builder.processes(), *map(str, builds.glob("*/*"))]


def test_a_build_with_commands(builder: Person) -> None:
    folder = context(builder, TEXT)
    words = ("build", "--secret", f"id=s,src={folder}/secret", "-t", "t/mine:1", folder)
    first = builder.does("podarium", *words)
    assert first.startswith("built t/mine:1 (sha256:")
    assert builder.does("podarium", *words) == first
    assert left(builder) == []
    assert builder.does("podarium", "image", "cat", "t/mine:1", "/made") == "filetoken\n"
    archive = str(builder.home / "i.tar")
    builder.does("podarium", "save", "-o", archive, "t/mine:1")
    config = json.loads(builder.does("skopeo", "inspect", "--config", f"docker-archive:{archive}"))
    assert len(config["rootfs"]["diff_ids"]) == 1


def test_a_command_that_fails(builder: Person) -> None:
    folder = context(builder, "FROM podarium/host\nRUN echo why; exit 9\n")
    said = builder.does("podarium", "build", folder, code=1)
    assert "Containerfile:2:1: RUN echo why; exit 9: ended with exit code 9" in said
    assert said.endswith("| why\n")
    assert left(builder) == []


def test_a_base_that_runs_commands_of_its_own(builder: Person) -> None:
    folder = context(builder, "FROM podarium/host\nONBUILD RUN id -u > /id\n")
    builder.does("podarium", "build", "-t", "t/on:1", folder)
    said = builder.does("podarium", "build", context(builder, "FROM t/on:1\n"), code=1)
    assert "the image's ONBUILD runs commands" in said
    builder.does("podarium", "build", context(builder, "FROM t/on:1\nRUN true\n"))
    assert left(builder) == []


def test_what_a_killed_build_left_goes_with_the_next(builder: Person) -> None:
    folder = context(builder, "FROM podarium/host\nRUN echo started; sleep 100000\n")
    command = builder.command("podarium", "build", folder)
    process = subprocess.Popen(command, env=builder.env, stderr=subprocess.PIPE, text=True, cwd="/")
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("| started\n"):
            break
    for pid in [process.pid, *_children(process.pid)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert left(builder) != []
    builder.does("podarium", "build", context(builder, "FROM podarium/host\nRUN true\n"))
    assert left(builder) == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
