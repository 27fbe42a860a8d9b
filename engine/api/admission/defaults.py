"""Defaults of every kind that has some, as Kubernetes sets them (pkg/apis/*/v1/defaults.go)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from engine.api.admission.pod_defaults import default_pod, default_pod_spec, qos_class
from engine.types.apps import Deployment, ReplicaSet, RollingUpdateDeployment
from engine.types.batch import Job
from engine.types.core import Event, Namespace, Node, Pod, Secret, Service
from engine.types.meta import LabelSelector, Object

UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def default(obj: Object) -> None:
    """Complete `obj` in place, whether it is new or an update."""
    complete = _DEFAULTS.get(type(obj))
    if complete is not None:
        complete(obj)


def initialize(obj: Object) -> None:
    """Give a new object its first status, and what only the server decides."""
    begin = _INITIAL.get(type(obj))
    if begin is not None:
        begin(obj)


def _pod(pod: Pod) -> None:
    default_pod(pod)


def _new_pod(pod: Pod) -> None:
    pod.status = type(pod.status)(phase="Pending", qos_class=qos_class(pod.spec))


def _deployment(deployment: Deployment) -> None:
    spec = deployment.spec
    default_pod_spec(spec.template.spec)
    if spec.replicas is None:
        spec.replicas = 1
    spec.strategy.type = spec.strategy.type or "RollingUpdate"
    if spec.strategy.type == "RollingUpdate":
        rolling = spec.strategy.rolling_update = (
            spec.strategy.rolling_update or RollingUpdateDeployment()
        )
        if rolling.max_unavailable is None:
            rolling.max_unavailable = "25%"
        if rolling.max_surge is None:
            rolling.max_surge = "25%"
    if spec.revision_history_limit is None:
        spec.revision_history_limit = 10
    if spec.progress_deadline_seconds is None:
        spec.progress_deadline_seconds = 600


def _new_deployment(deployment: Deployment) -> None:
    deployment.status = type(deployment.status)()


def _replica_set(replica_set: ReplicaSet) -> None:
    default_pod_spec(replica_set.spec.template.spec)
    if replica_set.spec.replicas is None:
        replica_set.spec.replicas = 1


def _new_replica_set(replica_set: ReplicaSet) -> None:
    replica_set.status = type(replica_set.status)()


def _job(job: Job) -> None:
    spec = job.spec
    default_pod_spec(spec.template.spec)
    # No counts given means one pod once; a work queue has parallelism and no completions.
    if spec.completions is None and spec.parallelism is None:
        spec.completions = 1
    if spec.parallelism is None:
        spec.parallelism = 1
    if spec.backoff_limit is None:
        spec.backoff_limit = 6
    spec.completion_mode = spec.completion_mode or "NonIndexed"
    if spec.suspend is None:
        spec.suspend = False
    if spec.manual_selector is None:
        spec.manual_selector = False
    spec.pod_replacement_policy = spec.pod_replacement_policy or "TerminatingOrFailed"


def _new_job(job: Job) -> None:
    """A job selects its pods by its own uid, so that two jobs never share one."""
    job.status = type(job.status)()
    if job.spec.manual_selector:
        return
    labels = job.spec.template.metadata.labels
    for label in UID_LABELS:
        labels.setdefault(label, job.metadata.uid)
    for label in NAME_LABELS:
        labels.setdefault(label, job.metadata.name)
    if job.spec.selector is None:
        job.spec.selector = LabelSelector(match_labels={UID_LABELS[0]: job.metadata.uid})


def _service(service: Service) -> None:
    spec = service.spec
    spec.type = spec.type or "ClusterIP"
    spec.session_affinity = spec.session_affinity or "None"
    for port in spec.ports:
        port.protocol = port.protocol or "TCP"
        port.target_port = port.target_port or port.port
    if spec.type != "ExternalName":
        spec.internal_traffic_policy = spec.internal_traffic_policy or "Cluster"
        # Nothing routes service addresses yet, and a headless service promises none.
        spec.cluster_ip = spec.cluster_ip or "None"
        spec.cluster_ips = spec.cluster_ips or [spec.cluster_ip]


def _secret(secret: Secret) -> None:
    secret.type = secret.type or "Opaque"
    for key, text in secret.string_data.items():
        secret.data[key] = b64encode(text.encode()).decode()
    secret.string_data = {}


def _namespace(namespace: Namespace) -> None:
    namespace.metadata.labels["kubernetes.io/metadata.name"] = namespace.metadata.name


def _new_namespace(namespace: Namespace) -> None:
    if "kubernetes" not in namespace.spec.finalizers:
        namespace.spec.finalizers = [*namespace.spec.finalizers, "kubernetes"]
    namespace.status = type(namespace.status)(phase="Active")


def _node(node: Node) -> None:
    # A node that tells no allocatable offers all it has.
    if node.status.capacity and not node.status.allocatable:
        node.status.allocatable = dict(node.status.capacity)


def _event(event: Event) -> None:
    event.type = event.type or "Normal"


_DEFAULTS: dict[type[Any], Callable[[Any], None]] = {
    Pod: _pod,
    Deployment: _deployment,
    ReplicaSet: _replica_set,
    Job: _job,
    Service: _service,
    Secret: _secret,
    Namespace: _namespace,
    Node: _node,
    Event: _event,
}
_INITIAL: dict[type[Any], Callable[[Any], None]] = {
    Pod: _new_pod,
    Deployment: _new_deployment,
    ReplicaSet: _new_replica_set,
    Job: _new_job,
    Namespace: _new_namespace,
}
