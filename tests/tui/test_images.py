"""Images on the screen: the tree of their files, what they waste, what differs, work on them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from engine.types.status import NotFound
from tests.tui.fake_images import CONTENT
from tests.tui.fakes import FakeCluster
from tests.tui.harness import Driver, running
from tests.tui.test_frames import steer

IMAGES = "/podarium/v1/images"
HOST = "sha256:" + "1" * 64


def rows(driver: Driver) -> list[str]:
    return driver.screen.body.files.view.order


def asked(fake: FakeCluster, method: str) -> list[str]:
    return [path for verb, path, _ in fake.requests if verb == method and path.startswith(IMAGES)]


async def test_directories_are_asked_for_when_they_are_opened() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f"])
        assert asked(driver.fake, "GET")[-2:] == [
            f"{IMAGES}/{HOST.replace(':', '%3A')}/layers",
            f"{IMAGES}/{HOST.replace(':', '%3A')}/tree",
        ]
        assert rows(driver) == ["/bin", "/etc", "/srv", "/tmp", "/usr", "/var"]
        before = len(driver.fake.requests)
        await driver.press("down", "right", "down")
        assert rows(driver)[:4] == ["/bin", "/etc", "/etc/os-release", "/etc/passwd"]
        assert len(driver.fake.requests) == before + 1
        await driver.press("left")
        assert driver.screen.body.files.key == "/etc", "left goes to the directory above"
        await driver.press("left")
        assert "/etc/passwd" not in rows(driver)
        await driver.press("space")
        assert "/etc/passwd" in rows(driver)
        await driver.press("enter")
        assert "/etc/passwd" not in rows(driver)


async def test_layers_are_gone_through_and_what_each_did_is_marked() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f", "left_square_bracket"])
        await driver.press(*"jjjj", "right", "down", "right")
        text = driver.text()
        assert "changes of layer 2 of 3" in text
        assert re.search(r"- removed +packages.bin", text)
        assert "/srv" not in rows(driver)
        await driver.press("m")
        assert rows(driver) == ["/usr", "/var", "/var/cache", "/var/cache/packages.bin"]
        await driver.press("m", "right_square_bracket", "a")
        assert "all changes to layer 3 of 3" in driver.text()
        assert "/var/cache" in rows(driver), "what is open stays open"
        await driver.press("right_square_bracket")
        assert "layer 3 of 3" in driver.text()
        await driver.press("b", "b")
        assert rows(driver)[:1] == ["/usr"]
        assert "1.00Mi and more" in driver.text()
        await driver.press("b", "b", "S")
        assert rows(driver)[0] == "/usr"


async def test_names_are_filtered_where_directories_are_open() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f", "down", "down", "right", "slash", *"wave", "enter"])
        assert rows(driver) == ["/srv", "/srv/wave.py"]
        await driver.press("escape")
        assert "/srv/app.py" in rows(driver)
        await driver.press("left", "slash", *"nothing", "enter")
        assert "nothing here matches /nothing; 6 names are hidden" in driver.text()
        await driver.press("escape", "escape")
        assert driver.screen.place.view == "list"


async def test_the_layers_beside_the_tree_are_chosen_with_the_cursor_too() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f", "tab", "down"])
        assert "changes of layer 2 of 3" in driver.text()
        await driver.press("tab")
        await steer(driver, [":images", "enter", "down", "enter"])
        assert "changes of layer 2 of 3" in driver.text()
        await driver.press("escape")
        assert "shared among all images" in driver.text()


async def test_files_are_shown_also_those_that_a_layer_removed() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f", "G", "k", "right", "down", "right", "down", "enter"])
        assert "7f 45 4c 46 02 01 01 00" in driver.text()
        assert ".ELF" in driver.text()
        await driver.press("escape", "left_square_bracket")
        await driver.press("G", "right", "down", "right", "down", "enter")
        assert driver.screen.place.part == "1:/var/cache/packages.bin", "of the layer that had it"
        assert 'files "/var/cache/packages.bin" not found' in driver.text()


async def test_what_changed_in_a_file_is_shown_line_by_line() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f", "down", "right", "down", "down", "D"])
        text = driver.text()
        assert "--- layer 1/etc/passwd" in text
        assert "-nobody:x:65534:65534::/:/bin/false" in text
        assert "+app:x:1000:1000::/srv:␛[2Jsh" in text
        await driver.press("escape", "k", "D")
        assert "only one layer has this file" in driver.text()


async def test_a_file_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with running() as driver:
        await steer(driver, [":images", "f", "down", "down", "e"])
        assert "choose a file first" in driver.text()
        await driver.press("right", "down", "down", "e")
        await driver.until(lambda: "app.py" in driver.text() and "66B in " in driver.text())
    assert (tmp_path / "podarium/files/app.py").read_bytes() == CONTENT["/srv/app.py"]


async def test_the_cursor_comes_back_to_where_it_was() -> None:
    async with running() as driver:
        await steer(driver, [":images", "f", "down", "right", "down", "down", "w"])
        assert "a container sees this one" in driver.text()
        await driver.press("escape")
        assert driver.screen.body.files.key == "/etc/passwd"


async def test_two_marked_images_are_compared() -> None:
    async with running() as driver:
        await steer(driver, [":images", "space", "space", "c"])
        text = driver.text()
        assert "from podarium/host:latest" in text
        assert "to   podarium/tools:latest" in text
        assert "- removed        66B  /srv/app.py" in text


async def test_a_container_is_compared_with_the_image_it_runs() -> None:
    async with running() as driver:
        await steer(driver, [":pods /x7k2p", "enter", "equals_sign"])
        assert "+ added       4.00Ki  /srv/new.log" in driver.text()


async def test_a_transfer_is_watched_and_goes_on_when_one_looks_away() -> None:
    async with running() as driver:
        await steer(driver, [":images", "p", *"debian", "enter"])
        assert asked(driver.fake, "POST") == [f"{IMAGES}/debian/pull"]
        assert "8.50Mi/s  2 s left  gone on from 4.00Mi" in driver.text()
        await driver.press("escape")
        (queue,) = driver.fake.works
        end = {"event": "done", "transferred": 50_000_000, "seconds": 6.0}
        queue.put_nowait(msgspec.json.encode(end))
        queue.put_nowait(b"\n")
        queue.put_nowait(b"")
        await driver.until(lambda: "pull debian: 47.7Mi in 6.0 s" in driver.text())


async def test_removing_asks_and_tells_what_was_freed() -> None:
    async with running() as driver:
        await steer(driver, [":images", "ctrl+d", "enter"])
        assert not asked(driver.fake, "DELETE")
        await driver.press("ctrl+d", "tab", "enter")
        assert asked(driver.fake, "DELETE") == [f"{IMAGES}/podarium/host%3Alatest"]
        await driver.until(lambda: "1 blob and 1 layer removed, 14.0Mi freed" in driver.text())
        await driver.press("escape", "R", "tab", "enter")
        await driver.until(lambda: "3 blobs and 2 layers removed, 41.0Mi freed" in driver.text())


async def test_nothing_is_changed_by_who_may_only_look() -> None:
    async with running(read_only=True) as driver:
        for key in ("p", "P", "R", "ctrl+d"):
            await steer(driver, [":images", key])
            assert "only looks" in driver.text()
        assert not asked(driver.fake, "POST")


async def test_what_the_engine_cannot_tell_is_said() -> None:
    fake = FakeCluster()
    async with running(fake) as driver:

        def gone(path: str, query: object) -> object:
            raise NotFound("images", "podarium/host:latest")

        fake.images.answer = gone  # type: ignore[method-assign]
        await steer(driver, [":images", "f"])
        assert 'images "podarium/host:latest" not found' in driver.text()
        await driver.press("escape", "w")
        assert 'images "podarium/host:latest" not found' in driver.text()
        fake.cut()
        await driver.press("escape", "w")
        assert "connection refused" in driver.text()


async def test_hostile_names_stay_on_their_line() -> None:
    async with running(size=(80, 24)) as driver:
        await steer(driver, [":images", "f", "down", "down", "right"])
        for _ in range(12):
            lines = driver.text().split("\n")
            assert len(lines) == 24
            assert not any("\x1b" in line or "\x07" in line for line in lines)
            await driver.press("down")
        assert "␛]0;pwned␇[bold red]evil" in driver.text()
