"""The controllers of a cluster, made in one place."""

import time

from engine.client.client import Client
from engine.controllers.deployment import DeploymentController
from engine.controllers.garbage import GarbageController
from engine.controllers.job import JobController
from engine.controllers.namespace import NamespaceController
from engine.controllers.nodelifecycle import NodeLifecycleController
from engine.controllers.podgc import PodGarbageController
from engine.controllers.replicaset import ReplicaSetController
from engine.controllers.runtime import Controller, SharedInformers
from engine.controllers.serviceaccount import ServiceAccountController
from engine.controllers.tainteviction import TaintEvictionController
from engine.controllers.ttl import TtlController
from engine.types.clock import Clock

CONTROLLERS: tuple[type[Controller], ...] = (
    DeploymentController,
    ReplicaSetController,
    JobController,
    TtlController,
    NodeLifecycleController,
    TaintEvictionController,
    PodGarbageController,
    GarbageController,
    NamespaceController,
    ServiceAccountController,
)


def controllers(
    client: Client, informers: SharedInformers, clock: Clock = time.time
) -> list[Controller]:
    """All of them, subscribed to the informers; run the informers and each controller's `run`."""
    return [controller(client, informers, clock) for controller in CONTROLLERS]
