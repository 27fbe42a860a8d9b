"""Describe, YAML, palettes, boot and pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml as pyyaml
from rich.segment import Segment
from rich.style import Style

from engine.types.codec import from_dict
from engine.types.core import Event
from tests.tui import made_up
from tui.model.boot import Boot
from tui.model.insight import cause
from tui.pages.boot import boot_page
from tui.recording.svg import to_svg
from tui.render import cells, describe, yaml
from tui.render.spans import plain
from tui.themes.palette import CONTRAST, DARK, LIGHT, PALETTES

POD = made_up.pods()[6]


def test_yaml_reads_back_as_the_object() -> None:
    text = yaml.to_text(POD | {"metadata": POD["metadata"] | {"managedFields": [{"x": 1}]}})
    assert pyyaml.safe_load(text) == POD
    assert text.startswith("apiVersion: v1\nkind: Pod\nmetadata:")


def test_yaml_is_coloured_and_complete() -> None:
    block = yaml.yaml_page(POD)
    assert plain(block) + "\n" == yaml.to_text(POD)
    roles = {role for row in block for _, role in row}
    assert {"accent", "text", "warn"} <= roles


def test_describe_has_facts_conditions_and_events() -> None:
    events = [from_dict(Event, event) for event in made_up.events()[:2]]
    text = plain(describe.describe(POD, events, made_up.NOW, 120))
    for wanted in (
        "Name:             leak-84b6c9d7f-p5jlm",
        "Labels:           app=leak",
        "Exit Code:",
        "OOMKilled",
        "Conditions:",
        "ContainersReady",
        "Back-off restarting failed container leak (×7)",
        "(9s ago)",
    ):
        assert wanted in text


def test_describe_makes_everything_inert() -> None:
    evil = {"kind": "Pod", "metadata": {"name": "a\x1b[2J", "labels": {"\x07": "\u202e"}}}
    text = plain(describe.describe(evil, [], made_up.NOW, 80))
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)


@pytest.mark.parametrize(
    ("name", "words"),
    [("restartPolicy", "Restart Policy"), ("podIP", "Pod IP"), ("hostIPC", "Host IPC")],
)
def test_field_names_become_words(name: str, words: str) -> None:
    assert describe.heading(name) == words


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("Running", "ok"),
        ("CrashLoopBackOff", "bad"),
        ("Init:0/1", "busy"),
        ("Init:CrashLoopBackOff", "bad"),
        ("Completed", "done"),
        ("Terminating", "busy"),
        ("ErrImagePull", "bad"),
        ("Pending", "warn"),
    ],
)
def test_what_states_mean(status: str, meaning: str) -> None:
    assert cells.meaning(status) == meaning


def test_states_are_told_by_sign_as_well_as_by_colour() -> None:
    signs = [cells.glyph(meaning) for meaning in ("ok", "warn", "bad", "busy", "done")]
    assert len(set(signs)) == 5


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", sorted({*PALETTES} - {"ansi"}))
@pytest.mark.parametrize(
    "role", ["text", "bright", "dim", "accent", "ok", "warn", "bad", "busy", "key"]
)
def test_words_can_be_read_on_every_ground(name: str, role: str) -> None:
    colours = PALETTES[name].colours
    for ground in ("background", "bar"):
        assert contrast(colours[role], colours[ground]) >= 4.5
    assert contrast(colours[role], colours["cursor"]) >= 3.0


def test_palettes_know_the_same_roles() -> None:
    for palette in (LIGHT, CONTRAST):
        assert palette.table().keys() == DARK.table().keys()


def test_a_role_is_a_style() -> None:
    style = DARK.style("ok bold @cursor")
    assert style.bold
    assert style.bgcolor is not None
    assert style.bgcolor.name == DARK.colours["cursor"]
    with pytest.raises(KeyError, match="nonsense"):
        DARK.style("nonsense")


@pytest.mark.parametrize(
    ("message", "heart"),
    [
        ("0/3 nodes are available: 3 Insufficient memory.", "memory"),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}.",
            "node(s) had untolerated taint {a: b}",
        ),
        ("no words", "no words"),
    ],
)
def test_the_heart_of_the_schedulers_words(message: str, heart: str) -> None:
    assert cause(message) == heart


def test_the_boot_log_is_read_while_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "boot.jsonl"
    boot = Boot(file, t0=10.0)
    assert not boot.read()
    file.write_bytes(b'{"step":"store","t":0.1,"state":"started"}\n{"step":"api"')
    assert boot.read()
    assert list(boot.steps) == ["store"]
    with file.open("ab") as stream:
        stream.write(b',"t":0.2,"state":"failed","detail":"port taken"}\n')
    assert boot.read()
    assert boot.failed == "api: port taken"
    text = plain(boot_page(boot, "demo", 12.0, 80, 24).lines)
    assert "port taken" in text
    assert "store" in text
    assert boot.seconds(12.0) == boot.seconds(99.0) == 2.0


def test_a_picture_is_well_formed_and_keeps_its_text() -> None:
    style = Style.parse("bold #ff0000 on #000000")
    rows = [[Segment("a <b> & c", style)], [Segment("⣿⡇█▌─╭┿●", style), Segment("  ", style)]]
    svg = to_svg(rows, 12, title="t", background="#000000", foreground="#ffffff", bar="#111111")
    tree = ElementTree.fromstring(svg)
    texts = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "a <b> & c" in texts
    assert "●" in texts
    assert not any("⣿" in (text or "") or "█" in (text or "") for text in texts)
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
