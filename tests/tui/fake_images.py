"""Made-up images, looked into by the engine's own explorer: what the API would answer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from engine.images.explore.explorer import Opened
from engine.images.explore.memory import MemoryTable
from engine.images.explore.stack import Stack
from engine.images.explore.waste import waste
from engine.images.tar import DIRECTORY, FILE, SYMLINK, Entry
from engine.kubelet import explored
from engine.types.explored import LayerFacts, Layers
from engine.types.status import NotFound

MIB = 1 << 20


def _parts(path: str) -> tuple[bytes, ...]:
    return tuple(os.fsencode(path).split(b"/"))


def _dir(path: str) -> Entry:
    return Entry(_parts(path), DIRECTORY, 0o755)


def _file(path: str, size: float, mode: int = 0o644) -> Entry:
    return Entry(_parts(path), FILE, mode, size=int(size))


def _link(path: str, to: str) -> Entry:
    return Entry(_parts(path), SYMLINK, 0o777, link=to.encode())


CONTENT = {
    "/srv/app.py": b"import http.server\n\n\ndef main() -> None:\n\tserve(8080)  # \x1b[31mred\n",
    "1/etc/passwd": b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "3/etc/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/srv:\x1b[2Jsh\n",
    "/usr/bin/bash": b"\x7fELF\x02\x01\x01\x00" + bytes(range(200)),
}

TOOLS = [
    *map(_dir, ("etc", "tmp", "usr", "usr/bin", "usr/lib", "var", "var/cache", "var/log")),
    _link("bin", "usr/bin"),
    _file("etc/passwd", 112),
    _file("etc/os-release", 81),
    _file("usr/bin/bash", 1.2 * MIB, 0o755),
    _file("usr/bin/ls", 0.15 * MIB, 0o755),
    _file("usr/bin/find", 0.22 * MIB, 0o755),
    _link("usr/bin/sh", "bash"),
    _file("usr/lib/libc.so.6", 1.9 * MIB, 0o755),
    _file("usr/lib/libcrypto.so.3", 4.5 * MIB),
    _file("var/cache/packages.bin", 6.2 * MIB),
    _file("var/log/install.log", 9000),
]
PYTHON = [
    *map(_dir, ("usr", "usr/bin", "usr/lib", "usr/lib/python3.11")),
    _file("usr/bin/python3.11", 6.5 * MIB, 0o755),
    _link("usr/bin/python", "python3.11"),
    *(_file(f"usr/lib/python3.11/module{n:02}.py", (40 - n) * 9000) for n in range(40)),
    _file("usr/lib/libcrypto.so.3", 4.6 * MIB),
    _file("var/cache/.wh.packages.bin", 0),
]
APP = [
    *map(_dir, ("srv", "etc")),
    _file("srv/app.py", len(CONTENT["/srv/app.py"])),
    _file("srv/wave.py", 900),
    _file("srv/leak.py", 700),
    _file("srv/\x1b]0;pwned\x07[bold red]evil‮txt.\x1b[2J", 66),
    _file("srv/" + "long-" * 50, 5),
    _file("srv/日本語ファイル名", 1234),
    _file("srv/nul\udcff\udc80", 3),
    _file("etc/passwd", 140),
    _file("var/log/.wh..wh..opq", 0),
]


class FakeImages:
    """The images of a made-up cluster, by digest."""

    def __init__(self, images: list[dict[str, Any]]) -> None:
        tables = [MemoryTable.of_archive(layer) for layer in (TOOLS, PYTHON, APP)]
        self._described = {image["digest"]: image for image in images}
        self._opened = {
            image["digest"]: Opened(
                image["references"][0],
                Stack(tables[: len(image["layers"])]),
                tuple(layer["createdBy"] for layer in image["layers"]),
                (),
            )
            for image in images
        }

    def answer(self, path: str, query: Mapping[str, str]) -> Any:
        """What the API answers to GET /podarium/v1/images/DIGEST/VERB. Raise NotFound."""
        digest, _, verb = path.removeprefix("/podarium/v1/images/").rpartition("/")
        image = self._opened.get(digest.replace("%3A", ":"))
        if image is None:
            raise NotFound("images", digest)
        number = {name: int(query[name]) for name in ("layer", "since", "limit") if name in query}
        match verb:
            case "layers":
                return self._layers(image, self._described[digest.replace("%3A", ":")])
            case "tree":
                page = explored.tree(
                    image, query["path"], by_size=query.get("sort") == "size", **number
                )
                if page is None:
                    raise NotFound("directories", query["path"])
                return page
            case "waste":
                return explored.waste(image, waste(image.stack))
            case "which":
                return explored.which(image, query["path"])
            case "diff":
                return explored.difference(image, self._other(query))
            case "file" if (key := f"{query.get('layer', '')}{query['path']}") in CONTENT:
                return CONTENT[key][int(query.get("offset", 0)) :]
            case "file" if query["path"] in CONTENT:
                return CONTENT[query["path"]]
        raise NotFound("files", query.get("path", verb))

    def _other(self, query: Mapping[str, str]) -> Opened:
        for digest, image in self._opened.items():
            if query.get("to") in (image.name, image.name.partition(":")[0], digest):
                return image
        if "pod" in query:
            base = next(iter(self._opened.values()))
            changed = MemoryTable.of_archive(
                [_file("srv/new.log", 4096), _file("srv/.wh.wave.py", 0)]
            )
            name = f"pod/{query['pod']}/{query['container']}"
            return Opened(name, Stack([*base.stack.tables, changed]), base.made_by, ())
        raise NotFound("images", query.get("to", ""))

    @staticmethod
    def _layers(image: Opened, told: dict[str, Any]) -> Layers:
        return Layers(
            reference=image.name,
            layers=[
                LayerFacts(
                    number=number,
                    unpacked_size=table.root.total,
                    entries=table.root.count,
                    whiteouts=table.root.gone,
                    created_by=made_by,
                    shared_with=layer["sharedWith"],
                )
                for number, (table, made_by, layer) in enumerate(
                    zip(image.stack.tables, image.made_by, told["layers"], strict=True), 1
                )
            ],
        )


WORK: dict[str, list[dict[str, Any]]] = {
    "pull": [
        {
            "event": "resolved",
            "digest": "sha256:" + "9" * 64,
            "blobs": [
                {"digest": "sha256:" + "a" * 64, "kind": "config", "size": 1200, "state": "done",
                 "done": 1200},
                {"digest": "sha256:" + "b" * 64, "kind": "layer", "size": 30 * MIB,
                 "state": "present", "done": 30 * MIB},
                {"digest": "sha256:" + "c" * 64, "kind": "layer", "size": 48 * MIB,
                 "state": "waiting", "done": 0},
            ],
        },
        {
            "event": "blob",
            "blob": {"digest": "sha256:" + "c" * 64, "kind": "layer", "size": 48 * MIB,
                     "state": "active", "done": 31 * MIB, "rate": 8.5 * MIB, "remaining": 2.0,
                     "resumed": 4 * MIB},
        },
    ],
    "prune": [{"event": "done", "removedBlobs": 3, "removedLayers": 2, "freed": 41 * MIB}],
    "remove": [{"event": "done", "removedBlobs": 1, "removedLayers": 1, "freed": 14 * MIB}],
}  # fmt: skip
"""What the engine tells of work; a pull is left where a transfer is in its middle."""
