"""A pod: containers that share a network and volumes on one node."""

from __future__ import annotations

from typing import Annotated, Any

from engine.types.containers import (
    Container,
    ContainerStatus,
    EphemeralContainer,
    ResourceRequirements,
    SeccompProfile,
)
from engine.types.declare import F, Quantity, Type, always
from engine.types.meta import Condition, LabelSelector, Object, ObjectMeta
from engine.types.volumes import Volume


class LocalObjectReference(Type, kw_only=True):
    """An object of the same namespace."""

    name: Annotated[str, F("Its name.", 1)] = ""


class Toleration(Type, kw_only=True):
    """A taint that the pod can bear."""

    key: Annotated[str, F("Taint key; empty with Exists is every key.", 1)] = ""
    operator: Annotated[str, F("Equal or Exists.", 2)] = ""
    value: Annotated[str, F("Taint value.", 3)] = ""
    effect: Annotated[str, F("Taint effect; empty is every effect.", 4)] = ""
    toleration_seconds: Annotated[int | None, F("How long NoExecute is borne.", 5)] = None


class NodeSelectorRequirement(Type, kw_only=True):
    """One term over a node's labels or fields."""

    key: Annotated[str, F("Label or field.", 1)] = always("")
    operator: Annotated[str, F("In, NotIn, Exists, DoesNotExist, Gt or Lt.", 2)] = always("")
    values: Annotated[list[str], F("Values.", 3)] = []


class NodeSelectorTerm(Type, kw_only=True):
    """Terms that must all hold."""

    match_expressions: Annotated[list[NodeSelectorRequirement], F("Over labels.", 1)] = []
    match_fields: Annotated[list[NodeSelectorRequirement], F("Over fields.", 2)] = []


class NodeSelector(Type, kw_only=True):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[list[NodeSelectorTerm], F("The terms.", 1)] = always(list)


class PreferredSchedulingTerm(Type, kw_only=True):
    """A wish with a weight."""

    weight: Annotated[int, F("1 to 100.", 1)] = always(int)
    preference: Annotated[NodeSelectorTerm, F("The wish.", 2)] = always(NodeSelectorTerm)


class NodeAffinity(Type, kw_only=True):
    """Which nodes the pod needs or prefers."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, F("Needs.", 1)
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[PreferredSchedulingTerm], F("Prefers.", 2)
    ] = []


class PodAffinityTerm(Type, kw_only=True):
    """Pods to be near to, or far from."""

    label_selector: Annotated[LabelSelector | None, F("Which pods.", 1)] = None
    namespaces: Annotated[list[str], F("In these namespaces.", 2)] = []
    topology_key: Annotated[str, F("Node label that says what is near.", 3)] = always("")
    namespace_selector: Annotated[LabelSelector | None, F("In namespaces so labelled.", 4)] = None
    match_label_keys: Annotated[list[str], F("Labels that must equal the pod's.", 5)] = []
    mismatch_label_keys: Annotated[list[str], F("Labels that must differ.", 6)] = []


class WeightedPodAffinityTerm(Type, kw_only=True):
    """A wish with a weight."""

    weight: Annotated[int, F("1 to 100.", 1)] = always(int)
    pod_affinity_term: Annotated[PodAffinityTerm, F("The wish.", 2)] = always(PodAffinityTerm)


class PodAffinity(Type, kw_only=True):
    """Which pods it needs or prefers to be near to (or, as anti-affinity, far from)."""

    required_during_scheduling_ignored_during_execution: Annotated[
        list[PodAffinityTerm], F("Needs.", 1)
    ] = []
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[WeightedPodAffinityTerm], F("Prefers.", 2)
    ] = []


class Affinity(Type, kw_only=True):
    """Where the pod needs or prefers to be."""

    node_affinity: Annotated[NodeAffinity | None, F("To nodes.", 1)] = None
    pod_affinity: Annotated[PodAffinity | None, F("Near pods.", 2)] = None
    pod_anti_affinity: Annotated[PodAffinity | None, F("Far from pods.", 3)] = None


class TopologySpreadConstraint(Type, kw_only=True):
    """How evenly pods spread over values of a node label."""

    max_skew: Annotated[int, F("Largest difference allowed.", 1)] = always(int)
    topology_key: Annotated[str, F("Node label.", 2)] = always("")
    when_unsatisfiable: Annotated[str, F("DoNotSchedule or ScheduleAnyway.", 3)] = always("")
    label_selector: Annotated[LabelSelector | None, F("Which pods are counted.", 4)] = None
    min_domains: Annotated[int | None, F("Fewest values that count as even.", 5)] = None
    node_affinity_policy: Annotated[str | None, F("Honor or Ignore.", 6)] = None
    node_taints_policy: Annotated[str | None, F("Honor or Ignore.", 7)] = None
    match_label_keys: Annotated[list[str], F("Labels that must equal the pod's.", 8)] = []


class Sysctl(Type, kw_only=True):
    """A kernel setting of the pod's namespaces."""

    name: Annotated[str, F("Its name.", 1)] = always("")
    value: Annotated[str, F("Its value.", 2)] = always("")


class PodSecurityContext(Type, kw_only=True):
    """Privileges of all containers of a pod."""

    se_linux_options: Annotated[dict[str, str], F("SELinux label.", 1)] = {}
    run_as_user: Annotated[int | None, F("User id.", 2)] = None
    run_as_non_root: Annotated[bool | None, F("Refuse to run as user 0.", 3)] = None
    supplemental_groups: Annotated[list[int], F("Further group ids.", 4)] = []
    fs_group: Annotated[int | None, F("Group that owns volumes.", 5)] = None
    run_as_group: Annotated[int | None, F("Group id.", 6)] = None
    sysctls: Annotated[list[Sysctl], F("Kernel settings.", 7)] = []
    windows_options: Annotated[dict[str, Any], F("For Windows only.", 8)] = {}
    fs_group_change_policy: Annotated[str | None, F("OnRootMismatch or Always.", 9)] = None
    seccomp_profile: Annotated[SeccompProfile | None, F("System calls.", 10)] = None
    app_armor_profile: Annotated[dict[str, str], F("AppArmor profile.", 11)] = {}
    supplemental_groups_policy: Annotated[str | None, F("Merge or Strict.", 12)] = None


class HostAlias(Type, kw_only=True):
    """A line of /etc/hosts."""

    ip: Annotated[str, F("Address.", 1)] = always("")
    hostnames: Annotated[list[str], F("Names of it.", 2)] = []


class PodDNSConfigOption(Type, kw_only=True):
    """An option of resolv.conf."""

    name: Annotated[str, F("Its name.", 1)] = ""
    value: Annotated[str | None, F("Its value.", 2)] = None


class PodDNSConfig(Type, kw_only=True):
    """Additions to resolv.conf."""

    nameservers: Annotated[list[str], F("Addresses of name servers.", 1)] = []
    searches: Annotated[list[str], F("Search domains.", 2)] = []
    options: Annotated[list[PodDNSConfigOption], F("Options.", 3)] = []


class PodReadinessGate(Type, kw_only=True):
    """A further condition of readiness."""

    condition_type: Annotated[str, F("The condition.", 1)] = always("")


class PodSchedulingGate(Type, kw_only=True):
    """Holds the pod back from scheduling until it is removed."""

    name: Annotated[str, F("Its name.", 1)] = always("")


class PodOS(Type, kw_only=True):
    """The system the pod needs."""

    name: Annotated[str, F("linux or windows.", 1)] = always("")


class PodSpec(Type, kw_only=True):
    """What a pod should be."""

    volumes: Annotated[list[Volume], F("Volumes.", 1, merge_key="name", strategy="retainKeys")] = []
    containers: Annotated[list[Container], F("Containers.", 2, merge_key="name")] = always(list)
    restart_policy: Annotated[str, F("Always, OnFailure or Never.", 3)] = ""
    termination_grace_period_seconds: Annotated[int | None, F("Seconds to end.", 4)] = None
    active_deadline_seconds: Annotated[int | None, F("Seconds it may live.", 5)] = None
    dns_policy: Annotated[str, F("ClusterFirst, Default, None, ...", 6)] = ""
    node_selector: Annotated[dict[str, str], F("Labels its node must have.", 7)] = {}
    service_account_name: Annotated[str, F("Service account.", 8)] = ""
    service_account: Annotated[str, F("Old name of serviceAccountName.", 9)] = ""
    node_name: Annotated[str, F("Node it is bound to.", 10)] = ""
    host_network: Annotated[bool, F("Use the node's network.", 11)] = False
    host_pid: Annotated[bool, F("See the node's processes.", 12)] = False
    host_ipc: Annotated[bool, F("Use the node's IPC.", 13)] = False
    security_context: Annotated[PodSecurityContext | None, F("Privileges.", 14)] = None
    image_pull_secrets: Annotated[
        list[LocalObjectReference], F("Secrets for registries.", 15, merge_key="name")
    ] = []
    hostname: Annotated[str, F("Host name; the pod's name if empty.", 16)] = ""
    subdomain: Annotated[str, F("Domain below the namespace's.", 17)] = ""
    affinity: Annotated[Affinity | None, F("Where it needs or prefers to be.", 18)] = None
    scheduler_name: Annotated[str, F("Who schedules it.", 19)] = ""
    init_containers: Annotated[
        list[Container], F("Run to completion one after the other first.", 20, merge_key="name")
    ] = []
    automount_service_account_token: Annotated[bool | None, F("Mount the token.", 21)] = None
    tolerations: Annotated[list[Toleration], F("Taints it can bear.", 22)] = []
    host_aliases: Annotated[list[HostAlias], F("Lines of /etc/hosts.", 23, merge_key="ip")] = []
    priority_class_name: Annotated[str, F("Class of importance.", 24)] = ""
    priority: Annotated[int | None, F("Importance.", 25)] = None
    dns_config: Annotated[PodDNSConfig | None, F("Additions to resolv.conf.", 26)] = None
    share_process_namespace: Annotated[bool | None, F("One pid namespace.", 27)] = None
    readiness_gates: Annotated[list[PodReadinessGate], F("Further conditions.", 28)] = []
    runtime_class_name: Annotated[str | None, F("Runtime class.", 29)] = None
    enable_service_links: Annotated[bool | None, F("Variables for services.", 30)] = None
    preemption_policy: Annotated[str | None, F("Never or PreemptLowerPriority.", 31)] = None
    overhead: Annotated[dict[str, Quantity], F("Resources of the sandbox.", 32)] = {}
    topology_spread_constraints: Annotated[
        list[TopologySpreadConstraint], F("How it spreads.", 33, merge_key="topologyKey")
    ] = []
    ephemeral_containers: Annotated[
        list[EphemeralContainer], F("Containers for looking.", 34, merge_key="name")
    ] = []
    set_hostname_as_fqdn: Annotated[bool | None, F("Host name is the full name.", 35)] = None
    os: Annotated[PodOS | None, F("System it needs.", 36)] = None
    host_users: Annotated[bool | None, F("False uses a user namespace.", 37)] = None
    scheduling_gates: Annotated[
        list[PodSchedulingGate], F("Hold it back.", 38, merge_key="name")
    ] = []
    resource_claims: Annotated[
        list[dict[str, Any]], F("Device claims.", 39, merge_key="name", strategy="retainKeys")
    ] = []
    resources: Annotated[ResourceRequirements | None, F("Resources of the whole pod.", 40)] = None


class PodCondition(Condition, kw_only=True):
    """One observed aspect of a pod."""

    last_probe_time: Annotated[str | None, F("When it was last looked at.", 3)] = None
    observed_generation: Annotated[int, F("Generation that was looked at.", 7)] = 0


class PodIP(Type, kw_only=True):
    """An address of the pod."""

    ip: Annotated[str, F("Address.", 1)] = always("")


class PodStatus(Type, kw_only=True):
    """What is known of a pod."""

    phase: Annotated[str, F("Pending, Running, Succeeded, Failed or Unknown.", 1)] = ""
    conditions: Annotated[list[PodCondition], F("Aspects.", 2, merge_key="type")] = []
    message: Annotated[str, F("Text for people.", 3)] = ""
    reason: Annotated[str, F("One CamelCase word, such as Evicted.", 4)] = ""
    host_ip: Annotated[str, F("Address of its node.", 5)] = ""
    pod_ip: Annotated[str, F("Its address.", 6)] = ""
    start_time: Annotated[str | None, F("When the node accepted it.", 7)] = None
    container_statuses: Annotated[list[ContainerStatus], F("Its containers.", 8)] = []
    qos_class: Annotated[str, F("Guaranteed, Burstable or BestEffort.", 9)] = ""
    init_container_statuses: Annotated[list[ContainerStatus], F("Its init containers.", 10)] = []
    nominated_node_name: Annotated[str, F("Node it may preempt on.", 11)] = ""
    pod_ips: Annotated[list[PodIP], F("Its addresses.", 12, merge_key="ip")] = []
    ephemeral_container_statuses: Annotated[
        list[ContainerStatus], F("Its ephemeral containers.", 13)
    ] = []
    host_ips: Annotated[list[PodIP], F("Addresses of its node.", 16, merge_key="ip")] = []
    observed_generation: Annotated[int, F("Generation that was looked at.", 17)] = 0


class Pod(Object, kw_only=True):
    """Containers that share a network and volumes on one node."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("Pod")
    spec: Annotated[PodSpec, F("What it should be.", 2)] = always(PodSpec)
    status: Annotated[PodStatus, F("What is known of it.", 3)] = always(PodStatus)


class PodTemplateSpec(Type, kw_only=True):
    """What pods are made from."""

    metadata: Annotated[ObjectMeta, F("Their labels and annotations.", 1)] = always(ObjectMeta)
    spec: Annotated[PodSpec, F("What they should be.", 2)] = always(PodSpec)
