"""Which stages there are, and which of them a target needs."""

import pytest

from engine.images.containerfile.instructions import parse
from engine.images.containerfile.problem import ContainerfileError
from engine.images.containerfile.stages import BuildError, Containerfile, arrange
from engine.images.types import Platform

HERE = Platform(os="linux", architecture="amd64")


def read(text: str, target: Platform = HERE, **given: str) -> Containerfile:
    return arrange(parse(text.encode(), "Containerfile"), given, target, HERE)


MANY = """\
ARG BASE=debian
FROM $BASE AS a
FROM a AS b
FROM scratch AS unused
RUN x
FROM b AS c
COPY --from=a x y
COPY --from=1 x y
COPY --from=docker.io/library/x:1 x y
RUN --mount=type=bind,from=d0,target=/x true
FROM scratch
RUN --mount=type=bind,target=/x,from=b true
"""


def test_only_what_is_needed_is_built_in_order() -> None:
    file = read(MANY.replace("d0", "a"))
    assert [stage.base for stage in file.stages] == ["debian", 0, "scratch", 1, "scratch"]

    def titles(target: str) -> list[str]:
        return [stage.title for stage in file.needed(file.target(target))]

    assert titles("") == ["a", "b", "stage 4"]
    assert titles("C") == ["a", "b", "c"]
    assert titles("2") == ["unused"]
    assert read(MANY.replace("d0", "a"), BASE="x").stages[0].base == "x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM scratch AS a\nCOPY --from=b x y\nFROM scratch AS b\n", "only a stage before"),
        ("FROM scratch AS a\nCOPY --from=a x y\n", "only a stage before"),
        ("FROM scratch\nCOPY --from=0 x y\n", "only a stage before"),
        ("FROM scratch\nCOPY --from=7 x y\n", "only a stage before"),
        ("FROM scratch\nRUN --mount=target=/x,from=0 x\n", "only a stage before"),
        ("RUN x\nFROM y\n", "before the first FROM only ARG"),
        ("ARG x\nFROM $x\n", "is empty"),
        ("FROM x AS 1a\n", "cannot be a stage's name"),
        ("FROM x AS a/b\n", "cannot be a stage's name"),
    ],
)
def test_circles_and_wrong_stages_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ContainerfileError, match=reason):
        read(text).needed(0)


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(BuildError, match=r"did you mean builder\?.*builder, web"):
        read("FROM x AS builder\nFROM y AS web").target("bulder")
    with pytest.raises(BuildError, match="nothing to build"):
        read("ARG x\n")


def test_platforms_are_known_before_from() -> None:
    arm = Platform(os="linux", architecture="arm64", variant="v8")
    file = read("FROM --platform=$BUILDPLATFORM x-$TARGETARCH", arm)
    assert (file.stages[0].platform, file.stages[0].base) == ("linux/amd64", "x-arm64")
    assert file.arguments["TARGETPLATFORM"] == "linux/arm64/v8"


def test_a_hundred_thousand_instructions_are_read_at_once() -> None:
    file = read("FROM scratch\n" + "RUN x\n" * 100_000)
    assert len(file.stages[0].steps) == 100_000
