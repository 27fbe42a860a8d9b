"""Changing the cluster from the dashboard: marks, edits, nodes, the command log, looking only."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.types.status import StatusError
from tests.tui.harness import Driver, running
from tests.tui.test_flows import goto, rows


def changes(driver: Driver) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in driver.fake.requests if method != "GET"]


def journal(driver: Driver) -> list[str]:
    return [entry.line for entry in driver.screen.journal.entries]


# -- marks -----------------------------------------------------------------------------------


async def test_all_that_are_marked_are_deleted_after_one_question() -> None:
    async with running() as driver:
        await goto(driver, "pods /web")
        await driver.press("space", "space")
        assert "2 marked" in driver.text()
        assert driver.text().count("◆") == 2
        first, second, third = rows(driver)
        await driver.press("ctrl+d")
        assert "Delete 2 pods?" in driver.text()
        await driver.press("right", "enter")
        pods = driver.fake.objects["pods"]
        await driver.until(lambda: first not in pods and second not in pods)
        await driver.settle()
        assert third in pods
        assert "2 pods are being deleted" in driver.text()
        assert "marked" not in driver.text()


async def test_a_range_is_marked_and_escape_takes_the_marks_first() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("space", "j", "j", "ctrl+@")
        assert driver.screen.view.marked() == rows(driver)[:4]
        await driver.press("escape")
        assert driver.screen.view.marked() == []
        assert driver.screen.place.view == "list"


async def test_a_mark_stays_with_its_object() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("space")
        key = rows(driver)[0]
        await driver.press("N")
        assert driver.screen.view.marked() == [key]
        driver.fake.remove("pods", key)
        await driver.until(lambda: key not in rows(driver))
        await driver.settle()
        assert driver.screen.view.marked() == []


async def test_what_fails_for_some_is_told_and_done_for_the_others() -> None:
    async with running() as driver:
        await goto(driver, "pods /web")
        first, second, _ = rows(driver)
        driver.fake.refuse = StatusError("not that one", code=403, reason="Forbidden")
        driver.fake.refuses = first.rpartition("/")[2]
        await driver.press("space", "space", "ctrl+d", "right", "enter")
        await driver.until(lambda: second not in driver.fake.objects["pods"])
        await driver.settle()
        assert "1 of 2 are being deleted; :log says why not the others" in driver.text()
        await goto(driver, "log")
        assert "not that one" in driver.text()


# -- nodes and workloads ---------------------------------------------------------------------


async def test_cordon_and_uncordon() -> None:
    async with running() as driver:
        await goto(driver, "nodes")
        await driver.press("c")
        nodes = driver.fake.objects["nodes"]
        await driver.until(lambda: nodes["node-1"]["spec"].get("unschedulable") is True)
        await driver.settle()
        assert "Cordoned" in driver.text()
        await driver.press("u")
        await driver.until(lambda: not nodes["node-1"]["spec"].get("unschedulable"))
        await driver.settle()
        assert "node-1 is open to new pods" in driver.text()
        assert journal(driver)[-2:] == ["kubectl cordon node-1", "kubectl uncordon node-1"]


async def test_a_drain_shows_where_each_pod_goes_before_it_is_done() -> None:
    async with running() as driver:
        await goto(driver, "nodes")
        await driver.press("j", "j", "r")
        text = driver.text()
        assert "Drain node-3?" in text
        assert "moves" in text
        assert "room on node-1, node-2" in text
        before = changes(driver)
        await driver.press("escape")
        assert changes(driver) == before
        pods = driver.screen.cluster.pods_on("node-3")
        moving = [p.metadata.name for p in pods if p.metadata.owner_references]
        await driver.press("r", "right", "enter")
        await driver.until(
            lambda: not any(f"default/{name}" in driver.fake.objects["pods"] for name in moving)
        )
        await driver.settle()
        assert driver.fake.objects["nodes"]["node-3"]["spec"]["unschedulable"] is True
        assert journal(driver)[-1].startswith("kubectl drain node-3")


async def test_what_nothing_makes_again_is_only_lost_when_one_says_so() -> None:
    async with running() as driver:
        alone = copy.deepcopy(driver.fake.objects["pods"]["default/giant"])
        alone["metadata"] |= {"name": "alone", "uid": "uid-alone", "ownerReferences": []}
        alone["spec"]["nodeName"] = "node-3"
        alone["status"]["phase"] = "Running"
        driver.fake.put("pods", alone)
        await driver.until(lambda: "default/alone" in driver.screen.cluster.pods())
        await goto(driver, "nodes")
        await driver.press("G", "r")
        assert "nothing makes it again" in driver.text()
        await driver.press("right", "enter")
        await driver.until(lambda: driver.fake.objects["nodes"]["node-3"]["spec"]["unschedulable"])
        await driver.settle()
        assert "default/alone" in driver.fake.objects["pods"]
        await driver.press("r", "right", "right", "enter")
        await driver.until(lambda: "default/alone" not in driver.fake.objects["pods"])
        await driver.settle()
        assert journal(driver)[-1].endswith("--force")


async def test_a_restart_changes_the_template_as_kubectl_does() -> None:
    async with running() as driver:
        await goto(driver, "deploy /web")
        await driver.press("r", "right", "enter")
        template = driver.fake.objects["deployments"]["default/web"]["spec"]["template"]
        await driver.until(
            lambda: (
                "kubectl.kubernetes.io/restartedAt"
                in driver.fake.objects["deployments"]["default/web"]["spec"]["template"]
                .get("metadata", {})
                .get("annotations", {})
            )
        )
        await driver.settle()
        assert template
        assert journal(driver)[-1] == "kubectl rollout restart deployment/web -n default"


# -- labels ----------------------------------------------------------------------------------


async def test_a_label_is_set_and_taken_away() -> None:
    async with running() as driver:
        await goto(driver, "pods /giant")
        await driver.press("ctrl+l", *"tier=big", "enter")
        labels = lambda: driver.fake.objects["pods"]["default/giant"]["metadata"]["labels"]  # noqa: E731
        await driver.until(lambda: labels().get("tier") == "big")
        await driver.settle()
        assert journal(driver)[-1] == "kubectl label pod giant tier=big --overwrite -n default"
        await driver.press("ctrl+l", *"tier-", "enter")
        await driver.until(lambda: labels().get("tier") is None)
        await driver.settle()
        before = changes(driver)
        await driver.press("ctrl+l", *"nonsense", "enter")
        assert "write key=value" in driver.text()
        assert changes(driver) == before


# -- editing ---------------------------------------------------------------------------------


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell script as the editor: what is written into it is run on the file."""
    script = tmp_path / "editor"
    monkeypatch.setenv("KUBE_EDITOR", f"sh {script}")
    return script


def lend(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no terminal to lend in a test."""

    @contextmanager
    def suspend() -> Iterator[None]:
        yield

    monkeypatch.setattr(driver.app, "suspend", suspend)


async def edited(driver: Driver) -> None:
    """Press `e`, and wait for what comes after the editor."""
    await driver.press("e")
    await driver.until(lambda: driver.app.screen is not driver.screen or bool(flash(driver)))
    await driver.settle()


def flash(driver: Driver) -> str:
    said = driver.screen.keys._flash
    return said[0] if said else ""


async def test_an_edit_shows_the_difference_and_then_applies_it(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.write_text('sed -i "s/replicas: 3/replicas: 4/" "$1"')
    async with running() as driver:
        lend(driver, monkeypatch)
        await goto(driver, "deploy /web")
        await edited(driver)
        text = driver.text()
        assert "Apply this to deployment default/web?" in text
        assert "-  replicas: 3" in text
        assert "+  replicas: 4" in text
        assert not changes(driver)
        await driver.press("enter")
        await driver.until(
            lambda: driver.fake.objects["deployments"]["default/web"]["spec"]["replicas"] == 4
        )
        await driver.settle()
        _, path, body = next(r for r in driver.fake.requests if r[0] == "PUT")
        assert path == "/apis/apps/v1/namespaces/default/deployments/web"
        sent = json.loads(body or b"")
        assert sent["metadata"]["resourceVersion"]
        assert "default/web: changed" in driver.text()


async def test_an_edit_that_changes_nothing_asks_nothing(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.write_text("true")
    async with running() as driver:
        lend(driver, monkeypatch)
        await goto(driver, "deploy /web")
        await edited(driver)
        assert "default/web: nothing is changed" in driver.text()
        assert not changes(driver)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('printf "a: [" >"$1"', "line 1"),
        ('sed -i "s/name: web$/name: other/" "$1"', "metadata.name: must stay"),
        ('echo "- 1" >"$1"', "an object is a mapping"),
    ],
)
async def test_what_cannot_be_the_object_is_told_and_can_be_edited_again(
    script: str, told: str, editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.write_text(script)
    async with running() as driver:
        lend(driver, monkeypatch)
        await goto(driver, "deploy /web")
        await edited(driver)
        assert told in driver.text()
        seen = editor.parent / "seen"
        editor.write_text(f'cat "$1" >{seen}')
        await driver.press("enter")
        await driver.until(lambda: seen.exists() and told in driver.text())
        await driver.settle()
        comments = [row for row in seen.read_text().splitlines() if row.startswith("# ")]
        assert any(told in row for row in comments)
        await driver.press("escape")
        assert not changes(driver)


async def test_what_the_api_refuses_can_be_edited_again(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.write_text('sed -i "s/replicas: 3/replicas: -4/" "$1"')
    async with running() as driver:
        lend(driver, monkeypatch)
        driver.fake.refuse = StatusError(
            "spec.replicas: Invalid value: -4", code=422, reason="Invalid"
        )
        await goto(driver, "deploy /web")
        await edited(driver)
        await driver.press("enter")
        await driver.until(lambda: "Invalid value: -4" in driver.text())
        assert "cannot be that" in driver.text()
        await driver.press("escape")
        assert driver.screen.journal.entries[-1].problem == "spec.replicas: Invalid value: -4"


async def test_an_editor_that_fails_changes_nothing(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.write_text("exit 3")
    async with running() as driver:
        lend(driver, monkeypatch)
        await goto(driver, "deploy /web")
        await edited(driver)
        assert "ended with 3: nothing is changed" in driver.text()


# -- the command log, and looking only -------------------------------------------------------


async def test_everything_done_is_noted_as_a_line_of_kubectl() -> None:
    async with running() as driver:
        await goto(driver, "pods /leak")
        await driver.press("d", "escape", "l", "escape", "y")
        lines = journal(driver)
        assert "kubectl get pods -A" in lines
        assert "kubectl describe pod leak-84b6c9d7f-p5jlm -n default" in lines
        assert "kubectl logs leak-84b6c9d7f-p5jlm -c leak -f -n default" in lines
        await driver.press("ctrl+o")
        text = driver.text()
        assert "$ kubectl get pod leak-84b6c9d7f-p5jlm -o yaml -n default" in text
        assert "command log" in text


async def test_a_dashboard_that_only_looks_changes_nothing() -> None:
    async with running(read_only=True) as driver:
        assert "read-only" in driver.text()
        await goto(driver, "pods /giant")
        assert "^d delete" not in driver.text()
        for key in ("ctrl+d", "ctrl+k", "e", "s", "ctrl+l"):
            await driver.press(key)
            assert "this dashboard only looks" in driver.text()
            assert driver.app.screen is driver.screen
            driver.screen.keys.unflash()
        assert not changes(driver)


def test_every_command_that_changes_says_so() -> None:
    from tui.commands.all import COMMANDS

    changing = {c.id for c in COMMANDS.all() if c.changes}
    assert changing >= {"delete", "kill", "edit", "scale", "restart", "drain", "cordon", "shell"}
