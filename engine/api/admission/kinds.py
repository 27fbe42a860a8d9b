"""Which checks belong to which kind: of an object by itself, and of a change to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.api.admission import pod, podparts, settings, workload
from engine.api.admission.causes import Causes

CHECKS: dict[str, Callable[[Any, Causes], None]] = {
    "Pod": pod.check_pod,
    "Deployment": workload.check_deployment,
    "ReplicaSet": workload.check_replica_set,
    "Job": workload.check_job,
    "ConfigMap": settings.check_config_map,
    "Secret": settings.check_secret,
    "Service": settings.check_service,
    "Node": settings.check_node,
    "Event": settings.check_event,
}
UPDATE_CHECKS: dict[str, Callable[[Any, Any, Causes], None]] = {
    "Pod": pod.check_pod_change,
    "Deployment": workload.check_deployment_change,
    "ReplicaSet": workload.check_replica_set_change,
    "Job": workload.check_job_change,
    "ConfigMap": settings.check_config_map_change,
    "Secret": settings.check_secret_change,
    "Node": settings.check_node_change,
}
PART_CHECKS: dict[str, Callable[[Any, Any, Causes], None]] = {
    "ephemeralcontainers": podparts.check_ephemeral_change,
    "resize": podparts.check_resize,
}
