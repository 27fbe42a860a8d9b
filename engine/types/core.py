"""The core group, v1: its kinds, of which Pod and Node are declared in files of their own."""

from __future__ import annotations

from typing import Annotated, Any

from engine.types.declare import F, IntOrString, Type, always
from engine.types.meta import Condition, Object
from engine.types.nodes import Node as Node
from engine.types.pods import LocalObjectReference
from engine.types.pods import Pod as Pod


class NamespaceSpec(Type, kw_only=True):
    """What a namespace should be."""

    finalizers: Annotated[list[str], F("Who must act before it may go.", 1)] = []


class NamespaceStatus(Type, kw_only=True):
    """What is known of a namespace."""

    phase: Annotated[str, F("Active or Terminating.", 1)] = ""
    conditions: Annotated[list[Condition], F("Aspects.", 2, merge_key="type")] = []


class Namespace(Object, kw_only=True):
    """A scope for names."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Namespace")
    spec: Annotated[NamespaceSpec, F("What it should be.", 2)] = always(NamespaceSpec)
    status: Annotated[NamespaceStatus, F("What is known of it.", 3)] = always(NamespaceStatus)


class ConfigMap(Object, kw_only=True):
    """Settings for pods."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("ConfigMap")
    data: Annotated[dict[str, str], F("UTF-8 values.", 2)] = {}
    binary_data: Annotated[dict[str, str], F("Base64 values.", 3)] = {}
    immutable: Annotated[bool | None, F("Whether it never changes.", 4)] = None


class Secret(Object, kw_only=True):
    """Secret settings for pods."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Secret")
    data: Annotated[dict[str, str], F("Base64 values.", 2)] = {}
    type: Annotated[str, F("Opaque, or what its keys mean.", 3)] = ""
    string_data: Annotated[dict[str, str], F("Plain values, write only.", 4)] = {}
    immutable: Annotated[bool | None, F("Whether it never changes.", 5)] = None


class ServicePort(Type, kw_only=True):
    """A port of a service."""

    name: Annotated[str, F("Its name.", 1)] = ""
    protocol: Annotated[str, F("TCP, UDP or SCTP.", 2)] = ""
    port: Annotated[int, F("Port of the service.", 3)] = always(int)
    target_port: Annotated[IntOrString, F("Port of the pods; port if 0.", 4)] = 0
    node_port: Annotated[int, F("Port on every node.", 5)] = 0
    app_protocol: Annotated[str | None, F("Protocol above it.", 6)] = None


class ServiceSpec(Type, kw_only=True):
    """What a service should be."""

    ports: Annotated[list[ServicePort], F("Its ports.", 1, merge_key="port")] = []
    selector: Annotated[dict[str, str], F("Labels of its pods.", 2)] = {}
    cluster_ip: Annotated[str, F('Its address; "None" for none.', 3)] = ""
    type: Annotated[str, F("ClusterIP, NodePort, LoadBalancer, ExternalName.", 4)] = ""
    external_ips: Annotated[list[str], F("Further addresses.", 5)] = []
    session_affinity: Annotated[str, F("None or ClientIP.", 7)] = ""
    load_balancer_ip: Annotated[str, F("Wished address.", 8)] = ""
    load_balancer_source_ranges: Annotated[list[str], F("Who may call.", 9)] = []
    external_name: Annotated[str, F("Name it stands for.", 10)] = ""
    external_traffic_policy: Annotated[str, F("Cluster or Local.", 11)] = ""
    health_check_node_port: Annotated[int, F("Port of the health check.", 12)] = 0
    publish_not_ready_addresses: Annotated[bool, F("Include pods not ready.", 13)] = False
    session_affinity_config: Annotated[dict[str, Any] | None, F("Its time limit.", 14)] = None
    cluster_ips: Annotated[list[str], F("Its addresses.", 18)] = []
    ip_families: Annotated[list[str], F("IPv4, IPv6.", 19)] = []
    ip_family_policy: Annotated[str | None, F("SingleStack, ...", 17)] = None
    allocate_load_balancer_node_ports: Annotated[bool | None, F("Give node ports.", 20)] = None
    load_balancer_class: Annotated[str | None, F("Who balances.", 21)] = None
    internal_traffic_policy: Annotated[str | None, F("Cluster or Local.", 22)] = None
    traffic_distribution: Annotated[str | None, F("Whom it prefers.", 23)] = None


class ServiceStatus(Type, kw_only=True):
    """What is known of a service."""

    load_balancer: Annotated[dict[str, Any], F("Addresses of the balancer.", 1)] = always(dict)
    conditions: Annotated[list[Condition], F("Aspects.", 2, merge_key="type")] = []


class Service(Object, kw_only=True):
    """One name and address for many pods."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Service")
    spec: Annotated[ServiceSpec, F("What it should be.", 2)] = always(ServiceSpec)
    status: Annotated[ServiceStatus, F("What is known of it.", 3)] = always(ServiceStatus)


class ObjectReference(Type, kw_only=True):
    """Any object, or a field of it."""

    kind: Annotated[str, F("Its kind.", 1)] = ""
    namespace: Annotated[str, F("Its namespace.", 2)] = ""
    name: Annotated[str, F("Its name.", 3)] = ""
    uid: Annotated[str, F("Its uid.", 4)] = ""
    api_version: Annotated[str, F("Its API version.", 5)] = ""
    resource_version: Annotated[str, F("Its version.", 6)] = ""
    field_path: Annotated[str, F("The field, such as spec.containers{web}.", 7)] = ""


class ServiceAccount(Object, kw_only=True):
    """An identity for pods."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("ServiceAccount")
    secrets: Annotated[list[ObjectReference], F("Its secrets.", 2, merge_key="name")] = []
    image_pull_secrets: Annotated[list[LocalObjectReference], F("Secrets for registries.", 3)] = []
    automount_service_account_token: Annotated[bool | None, F("Mount the token.", 4)] = None


class EventSource(Type, kw_only=True):
    """Who reports an event."""

    component: Annotated[str, F("Which part.", 1)] = ""
    host: Annotated[str, F("On which node.", 2)] = ""


class EventSeries(Type, kw_only=True):
    """How often a repeated event came."""

    count: Annotated[int, F("How often.", 1)] = 0
    last_observed_time: Annotated[str | None, F("When last.", 2)] = None


class Event(Object, kw_only=True):
    """Something that happened to an object."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Event")
    involved_object: Annotated[ObjectReference, F("To what.", 2)] = always(ObjectReference)
    reason: Annotated[str, F("One CamelCase word.", 3)] = ""
    message: Annotated[str, F("Text for people.", 4)] = ""
    source: Annotated[EventSource, F("Who reports it.", 5)] = always(EventSource)
    first_timestamp: Annotated[str | None, F("When first.", 6)] = None
    last_timestamp: Annotated[str | None, F("When last.", 7)] = None
    count: Annotated[int, F("How often.", 8)] = 0
    type: Annotated[str, F("Normal or Warning.", 9)] = ""
    event_time: Annotated[str | None, F("When, with microseconds.", 10)] = None
    series: Annotated[EventSeries | None, F("How often it came.", 11)] = None
    action: Annotated[str, F("What was done.", 12)] = ""
    related: Annotated[ObjectReference | None, F("A second object.", 13)] = None
    reporting_component: Annotated[str, F("Who reports it.", 14)] = always("")
    reporting_instance: Annotated[str, F("Which of them.", 15)] = always("")


class Binding(Object, kw_only=True):
    """Binds a pod to a node."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Binding")
    target: Annotated[ObjectReference, F("The node.", 2)] = always(ObjectReference)
