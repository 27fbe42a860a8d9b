"""`podarium build` as it is typed: words, exit codes, and a base that a registry has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.real.images.builder.conftest import HOST, Shop
from tests.real.images.registry.server import docker_registry


def typed(shop: Shop, *words: str, code: int = 0, text: str = "", **env: str) -> tuple[str, str]:
    command = [sys.executable, "-m", "podarium", *words]
    environment = {**os.environ, "PODARIUM_HOME": str(shop.home), **env}
    ran = subprocess.run(
        command, env=environment, input=text, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran.stdout, ran.stderr


def test_a_base_that_is_only_in_a_registry_is_pulled(shop: Shop, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as server:
        name = f"{server.host}/base:1"
        shop.build("FROM scratch\nCOPY f /\n", {"f": "pulled"}, tags=(name,))
        typed(shop, "push", "-q", name)
        shop.store.remove(name)
        text = (
            f"FROM {name} AS base\nFROM scratch\nCOPY --from={name} /f /from\n"
            "COPY --from=base /f /\n"
        )
        folder = shop.context({"Dockerfile": text})
        out, err = typed(shop, "build", "-t", "t/pulled:1", str(folder))
        assert out.startswith("built t/pulled:1 (sha256:")
        assert "#2 [stage 1 2/2] COPY --from=base /f /" in err
        assert shop.read(shop.store.resolve("t/pulled:1"), "/from") == b"pulled"
    folder = shop.context({"Dockerfile": f"FROM {server.host}/x"})
    _, err = typed(shop, "build", str(folder), code=1)
    assert "cannot reach" in err or "refused" in err.lower()


def test_options(shop: Shop, tmp_path: Path) -> None:
    text = (
        f"FROM {HOST} AS one\nARG A\nARG SECRET\nLABEL a=$A\n"
        'RUN --mount=type=secret,id=s,env=S test "$S" = hidden\nFROM one AS two\nRUN exit 5\n'
    )
    folder = shop.context({"other.file": text})
    (tmp_path / "secret").write_text("hidden")
    words: tuple[str, ...] = ("build", "-f", f"{folder}/other.file", "--target", "one")
    words += ("--build-arg", "A", "--label", "l=1", "-t", "t/o:1", "-t", "t/o:2")
    words += ("--iidfile", f"{tmp_path}/id")
    secret = ("--secret", f"id=s,src={tmp_path}/secret")
    out, err = typed(shop, *words, *secret, "-q", str(folder), A="from outside")
    image = shop.store.resolve("t/o:2")
    assert (out.strip(), err) == (str(image.digest), "")
    assert (tmp_path / "id").read_text() == str(image.digest)
    labels = image.config.labels or {}
    assert (labels["a"], labels["l"]) == ("from outside", "1")
    typed(shop, *words, "--secret", "id=s,env=X", "--no-cache", str(folder), X="hidden")
    _, err = typed(shop, "build", "-f", f"{folder}/other.file", *secret, str(folder), code=1)
    assert "other.file:7:1: RUN exit 5: ended with exit code 5" in err
    out, _ = typed(shop, "build", "-f", "-", str(folder), text="FROM scratch\nLABEL x=y\n")
    assert out.startswith("built localhost/build@sha256:")
    for wrong, reason in (
        (("build", str(tmp_path / "none")), "the build context must be a folder"),
        (("build", str(tmp_path)), "name it with -f FILE"),
        ((*words, "--label", "x", str(folder)), "--label 'x': NAME=VALUE"),
        ((*words, "--secret", "x", str(folder)), "id=NAME,src=FILE"),
    ):
        assert reason in typed(shop, *wrong, code=2)[1]
