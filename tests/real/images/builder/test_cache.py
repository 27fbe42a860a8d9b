"""What is built again, and what is not; the same image on another machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from engine.builder.cache import BuildCache
from engine.images.hostimage import build as build_host
from engine.images.store import ImageStore
from tests.real.images.builder.conftest import HOST, Log, Shop

TEXT = f"""\
FROM {HOST} AS deps
WORKDIR /app
COPY requirements.txt .
RUN cp requirements.txt installed
FROM deps AS app
COPY src/ src/
RUN cat src/* > bundle
FROM deps AS docs
COPY docs/ docs/
RUN ls docs > listing
FROM deps
COPY --from=app /app/bundle /out/
COPY --from=docs /app/listing /out/
RUN ls /out
"""
FILES: dict[str, str | bytes] = {
    "requirements.txt": "a==1", "src/x": "x", "src/y": "y", "docs/d": "d", "unused": "u",
}  # fmt: skip


def test_touching_one_file_does_again_only_what_depends_on_it(shop: Shop) -> None:
    folder = shop.context(FILES)

    def anew() -> list[str]:
        log = Log()
        shop.build(TEXT, folder, log, tags=("t/graph:1",))
        return log.steps(cached=False)

    assert len(anew()) == 10
    assert anew() == []
    for name in FILES:  # other times are nothing new
        os.utime(folder / name, (1, 1))
    (folder / "unused").write_text("other")
    assert anew() == []
    (folder / "docs/d").write_text("other")
    # The listing is the same again, and so is all that is made of it.
    assert anew() == ["COPY docs/ docs/", "RUN ls docs > listing"]
    (folder / "src/x").write_text("other")
    assert anew() == [
        "COPY --from=app /app/bundle /out/",
        "COPY --from=docs /app/listing /out/",
        "COPY src/ src/",
        "RUN cat src/* > bundle",
        "RUN ls /out",
    ]
    (folder / "src/y").chmod(0o700)
    assert anew() == ["COPY src/ src/", "RUN cat src/* > bundle"]
    (folder / "requirements.txt").write_text("a==2")
    assert len(anew()) == 9  # all but the WORKDIR before it


def test_what_a_step_depends_on(shop: Shop) -> None:
    """Each of these changes makes a RUN be done again, what it does not see does not."""

    def runs(text: str, **options: object) -> int:
        log = Log()
        shop.build(text, {"f": "1"}, log, **options)
        return len(log.steps(cached=False))

    head = f"FROM {HOST}\nARG A=1\nARG SEEN\n"
    base = head + "RUN echo depends"
    assert runs(base) == 1
    assert runs(base + "\n# a comment\nLABEL x=y") == 0
    assert runs(base, arguments={"HTTP_PROXY": "x", "OTHER": "y"}) == 0
    assert runs(base, arguments={"SEEN": "1"}) == 1
    assert runs(base, arguments={"A": "2"}) == 1
    assert runs(head + "ENV X=1\nRUN echo depends") == 1
    assert runs(head + "USER 7\nRUN echo depends") == 1
    assert runs(head + 'SHELL ["/bin/sh","-ec"]\nRUN echo depends') == 1
    assert runs(head + "RUN --mount=type=cache,target=/c echo depends") == 1
    assert runs(head + "RUN --mount=target=/c echo depends") == 1
    assert runs(base, epoch=7) == 1
    assert runs(base, use_cache=False) == 1
    assert runs(base) == 0


def test_a_cache_mount_lives_on_and_a_locked_one_is_used_by_one_at_a_time(shop: Shop) -> None:
    mount = "--mount=type=cache,id=count,target=/c,sharing=locked"
    work = "n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.1; echo $((n+1)) > /c/n; cat /c/n"
    stages = "".join(f"FROM {HOST} AS s{n}\nRUN {mount} {work} # {n}\n" for n in range(3))
    text = (
        stages + f"FROM {HOST}\n" + "".join(f"COPY --from=s{n} /etc/group /{n}\n" for n in range(3))
    )
    assert sorted(shop.said(text).split()) == ["1", "2", "3"]
    assert shop.said(f"FROM {HOST}\nRUN {mount} cat /c/n") == "3"
    private = "--mount=type=cache,id=count,target=/c,sharing=private"
    assert shop.said(f"FROM {HOST}\nRUN {private} {work}") == "4"


def test_the_cache_outlives_its_image_and_is_bounded(shop: Shop) -> None:
    text = f"FROM {HOST}\nRUN head -c 100000 /dev/urandom > /r\n"
    image = shop.build(text, tags=("t/gone:1",))
    shop.store.remove("t/gone:1")
    assert not shop.store.blobs.has(image.layers[-1].digest)
    log = Log()
    assert shop.build(text, log=log, tags=("t/gone:1",)).digest == image.digest
    assert log.steps(cached=True)
    cache = BuildCache(shop.store.root, shop.store.blobs)
    cache.shrink(1000)
    cache.close()
    kept = list((shop.store.root / "build/layers").iterdir())
    assert sum(path.stat().st_size for path in kept) <= 1000
    log = Log()
    assert shop.build(text, log=log, tags=("t/gone:1",)).digest != image.digest
    assert log.steps(cached=False)


def test_the_same_image_in_another_home_at_another_time(shop: Shop) -> None:
    files = {**FILES, ".dockerignore": "unused"}
    text = TEXT.replace("ls /out", "mkdir /new && touch /new/file && date > /dev/null")
    text += "ENV A=1\nCOPY <<x /doc\ntext\nx\n"
    home = Path(tempfile.mkdtemp(prefix="pdb", dir="/tmp"))
    other = Shop(home, ImageStore(home / "images"))
    try:
        build_host(other.store)
        ours = shop.build(text, files, epoch=1_600_000_000, tags=("t/same:1",))
        folder = other.context(files)
        theirs = other.build(text, folder, epoch=1_600_000_000, tags=("t/same:1",))
        assert theirs.digest == ours.digest
        assert ours.created == "2020-09-13T12:26:40Z"
        found = shop.stat(ours, "/new/file")
        assert found is not None
        assert found.st_mtime == 1_600_000_000
        assert other.build(text, folder).digest != ours.digest
        assert other.left() == []
    finally:
        other.store.close()
        shutil.rmtree(home)
