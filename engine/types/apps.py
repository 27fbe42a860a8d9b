"""The apps group, v1: kinds that keep a number of pods alive."""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, IntOrString, Type, always
from engine.types.meta import Condition, LabelSelector, Object
from engine.types.pods import PodTemplateSpec


class ReplicaSetSpec(Type, kw_only=True):
    """What a replica set should be."""

    replicas: Annotated[int | None, F("How many pods; 1 if absent.", 1)] = None
    selector: Annotated[LabelSelector, F("Which pods are its own.", 2)] = always(LabelSelector)
    template: Annotated[PodTemplateSpec, F("What pods are made from.", 3)] = always(PodTemplateSpec)
    min_ready_seconds: Annotated[int, F("Seconds ready before available.", 4)] = 0


class ReplicaSetStatus(Type, kw_only=True):
    """What is known of a replica set."""

    replicas: Annotated[int, F("Pods.", 1)] = always(int)
    fully_labeled_replicas: Annotated[int, F("Pods with all labels of the template.", 2)] = 0
    observed_generation: Annotated[int, F("Generation that was looked at.", 3)] = 0
    ready_replicas: Annotated[int, F("Ready pods.", 4)] = 0
    available_replicas: Annotated[int, F("Pods ready for long enough.", 5)] = 0
    conditions: Annotated[list[Condition], F("Aspects.", 6, merge_key="type")] = []
    terminating_replicas: Annotated[int | None, F("Pods that are ending.", 7)] = None


class ReplicaSet(Object, kw_only=True):
    """Keeps a number of equal pods alive."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("apps/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("ReplicaSet")
    spec: Annotated[ReplicaSetSpec, F("What it should be.", 2)] = always(ReplicaSetSpec)
    status: Annotated[ReplicaSetStatus, F("What is known of it.", 3)] = always(ReplicaSetStatus)


class RollingUpdateDeployment(Type, kw_only=True):
    """How fast a rolling update goes."""

    max_unavailable: Annotated[IntOrString | None, F("Most pods missing; 25% if absent.", 1)] = None
    max_surge: Annotated[IntOrString | None, F("Most pods too many; 25% if absent.", 2)] = None


class DeploymentStrategy(Type, kw_only=True):
    """How old pods are replaced by new ones."""

    type: Annotated[str, F("RollingUpdate or Recreate.", 1)] = ""
    rolling_update: Annotated[RollingUpdateDeployment | None, F("How fast.", 2)] = None


class DeploymentSpec(Type, kw_only=True):
    """What a deployment should be."""

    replicas: Annotated[int | None, F("How many pods; 1 if absent.", 1)] = None
    selector: Annotated[LabelSelector, F("Which pods are its own.", 2)] = always(LabelSelector)
    template: Annotated[PodTemplateSpec, F("What pods are made from.", 3)] = always(PodTemplateSpec)
    strategy: Annotated[
        DeploymentStrategy, F("How pods are replaced.", 4, strategy="retainKeys")
    ] = always(DeploymentStrategy)
    min_ready_seconds: Annotated[int, F("Seconds ready before available.", 5)] = 0
    revision_history_limit: Annotated[int | None, F("Old replica sets to keep.", 6)] = None
    paused: Annotated[bool, F("Whether changes wait.", 7)] = False
    progress_deadline_seconds: Annotated[int | None, F("Seconds without progress.", 9)] = None


class DeploymentCondition(Condition, kw_only=True):
    """One observed aspect of a deployment."""

    last_update_time: Annotated[str | None, F("When it was last changed.", 6)] = None


class DeploymentStatus(Type, kw_only=True):
    """What is known of a deployment."""

    observed_generation: Annotated[int, F("Generation that was looked at.", 1)] = 0
    replicas: Annotated[int, F("Pods.", 2)] = 0
    updated_replicas: Annotated[int, F("Pods of the newest template.", 3)] = 0
    available_replicas: Annotated[int, F("Pods ready for long enough.", 4)] = 0
    unavailable_replicas: Annotated[int, F("Pods missing.", 5)] = 0
    conditions: Annotated[list[DeploymentCondition], F("Aspects.", 6, merge_key="type")] = []
    ready_replicas: Annotated[int, F("Ready pods.", 7)] = 0
    collision_count: Annotated[int | None, F("Name collisions of replica sets.", 8)] = None
    terminating_replicas: Annotated[int | None, F("Pods that are ending.", 9)] = None


class Deployment(Object, kw_only=True):
    """Replaces pods by new ones in good order when their template changes."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("apps/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Deployment")
    spec: Annotated[DeploymentSpec, F("What it should be.", 2)] = always(DeploymentSpec)
    status: Annotated[DeploymentStatus, F("What is known of it.", 3)] = always(DeploymentStatus)
