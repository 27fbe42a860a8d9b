"""Which containers of a pod should be started now, and whether the pod is finished. Pure.

Init containers run to completion one after the other; an init container with restartPolicy Always
(a sidecar) is only waited for until it counts as started, and then keeps running beside the rest.
"""

from collections.abc import Mapping

from engine.kubelet.qos import is_sidecar
from engine.kubelet.status import Record
from engine.types.containers import Container
from engine.types.pods import Pod


def due(pod: Pod, records: Mapping[str, Record]) -> list[Container]:
    """The containers to start, in order; back-off is for the caller to judge."""
    begun = has_begun(pod, records)
    # To look into a pod, whatever it waits for; each once.
    result: list[Container] = [
        c for c in pod.spec.ephemeral_containers if (records.get(c.name) or Record()).life is None
    ]
    for container in pod.spec.init_containers:
        record = records.get(container.name) or Record()
        if is_sidecar(container):
            if not record.running:
                result.append(container)
            if not record.started and not begun:
                return result
        elif not begun:
            if record.ended is not None and record.ended.exit_code == 0:
                continue
            if not record.running and (record.ended is None or _restarts(pod, record)):
                result.append(container)
            return result
    for container in pod.spec.containers:
        record = records.get(container.name) or Record()
        if not record.running and (record.ended is None or _restarts(pod, record)):
            result.append(container)
    return result


def coming(pod: Pod, records: Mapping[str, Record]) -> list[Container]:
    """The containers that start when the init container that runs now is done."""
    init = [c for c in pod.spec.init_containers if not is_sidecar(c)]
    running = [n for n, c in enumerate(init) if c.name in records and records[c.name].running]
    if not running or has_begun(pod, records):
        return []
    after = init[running[0] + 1 :]
    return after[:1] or list(pod.spec.containers)


def has_begun(pod: Pod, records: Mapping[str, Record]) -> bool:
    """Whether initialization is over: an app container has run."""
    return any(c.name in records and records[c.name].life for c in pod.spec.containers)


def finished(pod: Pod, records: Mapping[str, Record]) -> bool:
    """Whether by its restart policy nothing of the pod will be started again."""
    policy = pod.spec.restart_policy
    if policy == "Never" and not has_begun(pod, records):
        init = [c for c in pod.spec.init_containers if not is_sidecar(c) and c.name in records]
        ended = [records[c.name].ended for c in init]
        if any(life is not None and life.exit_code for life in ended):
            return True
    apps = [records.get(c.name) or Record() for c in pod.spec.containers]
    return all(r.ended is not None and not _restarts(pod, r) for r in apps)


def _restarts(pod: Pod, record: Record) -> bool:
    if record.changed:
        return True
    policy = pod.spec.restart_policy or "Always"
    failed = record.ended is not None and record.ended.exit_code != 0
    return policy == "Always" or (policy == "OnFailure" and failed)
