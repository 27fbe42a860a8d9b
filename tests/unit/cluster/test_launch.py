"""One engine a cluster, whatever became of the last one."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from engine.home import ClusterPaths
from engine.launch import AlreadyRunning, EngineLock, running


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    found = ClusterPaths(tmp_path, "t")
    found.run.mkdir(parents=True)
    return found


def _hold(paths: ClusterPaths, ready: Connection) -> None:
    with EngineLock(paths):
        ready.send(os.getpid())
        signal.pause()


@pytest.fixture
def holder(paths: ClusterPaths) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(paths, there))
    process.start()
    assert here.recv() == process.pid
    return process


def test_no_file_is_no_engine(paths: ClusterPaths) -> None:
    assert running(paths) is None


def test_the_lock_tells_the_holder_and_keeps_others_out(
    paths: ClusterPaths, holder: multiprocessing.process.BaseProcess
) -> None:
    assert running(paths) == holder.pid
    with pytest.raises(AlreadyRunning, match=str(holder.pid)), EngineLock(paths):
        pass
    assert running(paths) == holder.pid
    holder.kill()
    holder.join()


def test_a_killed_engine_leaves_a_file_but_no_lock(
    paths: ClusterPaths, holder: multiprocessing.process.BaseProcess
) -> None:
    holder.kill()
    holder.join()
    assert paths.engine_pid.exists()
    assert running(paths) is None
    with EngineLock(paths):
        assert paths.engine_pid.read_text() == f"{os.getpid()}\n"
    assert not paths.engine_pid.exists()
