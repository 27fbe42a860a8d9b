"""Logs of several containers as one, stretches of time, marks, saving and copying."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.tui import made_up
from tests.tui.fakes import FakeCluster
from tests.tui.harness import Driver, running
from tests.tui.test_flows import goto


def line(second: int, text: str, fraction: str = ".5") -> bytes:
    return f"2026-01-02T03:00:{second:02}{fraction}Z {text}\n".encode()


def two_containers() -> FakeCluster:
    fake = FakeCluster()
    pod = made_up.pod("pair", 1, made_up.WEB, {})
    side = copy.deepcopy(made_up.WEB) | {"name": "side"}
    pod["spec"]["containers"].append(side)
    fake.put("pods", pod)
    fake.logs = {
        "pair/web": line(1, "first") + line(3, "third") + line(5, "fifth", ""),
        "pair/side": line(2, "second") + line(4, "fourth"),
    }
    return fake


def texts(driver: Driver) -> list[str]:
    """What is in the log, without times."""
    return [raw.partition(b" ")[2].decode() for raw in driver.screen.log_view.lines()]


async def test_all_containers_of_a_pod_in_the_order_of_time() -> None:
    fake = two_containers()
    async with running(fake) as driver:
        await goto(driver, "pods /pair")
        await driver.press("l", "a")
        await driver.until(lambda: len(texts(driver)) == 5)
        wanted = ["web first", "side second", "web third", "side fourth", "web fifth"]
        assert [text.replace("\x1f", " ") for text in texts(driver)] == wanted
        await driver.settle()
        assert "logs all" in driver.text()
        assert "side second" in driver.text()
        fake.write_log(line(8, "eighth"), "pair/web")
        fake.write_log(line(7, "seventh"), "pair/side")
        await driver.until(lambda: len(texts(driver)) == 7)
        assert [text.partition("\x1f")[2] for text in texts(driver)[5:]] == ["seventh", "eighth"]
        await driver.press("a")
        await driver.until(lambda: driver.screen.place.part == "web")


async def test_a_time_with_fewer_digits_comes_first() -> None:
    fake = two_containers()
    fake.logs = {
        "pair/web": line(1, "a", ".1") + line(1, "c", ".13"),
        "pair/side": line(1, "b", ".12"),
    }
    async with running(fake) as driver:
        await goto(driver, "pods /pair")
        await driver.press("l", "a")
        await driver.until(lambda: len(texts(driver)) == 3)
        assert "".join(text[-1] for text in texts(driver)) == "abc"


async def test_a_deployments_pods_and_those_that_come_later() -> None:
    fake = FakeCluster()
    pods = [key.partition("/")[2] for key in fake.objects["pods"] if key.startswith("default/web-")]
    fake.logs = {f"{name}/web": line(i, f"I am {name}") for i, name in enumerate(pods)}
    async with running(fake) as driver:
        await goto(driver, "deploy /web")
        await driver.press("l")
        await driver.until(lambda: len(texts(driver)) == 3)
        label, _, text = texts(driver)[0].partition("\x1f")
        assert text == f"I am web-{label}"
        new = copy.deepcopy(fake.objects["pods"][f"default/{pods[0]}"])
        new["metadata"] |= {"name": "web-later", "uid": "uid-later"}
        fake.logs["web-later/web"] = line(9, "I came later")
        fake.put("pods", new)
        await driver.until(lambda: "later\x1fI came later" in texts(driver))


async def test_a_container_cannot_pose_as_another() -> None:
    fake = two_containers()
    fake.logs = {"pair/web": line(1, "side\x1fforged"), "pair/side": b""}
    async with running(fake) as driver:
        await goto(driver, "pods /pair")
        await driver.press("l", "a")
        await driver.until(lambda: len(texts(driver)) == 1)
        await driver.settle()
        assert "web side␟forged" in driver.text()


@pytest.mark.parametrize(
    ("key", "name", "asked"),
    [
        ("0", "", {"follow": "true", "tailLines": "20000"}),
        ("1", "head", {}),
        ("2", "1m", {"follow": "true", "tailLines": "20000", "sinceSeconds": "60"}),
        ("6", "1h", {"follow": "true", "tailLines": "20000", "sinceSeconds": "3600"}),
    ],
)
async def test_stretches_of_a_log(key: str, name: str, asked: dict[str, str]) -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l", "3", key)
        await driver.until(lambda: len(driver.screen.log_view.buffer) == 400)
        assert driver.fake.asked_logs[-1] == {"container": "web", "timestamps": "true"} | asked
        assert f"logs web {name}".strip() in driver.text()
        assert driver.screen.log_view.following == (name != "head")


async def test_a_mark_stays_where_it_was_set() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l")
        await driver.until(lambda: "200 in" in driver.text())
        await driver.press("m")
        assert "mark 03:04:05" in driver.text().splitlines()[-2]
        driver.fake.write_log(b"2026-01-02T03:04:06.0Z after the mark\n")
        await driver.until(lambda: "after the mark" in driver.text())
        await driver.settle()
        assert "mark 03:04:05" in driver.text().splitlines()[-3]


async def test_saving_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l")
        await driver.until(lambda: "200 in" in driver.text())
        await driver.press("ctrl+s", "slash", *"ERROR", "enter", "ctrl+s")
        folder = tmp_path / "podarium" / "logs"
        await driver.until(lambda: len(list(folder.iterdir())) == 2)
        await driver.settle()
        assert "1 lines in" in driver.text()
    first, second = sorted(folder.iterdir(), key=lambda file: -file.stat().st_size)
    assert first.name == "default-web-6d4b75cb6d-x7k2p-web-20260102-030405.log"
    assert first.read_bytes() == driver.fake.log
    assert first.stat().st_mode & 0o777 == 0o600
    assert b"ERROR" in second.read_bytes()
    assert second.read_bytes().count(b"\n") == 1


async def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l", "ctrl+s")
        await driver.until(lambda: "cannot save" in driver.text())


async def test_copying_what_is_in_sight() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l")
        await driver.until(lambda: "200 in" in driver.text())
        await driver.press("c")
        lines = driver.app.clipboard.splitlines()
        assert "lines copied" in driver.text()
        assert lines[-1].strip().startswith("10.64.1.7")
        assert "\x1b" not in driver.app.clipboard


async def test_json_lines_are_folded_and_opened() -> None:
    async with running() as driver:
        await goto(driver, "pods /x7k2p")
        await driver.press("l")
        driver.fake.write_log(b'2026-01-02T03:04:05Z {"level":"warn","msg":"slow","ms":1200}\n')
        driver.fake.write_log(b"2026-01-02T03:04:06Z not json\n")
        await driver.until(lambda: "not json" in driver.text())
        assert '{"level":"warn"' in driver.text()
        await driver.press("J")
        assert "WARN  slow  ms=1200" in driver.text()
        assert "json:folded" in driver.text()
        await driver.press("J")
        rows = [row.strip() for row in driver.text().splitlines()]
        at = rows.index("level: warn")
        assert rows[at : at + 4] == ["level: warn", "msg: slow", "ms: 1200", "not json"]
        await driver.press("J")
        assert '{"level":"warn"' in driver.text()
