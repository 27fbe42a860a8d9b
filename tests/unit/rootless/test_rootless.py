"""What is worked out before a user namespace is entered: which ids, and which way out."""

import os
from pathlib import Path

import pytest

from engine.runtime.rootless import outside
from engine.runtime.rootless.ids import Ids, arguments, parse

SUBUID = """\
# NAME:FIRST:COUNT
alice:100000:65536
bob:165536:65536
1000:300000:10
alice:400000:0
alice:x:1
alice:500000:5
"""


def test_ranges_are_those_of_a_user_by_name_and_by_number() -> None:
    mine = [(100000, 65536), (300000, 10), (500000, 5)]
    assert parse(SUBUID, {"alice", "1000"}) == mine
    assert parse(SUBUID, {"carol", "1001"}) == []
    assert arguments(1000, mine) == [
        *("0", "1000", "1"),
        *("1", "100000", "65536"),
        *("65537", "300000", "10"),
        *("65547", "500000", "5"),
    ]
    assert Ids(mine, [(7, 100)]).count == 101


@pytest.mark.parametrize(
    ("machine", "inside"),
    [
        ("nameserver 192.0.2.1\nsearch example\n", "nameserver 192.0.2.1\nsearch example\n"),
        (
            "nameserver 127.0.0.53\nsearch example\n",
            f"search example\nnameserver {outside.DNS}\n",
        ),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", "nameserver 192.0.2.1\n"),
        ("", f"nameserver {outside.DNS}\n"),
    ],
)
def test_name_servers_on_the_machines_loopback_are_reached_by_another_name(
    machine: str, inside: str
) -> None:
    assert outside.resolver(machine).lstrip("\n") == inside


def tool(folder: Path, name: str) -> None:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)


def test_the_way_out_is_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    names = "nameserver 192.0.2.1\n"
    assert outside.command(7, 3, names) == ([], "neither pasta nor slirp4netns is installed")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("there is no tun device")
    tool(tmp_path, "slirp4netns")
    words, name = outside.command(7, 3, names)
    assert name == "slirp4netns"
    assert {"--disable-host-loopback", "--exit-fd=3"} <= set(words)
    tool(tmp_path, "pasta")
    words, name = outside.command(7, 3, names)
    assert name == "pasta"
    assert "--no-map-gw" in words
    assert words.count("none") == 4
    assert "--dns-forward" not in words
    assert "--dns-forward" in outside.command(7, 3, "nameserver 127.0.0.53\n")[0]
