"""Lists of what makes pods: deployments, replica sets, jobs."""

from __future__ import annotations

from engine.types import clock
from engine.types.apps import Deployment, ReplicaSet
from engine.types.batch import Job
from engine.types.meta import Object, controller_of

from ..render import cells
from ..render.bars import slim
from ..render.spans import Line
from ..render.text import inert
from .cluster import Cluster
from .column import Column, name_cell, quiet
from .pods import born, key_of, zero
from .series import grouped, total

NAMESPACE = Column(
    "NAMESPACE",
    14,
    lambda c, o: inert(o.metadata.namespace),
    lambda c, o, w: quiet(inert(o.metadata.namespace), w),
    rank=6,
    key="P",
)
NAME = Column(
    "NAME",
    0,
    lambda c, o: inert(o.metadata.name),
    lambda c, o, w: name_cell(inert(o.metadata.name), w),
    key="N",
)
AGE = Column(
    "AGE",
    5,
    born,
    lambda c, o, w: quiet(clock.age(o.metadata.creation_timestamp, c.now()), w),
    right=True,
    rank=2,
    key="A",
)


def used(cluster: Cluster, owner: Object, field: str) -> float:
    """The sum of a field over an owner's pods, NaN without numbers."""
    return total(cluster.book.pod_now(key_of(pod), field) for pod in cluster.pods_of(owner))


def span_of(
    cluster: Cluster, keys: list[str], values: list[float], which: int
) -> tuple[float, float | None]:
    """The top of a sparkline over several containers, and what is hot for them: their limits.

    `which` limit: 0 is CPU, 1 is memory.
    """
    seen = max((value for value in values if value == value), default=0.0)
    found = [cluster.book.limits.get(key, (None, None))[which] for key in keys]
    hot = sum(limit for limit in found if limit) if found and all(found) else None
    return max(0.05, seen, (hot or 0.0) * (0.25 if which == 0 else 1.0)), hot


def _trend(cluster: Cluster, owner: Object, width: int) -> Line:
    keys = [k for pod in cluster.pods_of(owner) for k in cluster.book.containers(key_of(pod))]
    values = cluster.book.sums(keys, "cpu", 32)
    return cells.trend(grouped(values, width), width, "cpu", *span_of(cluster, keys, values, 0))


CPU = Column(
    "CPU",
    5,
    lambda c, o: zero(used(c, o, "cpu")),
    lambda c, o, w: cells.cores(used(c, o, "cpu")),
    right=True,
    key="C",
    live=True,
    down=True,
    rank=3,
)
TREND = Column("", 8, lambda c, o: zero(used(c, o, "cpu")), _trend, tight=True, live=True, rank=4)
MEMORY = Column(
    "MEM Mi",
    6,
    lambda c, o: zero(used(c, o, "memory")),
    lambda c, o, w: cells.mebibytes(used(c, o, "memory")),
    right=True,
    key="M",
    live=True,
    down=True,
    rank=3,
)


def images_of(containers: list[object]) -> str:
    """The images of a template's containers."""
    return ",".join(inert(container.image) for container in containers)  # type: ignore[attr-defined]


def wanted(obj: Deployment | ReplicaSet) -> int:
    """Replicas asked for; 1 when the field is absent."""
    return 1 if obj.spec.replicas is None else obj.spec.replicas


def deployment_status(obj: Deployment) -> tuple[str, str]:
    """The word of a deployment's status and what it means."""
    conditions = {c.type: c for c in obj.status.conditions}
    progressing = conditions.get("Progressing")
    if obj.spec.paused:
        return "Paused", cells.WARN
    if wanted(obj) == 0:
        return "Scaled to 0", cells.DONE
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        return "Stuck", cells.BAD
    if obj.status.observed_generation < obj.metadata.generation:
        return "Progressing", cells.BUSY
    if obj.status.updated_replicas < wanted(obj) or obj.status.replicas > wanted(obj):
        return "Progressing", cells.BUSY
    if obj.status.available_replicas < wanted(obj):
        return "Degraded", cells.WARN
    return "Available", cells.OK


def fraction(ready: int, of: int, width: int, role: str = "cpu") -> Line:
    """`2/3` and a bar."""
    text = f"{ready}/{of}"
    tone = "text" if ready >= of else "warn"
    return (*slim(ready / of if of else 1.0, width - 6, role), (f"{text:>6}", tone))


DEPLOYMENTS = (
    NAMESPACE,
    NAME,
    Column(
        "READY",
        12,
        lambda c, d: d.status.ready_replicas,
        lambda c, d, w: fraction(d.status.ready_replicas, wanted(d), w, "net"),
        down=True,
    ),
    Column(
        "STATUS",
        13,
        lambda c, d: deployment_status(d)[0],
        lambda c, d, w: cells.state(*deployment_status(d)),
        key="S",
    ),
    Column(
        "UP-TO-DATE",
        10,
        lambda c, d: d.status.updated_replicas,
        lambda c, d, w: quiet(str(d.status.updated_replicas), w),
        right=True,
        rank=6,
    ),
    Column(
        "AVAILABLE",
        9,
        lambda c, d: d.status.available_replicas,
        lambda c, d, w: quiet(str(d.status.available_replicas), w),
        right=True,
        rank=6,
    ),
    CPU,
    TREND,
    MEMORY,
    Column(
        "IMAGES",
        22,
        lambda c, d: images_of(d.spec.template.spec.containers),
        lambda c, d, w: quiet(images_of(d.spec.template.spec.containers), w),
        rank=8,
    ),
    AGE,
)


def replicaset_status(obj: ReplicaSet) -> tuple[str, str]:
    """The word of a replica set's status and what it means."""
    if wanted(obj) == 0 and obj.status.replicas == 0:
        return "Scaled to 0", cells.DONE
    if obj.status.ready_replicas < wanted(obj):
        return "Progressing", cells.BUSY
    return "Available", cells.OK


def _owner(cluster: Cluster, obj: Object) -> str:
    ref = controller_of(obj.metadata)
    return inert(f"{ref.kind}/{ref.name}") if ref else "–"


REPLICASETS = (
    NAMESPACE,
    NAME,
    Column(
        "READY",
        12,
        lambda c, r: r.status.ready_replicas,
        lambda c, r, w: fraction(r.status.ready_replicas, wanted(r), w, "net"),
        down=True,
    ),
    Column(
        "STATUS",
        13,
        lambda c, r: replicaset_status(r)[0],
        lambda c, r, w: cells.state(*replicaset_status(r)),
        key="S",
    ),
    CPU,
    MEMORY,
    Column("OWNER", 22, _owner, lambda c, r, w: quiet(_owner(c, r), w), rank=5),
    AGE,
)


def job_status(job: Job) -> tuple[str, str]:
    """The word of a job's status and what it means."""
    for condition in job.status.conditions:
        if condition.status == "True" and condition.type in ("Complete", "Failed"):
            return condition.type, cells.DONE if condition.type == "Complete" else cells.BAD
    if job.spec.suspend:
        return "Suspended", cells.WARN
    return ("Running", cells.OK) if job.status.active else ("Waiting", cells.BUSY)


def job_seconds(cluster: Cluster, job: Job) -> float:
    """How long a job has run."""
    if not job.status.start_time:
        return 0.0
    end = job.status.completion_time
    start = clock.parse(job.status.start_time)
    return max(0.0, (clock.parse(end) if end else cluster.now()) - start)


def _completions(cluster: Cluster, job: Job, width: int) -> Line:
    of = job.spec.completions or 1
    return fraction(job.status.succeeded, of, width, "net")


JOBS = (
    NAMESPACE,
    NAME,
    Column("COMPLETIONS", 14, lambda c, j: j.status.succeeded, _completions, down=True),
    Column(
        "STATUS",
        11,
        lambda c, j: job_status(j)[0],
        lambda c, j, w: cells.state(*job_status(j)),
        key="S",
    ),
    Column(
        "ACTIVE",
        6,
        lambda c, j: j.status.active,
        lambda c, j, w: quiet(str(j.status.active), w),
        right=True,
        rank=4,
        down=True,
    ),
    Column(
        "FAILED",
        6,
        lambda c, j: j.status.failed,
        lambda c, j, w: ((str(j.status.failed), "bad" if j.status.failed else "faint"),),
        right=True,
        rank=4,
        down=True,
    ),
    Column(
        "DURATION",
        8,
        job_seconds,
        lambda c, j, w: ((clock.duration(job_seconds(c, j)), "text"),),
        right=True,
        rank=3,
    ),
    CPU,
    TREND,
    AGE,
)
