"""The user's editor, on the terminal that the dashboard lends it."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..application import PodariumApp

_NAMED = ("KUBE_EDITOR", "VISUAL", "EDITOR")
_USUAL = ("sensible-editor", "editor", "nano", "vim", "vi")


class EditorFailure(Exception):
    """Why there is no edited text, in words."""


def editor() -> list[str]:
    """The command: $KUBE_EDITOR, $VISUAL, $EDITOR, or what there is. Raise EditorFailure."""
    for name in _NAMED:
        if words := shlex.split(os.environ.get(name, "")):
            return words
    for program in _USUAL:
        if path := shutil.which(program):
            return [path]
    raise EditorFailure("there is no editor: set EDITOR to the one you use")


async def edit_text(app: PodariumApp, text: str, name: str) -> str:
    """The text as it was when the editor ended. Raise EditorFailure.

    The file is only ours to read (mkdtemp(3)), for it may be a secret, and is gone afterwards.
    """
    command = editor()
    with tempfile.TemporaryDirectory(prefix="podarium-") as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        try:
            # suspend() comes back only when its body does not raise.
            with app.suspend(), app.batch_update():
                code = await _run([*command, str(file)])
            if code:
                raise EditorFailure(f"{command[0]} ended with {code}: nothing is changed")
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise EditorFailure("what was saved is not UTF-8: nothing is changed") from None
        except OSError as error:
            raise EditorFailure(f"{command[0]}: {error.strerror}; set EDITOR") from None


async def _run(command: list[str]) -> int:
    """Its exit code; -1 when it cannot be run."""
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError:
        return 127
    return await process.wait()
