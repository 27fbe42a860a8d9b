"""Commands are declared once; keys, hints and the command line derive from that."""

from __future__ import annotations

import pytest

from tui.commands import line
from tui.commands.all import COMMANDS
from tui.commands.command import Registry, key_sign


def test_no_two_commands_want_a_key_in_the_same_place() -> None:
    assert COMMANDS.clashes() == []


def test_describe_is_never_destructive() -> None:
    for command in COMMANDS.all():
        if "d" in command.keys:
            assert not command.changes


@pytest.mark.parametrize(
    ("place", "key", "id"),
    [
        ("list:deployments", "s", "scale"),
        ("logs", "s", "follow"),
        ("list:pods", "l", "logs"),
        ("list:pods", "p", "logs-previous"),
        ("logs", "p", "previous-life"),
        ("list:pods", "ctrl+d", "delete"),
        ("list:pods", "C", "sort-c"),
        ("describe", "slash", "filter"),
        ("overview", "enter", "enter"),
    ],
)
def test_keys_of_a_place(place: str, key: str, id: str) -> None:
    scopes = {place, place.partition(":")[0]} | ({"text"} if place == "describe" else set())
    found = [command.id for command in COMMANDS.applying(scopes) if key in command.keys]
    assert found[0] == id


def test_nothing_can_be_deleted_where_nothing_is_chosen() -> None:
    for place in ("overview", "logs", "describe", "yaml", "list:nodes", "list:events"):
        assert "delete" not in [command.id for command in COMMANDS.applying({place})]


def test_every_command_can_be_found_in_the_help() -> None:
    for command in COMMANDS.all():
        assert command.title
        assert command.help
        assert command.keys or command.hint == ""


def registry() -> Registry:
    found = Registry()
    found.add("one", "a", title="One", on=("list",))(lambda desk: None)
    found.add("two", "b", title="Two", on=("list",))(lambda desk: None)
    return found


def test_a_keymap_replaces_keys() -> None:
    found = registry()
    assert found.remap({"one": "ctrl+x, f2"}) == []
    assert found["one"].keys == ("ctrl+x", "f2")


def test_a_keymap_is_checked() -> None:
    problems = registry().remap({"three": "x", "one": "b"})
    assert problems == [
        "keymap: there is no command 'three'",
        "key 'b' is wanted by 'one' and by 'two'",
    ]


def test_a_command_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        registry().add("one", title="Again")(lambda desk: None)


@pytest.mark.parametrize(
    ("key", "sign"),
    [("slash", "/"), ("ctrl+d", "^d"), ("enter", "⏎"), ("shift+left", "⇧←"), ("G", "G")],
)
def test_keys_are_written_as_people_write_them(key: str, sign: str) -> None:
    assert key_sign(key) == sign


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("pods", line.Order("list", "pods")),
        ("po kube-system", line.Order("list", "pods", "kube-system")),
        ("deploy /web", line.Order("list", "deployments", None, "web")),
        ("pods app=web", line.Order("list", "pods", None, "-l app=web")),
        ("ns", line.Order("list", "namespaces")),
        ("img all", line.Order("list", "images", "")),
        ("q", line.Order("quit")),
        ("overview", line.Order("overview")),
        ("?", line.Order("help")),
        ("  ", line.Order("nothing")),
        ("bogus", line.Order("nothing", problem="there is no view or kind 'bogus'")),
    ],
)
def test_the_command_line(text: str, order: line.Order) -> None:
    assert line.parse(text) == order


def test_completion() -> None:
    assert line.complete("dep", []) == "deployments"
    assert line.complete("pods ku", ["default", "kube-system"]) == "pods kube-system"
    assert line.complete("zzz", []) is None
    assert line.complete("", []) is None
