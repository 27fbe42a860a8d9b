"""Layers are made in a process of its own that can reach nothing but the layer's folder.

`python -m engine.images.layers.apart` is started once for a stack of layers. It is given jobs on a
socket, with descriptors: where the blob's bytes come from, where the answer goes, the folder, and
the trees below. For each it forks; the child gives up its capabilities but for those that make
files, and by Landlock every file but what lies below those descriptors. A decompressor that a
stranger's bytes take over has a layer's folder to write in, and no socket, no other process, no
other file.

Without Landlock (Linux 5.19, if it is not switched off) the process is apart, and not fenced in.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from engine.images import stream
from engine.images.errors import BadLayer, ImageError
from engine.images.layers.base import opaque
from engine.images.layers.making import Job, Made, make
from engine.images.tar import Limits
from engine.images.types import Digest
from engine.linux import landlock
from engine.linux.flags import CAP, LANDLOCK_ACCESS_FS
from engine.linux.process import capget, capset, set_no_new_privs

_FS = LANDLOCK_ACCESS_FS
_ALL = (1 << 16) - 1 & ~_FS.EXECUTE
_READ = _FS.READ_FILE | _FS.READ_DIR
_FIRST_ABI = 2  # before it, no link leads from one directory to another
_FILE_CAPABILITIES = (
    CAP.CHOWN, CAP.DAC_OVERRIDE, CAP.DAC_READ_SEARCH, CAP.FOWNER, CAP.FSETID, CAP.MKNOD,
    CAP.SETFCAP, CAP.SYS_ADMIN,  # trusted attributes
)  # fmt: skip
_NAME = "engine.images.layers.apart"
_ANSWER = 1 << 16
_DESCRIPTORS = 200  # in one message: the kernel takes 253
_ERRORS = {"BadLayer": BadLayer, "ImageError": ImageError}


def fenced() -> bool:
    """Whether the kernel can keep the process from everything else."""
    return landlock.abi() >= _FIRST_ABI


class Maker:
    """Makes layers, one after the other: apart, or here. Use it as a context."""

    def __init__(self, *, apart: bool) -> None:
        self._apart = apart
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None

    def __enter__(self) -> "Maker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._jobs is not None and self._process is not None:
            self._jobs.close()
            self._process.wait()

    def make(self, job: Job, packed: Iterable[bytes]) -> Made:
        """Raise BadLayer, ImageError, or what `packed` raises; nothing writes any more then."""
        if not self._apart:
            return make(job, packed)
        source, sink = os.pipe()
        answer, answering = os.pipe()
        try:
            try:
                self._send(job, source, answering)
            finally:
                os.close(source)
                os.close(answering)
            try:
                with contextlib.suppress(BrokenPipeError):
                    for chunk in packed:
                        stream.write_all(sink, chunk)
            finally:
                os.close(sink)
                sink = -1
                # Whatever happened: to its end nobody else may touch the folder.
                said = b"".join(stream.read(answer))
        finally:
            os.close(answer)
            if sink >= 0:
                os.close(sink)
        return _heard(said)

    def _send(self, job: Job, source: int, answering: int) -> None:
        jobs = self._started()
        folders = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in job.below]
        folders.insert(0, os.open(job.layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            words = {
                "driver": job.driver,
                "layer": os.fspath(job.layer),
                "diff_id": str(job.diff_id),
                "limits": asdict(job.limits),
                "folders": len(folders),
            }
            socket.send_fds(jobs, [json.dumps(words).encode()], [source, answering])
            for at in range(0, len(folders), _DESCRIPTORS):
                socket.send_fds(jobs, [b"f"], folders[at : at + _DESCRIPTORS])
        except OSError as error:
            raise ImageError(f"the process that makes layers has ended: {error}") from error
        finally:
            for folder in folders:
                os.close(folder)

    def _started(self) -> socket.socket:
        if self._jobs is None:
            self._jobs, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-P", "-m", _NAME, str(theirs.fileno())]
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
                )
        return self._jobs


def _heard(said: bytes) -> Made:
    if not said:
        raise ImageError("the process that makes layers ended without a word: out of memory?")
    words = json.loads(said)
    if "error" in words:
        raise _ERRORS[words["error"]](words["text"])
    return Made(**words)


# The other side


def serve(jobs: socket.socket) -> None:
    """Make what is asked for until nobody can ask any more."""
    while True:
        text, (source, answering) = _received(jobs, 2)
        if not text:
            return
        words = json.loads(text)
        folders: list[int] = []
        while len(folders) < words["folders"]:
            folders += _received(jobs, _DESCRIPTORS)[1]
        pid = os.fork()
        if pid == 0:
            jobs.close()
            _answer(words, source, answering, folders)
            os._exit(0)
        for descriptor in (source, answering, *folders):
            os.close(descriptor)
        os.waitpid(pid, 0)


def _received(jobs: socket.socket, most: int) -> tuple[bytes, list[int]]:
    text, descriptors, _, _ = socket.recv_fds(jobs, _ANSWER, most)
    return text, descriptors if text else [-1, -1]


def _answer(words: dict[str, object], source: int, answering: int, folders: Sequence[int]) -> None:
    try:
        limits = words["limits"]
        assert isinstance(limits, dict)
        job = Job(
            driver=str(words["driver"]),
            layer=Path(str(words["layer"])),
            below=[Path(f"/proc/self/fd/{folder}") for folder in folders[1:]],
            diff_id=Digest(str(words["diff_id"])),
            limits=Limits(**limits),
        )
        confine(folders[0], folders[1:])
        told: dict[str, object] = asdict(make(job, stream.read(source)))
    except BadLayer as error:
        told = {"error": "BadLayer", "text": str(error)}
    except (ImageError, OSError) as error:
        told = {"error": "ImageError", "text": str(error)}
    stream.write_all(answering, json.dumps(told).encode())


def confine(layer: int, below: Sequence[int]) -> None:
    """Give up everything but the open directory `layer`, and reading what is `below`."""
    for kind in ("compression.zstd", "backports.zstd", "bz2", "lzma"):
        stream.first_module(kind)  # later there is no file to import from, nor one to ask
    opaque()
    mask = sum(1 << capability for capability in _FILE_CAPABILITIES) & capget()[1]
    set_no_new_privs()
    version = landlock.abi()
    if version >= _FIRST_ABI:
        ruleset = landlock.create_ruleset(version)
        landlock.add_path(ruleset, layer, _ALL, version)
        for folder in below:
            landlock.add_path(ruleset, folder, _READ, version)
        landlock.restrict_self(ruleset)
        os.close(ruleset)
    capset(mask, mask, 0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        serve(asked)
