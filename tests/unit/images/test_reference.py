"""Names of images: every spelling of one name meets in one text."""

import pytest

from engine.images.errors import ImageError
from engine.images.reference import Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("podarium/host", "docker.io/podarium/host:latest", "podarium/host:latest"),
        ("podarium/host:latest", "docker.io/podarium/host:latest", "podarium/host:latest"),
        (
            "docker.io/podarium/host:latest",
            "docker.io/podarium/host:latest",
            "podarium/host:latest",
        ),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/a/b:1.2_x-y", "localhost:5000/a/b:1.2_x-y", "localhost:5000/a/b:1.2_x-y"),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        (f"a@{DIGEST}", f"docker.io/library/a@{DIGEST}", f"a@{DIGEST}"),
        (f"a:1@{DIGEST}", f"docker.io/library/a@{DIGEST}", f"a@{DIGEST}"),
        (
            "ghcr.io/library/debian",
            "ghcr.io/library/debian:latest",
            "ghcr.io/library/debian:latest",
        ),
        ("a__b/c-d.e--f", "docker.io/a__b/c-d.e--f:latest", "a__b/c-d.e--f:latest"),
    ],
)
def test_spellings(text: str, full: str, familiar: str) -> None:
    parsed = Reference.parse(text)
    assert (str(parsed), parsed.familiar) == (full, familiar)
    assert Reference.parse(full) == parsed or parsed.digest
    assert str(Reference.parse(familiar)) == full


@pytest.mark.parametrize(
    "text",
    [
        "", ":1", "/a", "a/", "a//b", "A", "a:", "a:b:c", "a b", "a:-x", "a@", "a@sha256:x", "a\n",
        "-a", "a_", "a..b", "../a", "a/../b", "a:" + "x" * 129, "x" * 300, "host_.io/a",
        "http://a.b/c", "a@md5:" + "a" * 32,
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ImageError):
        Reference.parse(text)
