"""Lists as tables: which rows, which columns, and files made of them."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path

import pytest

from tests.tui.harness import Driver, running
from tests.tui.test_flows import goto, rows


async def test_only_problems_and_all_again() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        await driver.press("ctrl+z")
        assert rows(driver) == ["default/giant", "default/leak-84b6c9d7f-p5jlm"]
        assert "with problems" in driver.text()
        await driver.press("ctrl+z")
        assert len(rows(driver)) == 11
        await goto(driver, "nodes")
        await driver.press("ctrl+z")
        assert "Nothing is wrong with any of 3" in driver.text()


async def test_columns_are_chosen_and_stay_chosen(state: Path) -> None:
    async with running(size=(200, 60)) as driver:
        await goto(driver, "pods")
        head = driver.text().splitlines()[2]
        assert "READY" in head
        assert "STATUS" in head
        await driver.press("ctrl+w", "j", "space", "enter")
        assert "READY" not in driver.text().splitlines()[2]
        await driver.press("ctrl+w", "j", "j", "space", "escape")
        assert "STATUS" in driver.text().splitlines()[2]
    assert json.loads((state / "columns.json").read_text()) == {"pods": ["READY"]}
    async with running(size=(200, 60)) as driver:
        await goto(driver, "pods")
        assert "READY" not in driver.text().splitlines()[2]


async def test_a_choice_that_cannot_be_read_hides_nothing(state: Path) -> None:
    state.mkdir(parents=True)
    (state / "columns.json").write_text("{")
    async with running(size=(200, 60)) as driver:
        await goto(driver, "pods")
        assert "READY" in driver.text().splitlines()[2]


async def test_the_list_takes_the_whole_screen_and_gives_it_back() -> None:
    async with running(size=(200, 60)) as driver:
        await goto(driver, "pods")
        assert driver.screen.body.side.display
        await driver.press("plus")
        assert not driver.screen.body.side.display
        assert not driver.screen.body.strip.display
        await driver.press("plus")
        assert driver.screen.body.side.display


async def test_a_list_is_saved_as_csv_and_as_json(state: Path) -> None:
    async with running() as driver:
        await goto(driver, "pods /web")
        names = [key.partition("/")[2] for key in rows(driver)]
        await driver.press("ctrl+s", "enter")
        await driver.until(lambda: "3 rows in" in driver.text())
        await driver.press("ctrl+s", "right", "enter")
        await driver.until(lambda: "3 objects in" in driver.text())
    (table,) = (state / "tables").glob("*.csv")
    found = list(csv.DictReader(table.open()))
    assert [row["NAME"] for row in found] == names
    assert {row["STATUS"] for row in found} == {"● Running"}
    assert table.stat().st_mode & 0o777 == 0o600
    (whole,) = (state / "tables").glob("*.json")
    items = json.loads(whole.read_text())["items"]
    assert sorted(item["metadata"]["name"] for item in items) == sorted(names)
    assert {item["kind"] for item in items} == {"Pod"}


async def test_a_cell_that_would_be_a_formula_is_a_text(state: Path) -> None:
    async with running() as driver:
        await goto(driver, "events")
        event = next(iter(driver.fake.objects["events"].values()))
        event["message"] = '=HYPERLINK("http://x")'
        driver.fake.put("events", event)
        await driver.until(lambda: "HYPERLINK" in driver.text())
        await driver.press("ctrl+s", "enter")
        await driver.until(lambda: "rows in" in driver.text())
    (table,) = (state / "tables").glob("*.csv")
    cells = [cell for row in csv.reader(table.open()) for cell in row]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)


async def test_the_screen_is_saved_as_a_picture(state: Path) -> None:
    async with running() as driver:
        await driver.press("f12")
        await driver.until(lambda: "the screen is in" in driver.text())
    (picture,) = (state / "pictures").glob("overview-*.svg")
    assert "node-1" in picture.read_text()


def glowing(driver: Driver) -> set[str]:
    table = driver.screen.table
    rows = [table.row(y) for y in range(table.size.height)]
    return {text.strip() for spans in rows for text, role in spans if "@glow" in role}


async def test_what_has_changed_stands_out_for_a_moment() -> None:
    async with running() as driver:
        await goto(driver, "pods")
        assert not glowing(driver)
        giant = copy.deepcopy(driver.fake.objects["pods"]["default/giant"])
        giant["status"] = {"phase": "Failed", "reason": "Evicted"}
        driver.fake.put("pods", giant)
        await driver.until(lambda: "Evicted" in driver.text())
        assert "Evicted" in {word for text in glowing(driver) for word in text.split()}
        driver.fake.tick(2.0)
        await driver.until(lambda: not glowing(driver))


async def test_nothing_moves_for_who_does_not_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODARIUM_REDUCED_MOTION", "1")
    async with running() as driver:
        await goto(driver, "pods")
        giant = copy.deepcopy(driver.fake.objects["pods"]["default/giant"])
        giant["status"] = {"phase": "Failed", "reason": "Evicted"}
        driver.fake.put("pods", giant)
        await driver.until(lambda: "Evicted" in driver.text())
        assert not glowing(driver)
