"""Whole clusters, driven as a person drives them: by the command and by kubectl."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.home import ClusterPaths

BIN = Path(sys.executable).parent
DEMO = Path(__file__).parents[3] / "podarium" / "demo"


@dataclass(frozen=True)
class Shell:
    """Commands about one cluster, in a home of its own."""

    paths: ClusterPaths

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "PODARIUM_HOME": str(self.paths.home),
            "KUBECONFIG": str(self.paths.kubeconfig),
            "HOME": str(self.paths.home),  # kubectl's caches
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def podarium(self, *words: str, code: int = 0) -> str:
        """Run `podarium WORDS` on the cluster; its standard output, or its errors when it fails."""
        verb, *rest = words
        plain = verb in ("images", "load")
        option = [] if plain else ["--cluster", self.paths.name]
        ran = self._run([str(BIN / "podarium"), verb, *option, *rest])
        assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout if code == 0 else ran.stdout + ran.stderr

    def kubectl(self, *words: str) -> str:
        ran = self._run(["kubectl", *words])
        assert ran.returncode == 0, f"kubectl {words}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Short, because sockets live below it; pytest's own folders are too deep."""
    folder = Path(tempfile.mkdtemp(prefix="pd"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shell(home: Path) -> Iterator[Shell]:
    """A cluster that is up, and is taken down again."""
    shell = Shell(ClusterPaths.of(home, "e2e"))
    shell.podarium("up")
    yield shell
    shell.podarium("down", "--purge")
