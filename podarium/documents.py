"""Manifests as the shell names them: files, folders, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from engine.client.apply import Manifest, ManifestError, read_manifests
from podarium.failure import Failure

_ENDINGS = (".yaml", ".yml", ".json")


def read(names: Iterable[str]) -> list[Manifest]:
    """Every document of every file named, in order; raise Failure naming the file."""
    found: list[Manifest] = []
    for name in names:
        for source, text in _texts(name):
            try:
                found += read_manifests(text, source)
            except ManifestError as error:
                raise Failure(str(error)) from None
    if not found:
        raise Failure("no object in " + ", ".join(names))
    return found


def _texts(name: str) -> Iterable[tuple[str, str]]:
    if name == "-":
        yield "standard input", sys.stdin.read()
        return
    path = Path(name)
    files = (
        sorted(file for file in path.iterdir() if file.suffix in _ENDINGS)
        if path.is_dir()
        else [path]
    )
    for file in files:
        try:
            yield str(file), file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{file}: {error}") from None
