"""Which of several images is for a machine."""

import pytest

from engine.images.errors import BadImage, BadReference
from engine.images.registry import platforms
from engine.images.types import Descriptor, Digest, Platform


def entries(*names: str | None) -> list[Descriptor]:
    return [
        Descriptor(
            digest=Digest(f"sha256:{number:064x}"),
            size=1,
            platform=platforms.parse(name) if name else None,
        )
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ("linux/amd64", [None, "linux/amd64"], 1),
        ("linux/amd64", [None, "linux/arm64"], 0),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm64", ["linux/arm64/v8"], 0),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
        ("linux/arm", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("windows/amd64", ["linux/amd64", "windows/amd64"], 1),
    ],
)
def test_the_best_is_chosen(wanted: str, there: list[str | None], chosen: int) -> None:
    found = entries(*there)
    assert platforms.choose(found, platforms.parse(wanted), "x") is found[chosen]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("linux/amd64", ["linux/amd64/v2"]),
        ("linux/arm/v6", ["linux/arm/v7"]),
        ("linux/arm64", ["linux/arm/v7"]),
        ("linux/amd64", ["windows/amd64"]),
        ("linux/x/odd", ["linux/x/other"]),
        ("linux/amd64", []),
    ],
)
def test_what_would_not_run_is_not_chosen(wanted: str, there: list[str | None]) -> None:
    with pytest.raises(BadImage, match=f"x: no image for {wanted}, only for"):
        platforms.choose(entries(*there), platforms.parse(wanted), "x")


def test_platforms_as_people_write_them() -> None:
    assert platforms.parse("arm64") == Platform(os="linux", architecture="arm64")
    assert platforms.shown(platforms.parse("Linux/ARM/v7")) == "linux/arm/v7"
    for wrong in ("", "a/b/c/d", "linux/", "linux/a b"):
        with pytest.raises(BadReference, match="OS/ARCHITECTURE"):
            platforms.parse(wrong)
