"""Many layers, by the new way of naming them and by the old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runtime.features import overlay_append
from engine.runtime.runtime import StartError
from tests.real.runtime.conftest import Node


def layers(folder: Path, count: int, named: str = "layer-{}") -> tuple[Path, ...]:
    """`count` layers, top first, each with a file of its own and its own idea of /who."""
    made = []
    for number in reversed(range(count)):
        layer = folder / named.format(number)
        layer.mkdir(parents=True)
        (layer / "who").write_text(f"{number}\n")
        (layer / f"only-{number}").touch()
        made.append(layer)
    return tuple(made)


@pytest.mark.parametrize("append", [True, False])
async def test_the_uppermost_layer_wins_and_all_are_seen(node: Node, append: bool) -> None:
    if append and not overlay_append():
        pytest.skip("this kernel names layers in one string")
    lowerdirs = (*layers(node.home / "l", 3), node.layer)
    script = "cat /who; ls / | while read f; do case $f in only*) echo $f;; esac; done"
    text = await node.run("c", "sh", "-c", script, lowerdirs=lowerdirs, append_layers=append)
    assert text == "2\nonly-0\nonly-1\nonly-2\n"


@pytest.mark.parametrize("append", [True, False])
async def test_names_that_overlay_could_misread(node: Node, append: bool) -> None:
    if append and not overlay_append():
        pytest.skip("this kernel names layers in one string")
    lowerdirs = (*layers(node.home / "l", 2, "a:b,c\\{}"), node.layer)
    text = await node.run("c", "cat", "/who", lowerdirs=lowerdirs, append_layers=append)
    assert text == "1\n"


async def test_more_layers_than_a_page_can_name(node: Node) -> None:
    if not overlay_append():
        pytest.skip("this kernel names layers in one string")
    lowerdirs = (*layers(node.home / "l", 127, "x" * 60 + "-{}"), node.layer)
    assert await node.run("c", "cat", "/who", "/only-0", lowerdirs=lowerdirs) == "126\n"


async def test_too_many_for_the_old_way_are_refused_in_words(node: Node) -> None:
    lowerdirs = (*layers(node.home / "l", 100, "x" * 60 + "-{}"), node.layer)
    with pytest.raises(StartError, match="more than this kernel can name"):
        await node.start("c", "id", lowerdirs=lowerdirs, append_layers=False)


@pytest.mark.parametrize("append", [True, False])
async def test_a_layer_that_is_gone_is_named(node: Node, append: bool) -> None:
    if append and not overlay_append():
        pytest.skip("this kernel names layers in one string")
    with pytest.raises(StartError, match=r"overlay 2 layers: .*gone: No such file"):
        await node.start(
            "c", "id", lowerdirs=(node.home / "gone", node.layer), append_layers=append
        )
