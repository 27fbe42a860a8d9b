"""Layers made up for tests, and the plain way to say what a stack of them shows."""

from __future__ import annotations

from hypothesis import strategies as st

from engine.images.explore.memory import MemoryTable
from engine.images.tar import DIRECTORY, FILE, SYMLINK, Entry

Layer = list[Entry]


def file(path: str, size: int = 1, **more: int) -> Entry:
    return Entry(tuple(path.encode().split(b"/")), FILE, size=size, **more)


def folder(path: str, **more: int) -> Entry:
    return Entry(tuple(path.encode().split(b"/")), DIRECTORY, 0o755, **more)


def link(path: str, target: str) -> Entry:
    return Entry(tuple(path.encode().split(b"/")), SYMLINK, 0o777, link=target.encode())


def gone(path: str) -> Entry:
    above, _, name = path.rpartition("/")
    return file(f"{above}/.wh.{name}" if above else f".wh.{name}", 0)


def opaque(path: str) -> Entry:
    return file(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq", 0)


def tables(*layers: Layer) -> list[MemoryTable]:
    return [MemoryTable.of_archive(layer) for layer in layers]


def shown(layers: list[Layer]) -> dict[bytes, tuple[int, int]]:
    """Every visible file's size and layer, by the rules of layer.md, the slow way."""
    seen: dict[bytes, tuple[int, int] | None] = {}

    def drop(path: bytes, itself: bool) -> None:
        for other in list(seen):
            if other.startswith(path + b"/" if path else b"") and other != path:
                del seen[other]
        if itself:
            seen.pop(path, None)

    for number, layer in enumerate(layers):
        for entry in layer:  # whiteouts hide only what is below
            *above, name = entry.parts
            if name == b".wh..wh..opq":
                drop(b"/".join(above), False)
            elif name.startswith(b".wh."):
                drop(b"/".join((*above, name[4:])), True)
        for entry in layer:
            path = b"/".join(entry.parts)
            for depth in range(1, len(entry.parts)):
                parent = b"/".join(entry.parts[:depth])
                if seen.get(parent) is not None:
                    seen[parent] = None
                seen.setdefault(parent, None)
            if entry.parts[-1].startswith(b".wh."):
                continue  # the directory it is in is there
            if entry.kind == DIRECTORY:
                seen[path] = None
            else:
                drop(path, True)
                seen[path] = (entry.size, number)
    return {path: found for path, found in seen.items() if found is not None}


_NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)


@st.composite
def one_layer(draw: st.DrawFn) -> Layer:
    """A layer in which no file is used as a directory, as archives of sane tools are."""
    entries: Layer = []
    files: set[str] = set()
    folders: set[str] = set()
    for path in draw(st.lists(_NAMES, max_size=5, unique=True)):
        parents = {path[:at] for at in range(len(path)) if path[at] == "/"}
        what = draw(st.sampled_from(["file", "file", "folder", "gone", "opaque"]))
        if parents & files or path in files:
            continue
        if what == "file" and path in folders:
            continue
        folders |= parents
        if what == "file":
            files.add(path)
            entries.append(file(path, draw(st.integers(0, 9))))
        elif what == "folder":
            folders.add(path)
            entries.append(folder(path))
        elif what == "gone":
            entries.append(gone(path))
        else:
            folders.add(path)
            entries.append(opaque(path))
    return entries


STACKS = st.lists(one_layer(), min_size=1, max_size=4)
