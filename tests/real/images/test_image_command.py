"""`podarium image …` as it is typed: words, tables, JSON, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from podarium.cli import cli
from podarium.failure import Failure
from podarium.wasterules import size_of
from tests.real.images.layouts import Layout
from tests.real.images.tars import file, folder, tar, whiteout

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the image store belongs to root")

BASE = tar(
    folder("etc"),
    file("etc/motd", b"hello\n"),
    file("big", b"b" * 60_000),
    file("keep", b"k" * 40_000),
    file("evil\x1b[31m\u202e", b"x"),
)
NEXT = tar(file("etc/motd", b"goodbye\n"), whiteout("big"), file("keep2", b"k" * 40_000))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODARIUM_HOME", str(tmp_path / "home"))
    layout = Layout(tmp_path / "layout")
    layout.image([BASE, NEXT], name="docker.io/library/app:1")
    layout.image([BASE], name="example.com/base:2")
    typed("load", "-i", str(layout.write()))
    return tmp_path / "home"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def typed(*words: str, code: int = 0) -> str:
    """Standard output of a command that ends with a code."""
    done = run(*words)
    failure = done.exception
    found = failure.code if isinstance(failure, Failure) else done.exit_code
    assert found == code, (done.output, failure)
    return done.stdout


def answer(*words: str) -> Any:
    return json.loads(typed("image", *words, "--json"))


def test_the_short_forms_are_the_same_commands(home: Path) -> None:
    assert typed("images") == typed("image", "ls")
    assert typed("image", "ls", "-q").split() == ["app:1", "example.com/base:2"]
    (app, base) = answer("ls")
    assert (app["references"], len(app["layers"])) == (["app:1"], 2)
    assert base["layers"][0]["sharedWith"] == ["app:1"]
    (told,) = json.loads(typed("image", "inspect", "app:1"))
    assert told["digest"] == app["digest"]
    typed("image", "tag", "app:1", "other:3")
    typed("image", "rm", "other:3")
    assert "removed 0 blobs and 0 layers" in typed("image", "prune")


def test_the_store_is_checked_and_cleared(home: Path) -> None:
    assert "every blob and layer is" in typed("image", "check")
    typed("image", "tree", "app:1")
    (app, _) = answer("ls")
    blob = home / "images/blobs/sha256" / app["layers"][1]["digest"].removeprefix("sha256:")
    blob.write_bytes(b"damaged")
    (found,) = json.loads(typed("image", "check", "--json", code=1))["findings"]
    assert found["images"] == ["docker.io/library/app:1"]
    assert "pull again: docker.io/library/app:1" in typed("image", "check", "--repair", code=1)
    assert typed("image", "ls", "-q").split() == ["example.com/base:2"]
    would = typed("image", "prune", "--dry-run")
    assert typed("image", "prune") == would.replace("would remove", "removed").replace(
        ")", " freed)"
    )
    assert "would remove 0 blobs and 0 layers" in typed("image", "prune", "--dry-run")


def test_trees_are_told_by_layer_with_what_changed(home: Path) -> None:
    lines = typed("image", "tree", "app:1", "--layer", "2").splitlines()
    assert lines[0].split() == ["PERMISSIONS", "OWNER", "SIZE", "LAYER", "CHANGE", "NAME"]
    assert "-rw-r--r--   0:0    60.0 kB      1  removed  big" in lines
    assert "drwxr-xr-x   0:0        8 B      1  changed  etc/" in lines
    changed = answer("tree", "app:1", "--changed")
    assert {row["path"]: row["mark"] for row in changed["rows"]} == {
        "/big": "removed",
        "/etc/motd": "changed",
        "/keep2": "added",
    }
    large = answer("tree", "app:1", "--min-size", "30kB", "--sort", "size", "--depth", "3")
    assert [row["name"] for row in large["rows"]] == ["keep", "keep2"]
    typed("image", "tree", "app:1", "/keep", code=1)
    typed("image", "tree", "app:1", "--layer", "3", code=2)


def test_hostile_names_are_inert_on_the_way_out(home: Path) -> None:
    for words in (["tree", "app:1"], ["diff", "app:1", "app:1"], ["waste", "app:1"]):
        assert "\x1b" not in typed("image", *words)
    assert "evil␛[31m�" in typed("image", "tree", "app:1")


def test_waste_is_judged_by_rules_as_dive_has_them(home: Path, tmp_path: Path) -> None:
    told = answer("waste", "app:1")
    everything = 60_000 + 2 * 40_000 + 6 + 8 + 1
    assert told["efficiency"] == pytest.approx((2 * 40_000 + 6 + 1) / everything)
    assert [(path["path"], path["hidden"]) for path in told["paths"]] == [
        ("/big", 60_000),
        ("/etc/motd", 6),
    ]
    assert [layer["hides"] for layer in told["layers"]] == [0, 60_006]
    passed = typed("image", "waste", "example.com/base:2", "--ci")
    assert "PASS  lowest-efficiency: 1.0000" in passed
    failed = typed("image", "waste", "app:1", "--ci", "--highest-wasted-bytes", "1MB", code=1)
    assert "FAIL  lowest-efficiency" in failed
    assert "PASS  highest-wasted-bytes: 60.0 kB, at most 1.00 MB" in failed
    loose = ("--lowest-efficiency", "0.5", "--highest-user-wasted-percent", "disabled")
    assert "SKIP  highest-user" in typed("image", "waste", "app:1", *loose)
    rules = tmp_path / ".dive-ci"
    rules.write_text("rules:\n  lowestEfficiency: 0.5\n  highest-user-wasted-percent: disabled\n")
    typed("image", "waste", "app:1", "--ci-config", str(rules))
    typed("image", "waste", "app:1", "--lowest-efficiency", "2", code=2)
    rules.write_text("rules: {lowest-price: 1}")
    typed("image", "waste", "app:1", "--ci-config", str(rules), code=2)
    (same,) = answer("waste", "app:1", "--same")["same"]
    assert (same["surplus"], same["paths"], same["layers"]) == (
        40_000,
        ["/keep", "/keep2"],
        [1, 2],
    )


def test_sizes_are_read_as_people_write_them() -> None:
    sizes = {"20MB": 20_000_000, "1.5 GiB": 3 << 29, "4096": 4096, "1k": 1000, "2KiB": 2048}
    assert {text: size_of(text, "x") for text in sizes} == sizes
    for text in ("", "MB", "-1", "1PB", "1 2"):
        with pytest.raises(Failure, match=r"^x: .* is no size"):
            size_of(text, "x")


def test_paths_are_asked_for(home: Path, tmp_path: Path) -> None:
    lines = typed("image", "which", "app:1", "/big").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["LAYER", "WORD"],
        ["1", "added"],
        ["2", "removed"],
    ]
    typed("image", "which", "app:1", "/nowhere", code=1)
    assert typed("image", "cat", "app:1", "etc/motd") == "goodbye\n"
    assert typed("image", "cat", "app:1", "etc/motd", "--layer", "1") == "hello\n"
    out = tmp_path / "out"
    typed("image", "cat", "app:1", "keep", "-o", str(out))
    assert out.read_bytes() == b"k" * 40_000
    typed("image", "cat", "app:1", "keep", "-o", str(out), code=1)
    typed("image", "cat", "app:1", "none", "-o", str(tmp_path / "none"), code=1)
    assert not (tmp_path / "none").exists()
    typed("image", "cat", "app:1", "keep", "--layer", "9", code=2)


def test_images_are_compared(home: Path) -> None:
    lines = typed("image", "diff", "example.com/base:2", "app:1").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["-", "removed"],
        ["~", "changed"],
        ["+", "added"],
    ]
    told = answer("diff", "example.com/base:2", "app:1")
    assert (told["added"], told["changed"], told["removed"]) == (1, 1, 1)
    assert told["grown"] == 40_000 + 2 - 60_000
    typed("image", "diff", "app:1", "example.com/base:2", "--exit-code", code=1)
    typed("image", "diff", "app:1", "app:1", "--exit-code")
    typed("image", "diff", "app:1", "none:1", code=1)


def test_history_has_every_step(home: Path) -> None:
    lines = typed("image", "history", "app:1").splitlines()
    assert lines[1].split() == ["1", "100", "kB", "step", "0"]
    assert [step["layer"] for step in answer("history", "app:1")["history"]] == [1, 2]


def test_a_shell_completes_references(home: Path) -> None:
    environment = {
        **os.environ,
        "_PODARIUM_COMPLETE": "bash_complete",
        "COMP_WORDS": "podarium image tree a",
        "COMP_CWORD": "3",
    }
    command = [sys.executable, "-m", "podarium"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "plain,app:1\n"
    for shell in ("bash", "zsh", "fish"):
        assert "_PODARIUM_COMPLETE" in typed("completion", shell)
    typed("completion", "tcsh", code=2)
