"""Where a pod's files lie on its node.

pods/<uid>/volumes/<name>/                     emptyDir, config maps, ...
pods/<uid>/shared/shm/                         /dev/shm of several containers
pods/<uid>/containers/<name>/<attempt>/        the container's init files and read-write layer
pods/<uid>/containers/<name>/<attempt>.words   its termination message
pods/<uid>/containers/<name>/<attempt>.plan    what its start did (see engine.runtime.trace)
logs/<namespace>_<pod>_<uid>/<name>/<attempt>.log
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from engine.home import NodePaths
from engine.images.erase import erase_path
from engine.images.rootfs import remove_rootfs
from engine.types.pods import Pod

_UID = re.compile(r"[a-zA-Z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class PodFolders:
    pod: Path
    logs: Path

    @classmethod
    def of(cls, paths: NodePaths, pod: Pod) -> "PodFolders":
        """Raise ValueError for a uid that is no file name."""
        meta = pod.metadata
        if not _UID.fullmatch(meta.uid):
            raise ValueError(f"pod {meta.namespace}/{meta.name}: uid {meta.uid!r} is not usable")
        return cls(paths.pods / meta.uid, paths.logs / f"{meta.namespace}_{meta.name}_{meta.uid}")

    @property
    def volumes(self) -> Path:
        return self.pod / "volumes"

    @property
    def shared(self) -> Path:
        return self.pod / "shared"

    def container(self, name: str, attempt: int) -> Path:
        return self.pod / "containers" / name / str(attempt)

    def words(self, name: str, attempt: int) -> Path:
        return self.pod / "containers" / name / f"{attempt}.words"

    def plan(self, name: str, attempt: int) -> Path:
        return self.pod / "containers" / name / f"{attempt}.plan"

    def log(self, name: str, attempt: int) -> Path:
        return self.logs / name / f"{attempt}.log"

    def forget_logs(self, name: str, *, before: int) -> None:
        """Remove the logs of attempts before that one, rotated pieces included."""
        for log in (self.logs / name).glob("*.log*"):
            attempt = log.name.partition(".")[0]
            if attempt.isdecimal() and int(attempt) < before:
                log.unlink(missing_ok=True)


def uids(paths: NodePaths) -> set[str]:
    """The pods that have files on the node."""
    found = {entry.name for entry in paths.pods.iterdir()}
    return found | {entry.name.rpartition("_")[2] for entry in paths.logs.iterdir()}


def remove_files(paths: NodePaths, uid: str) -> None:
    """Everything of a pod, however deep its containers made it."""
    pod = paths.pods / uid
    for container in pod.glob("containers/*/[0-9]*/"):
        remove_rootfs(container)
    for folder in (pod, *paths.logs.glob(f"*_{uid}")):
        erase_path(os.fsencode(folder))
