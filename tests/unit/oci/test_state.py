"""States of containers, checked against real processes, and what commands say of themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.linux.process import start_time
from engine.linux.signals import signal_number
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci import changing, state, telling
from engine.runtime.oci.document import ConfigError
from engine.runtime.oci.features import features
from engine.runtime.oci.jsontext import compose, parse
from engine.runtime.oci.state import StateError
from podarium.oci.life import COMMANDS
from podarium.oci.main import GLOBAL
from podarium.oci.options import Given, UsageError
from podarium.oci.telling import COMMANDS as TELLING


class Freezer:
    """As much of a hierarchy as a status needs."""

    def __init__(self, frozen: bool) -> None:
        self.frozen = frozen

    def is_frozen(self, path: bytes) -> bool:
        return self.frozen


def freezer(frozen: bool = False) -> Hierarchy:
    found: Any = Freezer(frozen)
    made: Hierarchy = found
    return made


def fields(**more: Any) -> dict[str, Any]:
    return {
        "pid": 0,
        "pidStart": 0,
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "cgroup": "c",
        "controllers": [],
        "annotations": {"a": "b"},
        "owner": 0,
        **more,
    }


def test_a_container_goes_through_its_states(tmp_path: Path) -> None:
    container = state.create(str(tmp_path), "c", fields())
    assert container.status(freezer()) == "creating"
    with subprocess.Popen(["sleep", "100"]) as process:
        container.fields |= {"pid": process.pid, "pidStart": start_time(process.pid)}
        Path(container.socket).touch()
        container.save()
        container = state.load(str(tmp_path), "c")
        assert container.status(freezer()) == "created"
        os.unlink(container.socket)
        assert container.status(freezer()) == "running"
        assert container.status(freezer(frozen=True)) == "paused"
        assert container.document("running") == {
            "ociVersion": "1.2.0",
            "id": "c",
            "status": "running",
            "pid": process.pid,
            "bundle": "/b",
            "annotations": {"a": "b"},
        }
        # The same pid, of a process that began at another moment, is another process.
        container.fields["pidStart"] += 1
        assert container.status(freezer()) == "stopped"
        container.fields["pidStart"] -= 1
        process.kill()
    assert container.status(freezer()) == "stopped"
    assert "pid" not in container.document("stopped")
    container.remove()
    assert os.listdir(tmp_path) == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    state.create(str(tmp_path), "c", fields())
    with pytest.raises(StateError, match="container 'c' exists already"):
        state.create(str(tmp_path), "c", fields())
    with pytest.raises(StateError, match="container 'd' does not exist"):
        state.load(str(tmp_path), "d")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "../c"])
def test_what_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError):
        state.create(str(tmp_path), name, fields())
    with pytest.raises(StateError, match="does not exist"):
        state.load(str(tmp_path), name)


def test_a_lock_keeps_others_out(tmp_path: Path) -> None:
    container = state.create(str(tmp_path), "c", fields())
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+');"
        "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "c" / "lock")]
    with container.locked():
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert subprocess.run(command, check=False).returncode == 0


def test_the_list_is_as_wide_as_it_must_be(tmp_path: Path) -> None:
    state.create(str(tmp_path), "a-long-name", fields())
    (tmp_path / "stray").mkdir()
    rows = telling.rows(str(tmp_path))
    assert [row["id"] for row in rows] == ["a-long-name"]
    head, line = telling.table(rows).splitlines()
    assert re.match(r"ID +PID +STATUS", head)
    assert line.index("creating") == head.index("STATUS")


@pytest.mark.parametrize(
    ("word", "number"),
    [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN+3", 37), ("SIGUSR1", 10)],
)
def test_signals_by_name_and_number(word: str, number: int) -> None:
    assert signal_number(word) == number


@pytest.mark.parametrize("word", ["", "0", "99", "SIGLUCK", "TERM+x"])
def test_what_is_no_signal(word: str) -> None:
    with pytest.raises(ValueError, match="is not one of signal"):
        signal_number(word)


def test_sizes() -> None:
    sizes = [changing.size(text) for text in ("7", "64m", "1G", "2KB", "-1")]
    assert sizes == [7, 64 << 20, 1 << 30, 2048, -1]
    with pytest.raises(ConfigError, match="'much' is not a size"):
        changing.size("much")


def test_the_features_document() -> None:
    found = json.loads(json.dumps(features()))
    assert found["ociVersionMin"] <= found["ociVersionMax"]
    assert {"ro", "rro", "rbind", "rslave", "tmpcopyup"} <= set(found["mountOptions"])
    assert found["mountOptions"] == sorted(set(found["mountOptions"]))
    assert found["hooks"][0] == "prestart"
    linux = found["linux"]
    assert "CAP_CHOWN" in linux["capabilities"]
    assert "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"]
    assert set(linux["namespaces"]) >= {"pid", "network", "mount", "user"}


def given(name: str, *words: str) -> Given:
    found = Given()
    COMMANDS[name].syntax.read(list(words), found)
    return found


def test_the_command_among_the_words() -> None:
    def command(*words: str) -> tuple[str, list[str]]:
        found = Given()
        GLOBAL.read(list(words), found)
        return found.command, found.args

    assert command("--root", "create", "--log-format=json", "state", "create") == (
        "state",
        ["create"],
    )
    assert command("--systemd-cgroup", "run", "-b", "x") == ("run", ["-b", "x"])
    assert command("--help") == ("", [])


def test_options_of_a_command() -> None:
    found = given("exec", "-td", "-e", "A=b", "--env=C=d", "-u7:8", "-g", "9", "c", "ls", "-t")
    assert (found.tty, found.detach, found.user) == (True, True, "7:8")
    assert (found.env, found.additional_gids) == (["A=b", "C=d"], [9])
    assert (found.container, found.args) == ("c", ["ls", "-t"])
    # The terminal's option may be told to be false, as podman has it.
    assert not given("exec", "--tty=false", "--", "c", "ls").tty
    assert given("kill", "c", "9", "--all").signal == "9"
    assert given("kill", "c").signal == ""


# What containerd (go-runc), conmon and podman say.
GLOBAL_WORDS = "--root /r --log /l --log-format json --systemd-cgroup --debug"


@pytest.mark.parametrize(
    "words",
    [
        "create --bundle /b --pid-file /p --console-socket /s --no-new-keyring --preserve-fds 2 c",
        "create --bundle /b --pid-file /p --no-pivot c",
        "run --bundle /b --detach --keep c",
        "start c",
        "exec --console-socket /s --detach --process /p --pid-file /q c",
        "exec --pid-file /p --process /q --detach --preserve-fds 1 c",
        "kill --all c 9",
        "kill c KILL",
        "delete --force c",
        "state c",
        "list --format=json",
        "ps --format json c",
        "events --stats c",
        "events --interval 1s c",
        "update --resources=/f c",
        "update --resources - c",
        "pause c",
        "resume c",
        "features",
        "spec --bundle /b",
    ],
)
def test_what_engines_say_is_taken(words: str) -> None:
    found = Given()
    GLOBAL.read([*GLOBAL_WORDS.split(), *words.split()], found)
    assert (found.root, found.log_format) == ("/r", "json")
    (COMMANDS | TELLING)[found.command].syntax.read(found.args, found)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("run", [], "CONTAINER is missing"),
        ("run", ["a", "b"], "b: one word too many"),
        ("run", ["--luck", "a"], "--luck: no such option"),
        ("run", ["a", "--bundle"], "--bundle: needs DIRECTORY"),
        ("run", ["--preserve-fds", "many", "a"], "--preserve-fds: 'many' is not a number"),
        ("run", ["--detach=maybe", "a"], "--detach: takes no value"),
    ],
)
def test_words_that_a_command_does_not_take(name: str, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        given(name, *words)


def test_json_is_read_and_written_as_pythons_own(tmp_path: Path) -> None:
    document = {"a": [1, 2, {}], "b": None, "c": [True, False], "d": '\u00e9\n"', "e": [], "f": {}}
    assert compose(document) == json.dumps(document)
    assert compose(document, "  ") == json.dumps(document, indent=2)
    assert parse(b" \n" + compose(document, " ").encode() + b"\n") == document
    for wrong in (b"", b"{", b"{} x", b"[1,]", b'{"a": "\n"}', b"\xff"):
        with pytest.raises(ValueError):
            parse(wrong)


def test_commands_import_nothing_heavy() -> None:
    """podman runs `state` and its like several times for each container."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import engine.runtime.oci.starting, engine.runtime.oci.ending\n"
        "import engine.runtime.oci.creation, engine.runtime.oci.execution\n"
        "import podarium.oci.main, podarium.oci.life, podarium.oci.telling\n"
        "print(*sys.modules)"
    )
    root = str(Path(telling.__file__).parents[3])
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, root], check=True, capture_output=True, text=True
    )
    modules = set(ran.stdout.split())
    banned = {"typing", "dataclasses", "msgspec", "click", "asyncio", "threading", "logging"}
    banned |= {"argparse", "enum", "re", "json", "socket", "signal", "functools", "subprocess"}
    assert modules & banned == set()
