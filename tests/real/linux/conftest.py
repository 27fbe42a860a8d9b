"""Real doors are opened in a process of their own: what they do cannot be undone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

PREAMBLE = """
import errno, json, os, signal, socket, struct, sys
sys.path.insert(0, {path!r})
from engine.linux import mount, namespace, netlink, path, pidfd, process, seccomp
from engine.linux.flags import *

def answer(value):
    sys.stdout.write(json.dumps(value))
    sys.stdout.flush()

def failure(door, *arguments, **options):
    try:
        door(*arguments, **options)
    except OSError as error:
        about = error.filename
        return [error.errno, about.decode() if isinstance(about, bytes) else str(about)]

def private_mounts():
    namespace.unshare(CLONE.NEWNS)
    mount.mount(None, b"/", None, MS.REC | MS.PRIVATE)
    mount.mount(b"lab", b"/mnt", b"tmpfs", MS.NOSUID)
    os.chdir("/mnt")
"""


@pytest.fixture
def alone() -> Callable[[str], Any]:
    """Run code in a single-threaded process as light as the keeper; gives what it answer()s."""
    if os.geteuid():
        pytest.skip("needs root")

    def run(code: str) -> Any:
        code = PREAMBLE.format(path=os.getcwd()) + code
        command = [sys.executable, "-I", "-S", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
