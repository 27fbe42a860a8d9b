"""What containers say, and what people call things, is text: it steers no terminal.

kubectl's rule for a pipe: every byte as it was. A terminal is given colours and letters only.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podarium import objects
from podarium.output import tame
from tests.real.cluster.conftest import BIN, Shell
from tui.render.spans import width_of
from tui.render.text import inert, log_line

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "link": "\x1b]8;;file:///etc/shadow\x1b\\here\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "up": "\x1b[3A\x1b[K",
    "screen": "\x1b[?1049h",
    "paste": "\x1b[?2004l\x1b[201~",
    "answer": "\x1b[c\x1b[6n\x05",
    "reset": "\x1bc",
    "device": '\x1bP$q"p\x1b\\',
    "application": "\x1b_G\x1b\\\x1b^x\x1b\\",
    "charset": "\x1b(0\x0e",
    "eight bits": "\x9b2J\x9d0;owned\x9c",
    "unended": "\x1b]0;never ended",
    "overwrite": "secret\rpublic\x08\x08\x7f",
    "backwards": "user\u202etxt.exe\u2066\u2069",
    "unseen": "a\u200bb\u2060c\ufeffd\U000e0041e\u180ef",
    "lines": "one\ntwo\x0b\x0c\u2028\u2029\x85three",
    "markup": "[bold red]x[/] [@click=app.quit]y[/]",
    "broken": "\udcff\ud800",
    "nothing": "\0",
}
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# Not in one line, or not in a manifest.
LEFT_OUT = ("lines", "broken", "unseen")
SEEN = ("L", "M", "N", "P", "S", "Zs", "Co", "Cn")


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_dashboard_shows_it_as_text(kind: str) -> None:
    text = HOSTILE[kind]
    logged = "".join(piece for piece, _ in log_line(text))
    for shown in (inert(text), logged):
        assert all(unicodedata.category(letter).startswith(SEEN) for letter in shown), shown
    # What is not an escape sequence keeps its place: one cell for each thing that had none.
    assert width_of(((inert(text), "text"),)) >= len(text)
    assert inert("[bold]x[/]") == "[bold]x[/]"


@given(st.text(st.characters(), max_size=60))
def test_whatever_it_is(text: str) -> None:
    assert all(unicodedata.category(letter).startswith((*SEEN, "Cf")) for letter in inert(text))
    assert not STEERING.search(COLOUR.sub("", tame(text)))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_terminal_gets_it_as_text(kind: str) -> None:
    assert not STEERING.search(COLOUR.sub("", tame(HOSTILE[kind])))


def test_colours_stay_and_end_with_their_line() -> None:
    assert tame("\x1b[1;31mred\x1b[0m\tplain") == "\x1b[1;31mred\x1b[0m\tplain\x1b[0m"
    assert tame("plain\ttext") == "plain\ttext"


def test_a_table_shows_it_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"cells": [text], "object": {"metadata": {}}} for text in HOSTILE.values()]
    table = {"columnDefinitions": [{"name": "Message"}], "rows": rows}
    objects._print_table([table], wide=False, namespaces=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(HOSTILE)
    assert not any(map(STEERING.search, lines))


def on_terminal(shell: Shell, *words: str) -> bytes:
    """What `podarium WORDS` writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [str(BIN / "podarium"), words[0], "--cluster", shell.paths.name, *words[1:]]
    with subprocess.Popen(command, env=shell.env, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        try:
            while data := os.read(ours, 65536):
                text += data
        except OSError:
            pass  # EIO: the other end is closed
    os.close(ours)
    assert process.returncode == 0, text
    return text


@pytest.mark.xdist_group("doors")
def test_from_a_container_to_a_terminal_and_to_a_pipe(cluster: Shell, tmp_path: Path) -> None:
    hostile = "".join(text for kind, text in HOSTILE.items() if kind not in LEFT_OUT)
    said = hostile.replace("\n", "")
    script = f"import sys; sys.stdout.buffer.write({said.encode()!r} + b'\\n'); sys.exit({said!r})"
    container = {
        "name": "main",
        "image": "podarium/host:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", script],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loud", "annotations": {"said": said}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    (tmp_path / "pod.json").write_text(json.dumps(manifest))
    cluster.podarium("apply", "-f", str(tmp_path / "pod.json"))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/loud", "--timeout=60s")
    command = [str(BIN / "podarium"), "logs", "--cluster", cluster.paths.name, "loud"]
    piped = subprocess.run(command, env=cluster.env, capture_output=True, check=True).stdout
    assert piped.startswith(said.encode() + b"\n")
    for words in (
        ("logs", "loud"),
        ("get", "pods"),
        ("get", "events"),
        ("get", "pods", "-o", "yaml"),
    ):
        shown = on_terminal(cluster, *words).decode().replace("\r\n", "\n")
        assert "loud" in shown or "owned" in shown
        assert not STEERING.search(COLOUR.sub("", shown)), shown
