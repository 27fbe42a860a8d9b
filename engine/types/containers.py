"""Containers of a pod: what runs, with which environment, limits, probes and privileges."""

from __future__ import annotations

from typing import Annotated, Any

from engine.types.declare import F, IntOrString, Quantity, Type, always
from engine.types.volumes import ObjectFieldSelector, ResourceFieldSelector


class ContainerPort(Type, kw_only=True):
    """A port the container listens on."""

    name: Annotated[str, F("Name that services and probes may use.", 1)] = ""
    host_port: Annotated[int, F("Port on the node.", 2)] = 0
    container_port: Annotated[int, F("Port in the pod.", 3)] = always(int)
    protocol: Annotated[str, F("TCP, UDP or SCTP.", 4)] = ""
    host_ip: Annotated[str, F("Address of the node to bind.", 5)] = ""


class ConfigMapKeySelector(Type, kw_only=True):
    """One key of a config map."""

    name: Annotated[str, F("Name of the config map.")] = ""
    key: Annotated[str, F("The key.", 2)] = always("")
    optional: Annotated[bool | None, F("Whether it may be missing.", 3)] = None


class SecretKeySelector(Type, kw_only=True):
    """One key of a secret."""

    name: Annotated[str, F("Name of the secret.")] = ""
    key: Annotated[str, F("The key.", 2)] = always("")
    optional: Annotated[bool | None, F("Whether it may be missing.", 3)] = None


class EnvVarSource(Type, kw_only=True):
    """Where a variable's value comes from; exactly one is set."""

    field_ref: Annotated[ObjectFieldSelector | None, F("A field of the pod.", 1)] = None
    resource_field_ref: Annotated[ResourceFieldSelector | None, F("A resource.", 2)] = None
    config_map_key_ref: Annotated[ConfigMapKeySelector | None, F("A config map's key.", 3)] = None
    secret_key_ref: Annotated[SecretKeySelector | None, F("A secret's key.", 4)] = None


class EnvVar(Type, kw_only=True):
    """An environment variable; $(NAME) in the value refers to earlier ones."""

    name: Annotated[str, F("Name of the variable.", 1)] = always("")
    value: Annotated[str, F("Its value.", 2)] = ""
    value_from: Annotated[EnvVarSource | None, F("Where the value comes from.", 3)] = None


class ConfigMapEnvSource(Type, kw_only=True):
    """A config map as variables."""

    name: Annotated[str, F("Name of the config map.")] = ""
    optional: Annotated[bool | None, F("Whether it may be missing.", 2)] = None


class SecretEnvSource(Type, kw_only=True):
    """A secret as variables."""

    name: Annotated[str, F("Name of the secret.")] = ""
    optional: Annotated[bool | None, F("Whether it may be missing.", 2)] = None


class EnvFromSource(Type, kw_only=True):
    """All keys of a config map or secret as variables."""

    prefix: Annotated[str, F("Put before each key.", 1)] = ""
    config_map_ref: Annotated[ConfigMapEnvSource | None, F("A config map.", 2)] = None
    secret_ref: Annotated[SecretEnvSource | None, F("A secret.", 3)] = None


class ResourceClaimName(Type, kw_only=True):
    """A claim of the pod that a container uses."""

    name: Annotated[str, F("Entry of spec.resourceClaims.", 1)] = always("")
    request: Annotated[str, F("Request in the claim.", 2)] = ""


class ResourceRequirements(Type, kw_only=True):
    """What a container may use (limits) and is promised (requests)."""

    limits: Annotated[dict[str, Quantity], F("Most it may use.", 1)] = {}
    requests: Annotated[dict[str, Quantity], F("What it is promised.", 2)] = {}
    claims: Annotated[
        list[ResourceClaimName], F("Device claims it uses.", 3, merge_key="name")
    ] = []


class VolumeMount(Type, kw_only=True):
    """A volume inside the container."""

    name: Annotated[str, F("Name of the volume.", 1)] = always("")
    read_only: Annotated[bool, F("Whether it is read-only.", 2)] = False
    mount_path: Annotated[str, F("Where it appears.", 3)] = always("")
    sub_path: Annotated[str, F("Path inside the volume.", 4)] = ""
    mount_propagation: Annotated[str | None, F("None, HostToContainer, Bidirectional.", 5)] = None
    sub_path_expr: Annotated[str, F("subPath with $(NAME) expanded.", 6)] = ""
    recursive_read_only: Annotated[str | None, F("Disabled, IfPossible or Enabled.", 7)] = None


class VolumeDevice(Type, kw_only=True):
    """A block device inside the container."""

    name: Annotated[str, F("Name of a claim volume.", 1)] = always("")
    device_path: Annotated[str, F("Where it appears.", 2)] = always("")


class HTTPHeader(Type, kw_only=True):
    """A header of a probe's request."""

    name: Annotated[str, F("Header name.", 1)] = always("")
    value: Annotated[str, F("Header value.", 2)] = always("")


class ExecAction(Type, kw_only=True):
    """A command run in the container; 0 is success."""

    command: Annotated[list[str], F("Program and arguments, no shell.", 1)] = []


class HTTPGetAction(Type, kw_only=True):
    """An HTTP GET; 200 to 399 is success."""

    path: Annotated[str, F("Path.", 1)] = ""
    port: Annotated[IntOrString, F("Port number or name.", 2)] = always(int)
    host: Annotated[str, F("Host, the pod's IP if empty.", 3)] = ""
    scheme: Annotated[str, F("HTTP or HTTPS.", 4)] = ""
    http_headers: Annotated[list[HTTPHeader], F("Headers to send.", 5)] = []


class TCPSocketAction(Type, kw_only=True):
    """A TCP connection; opening it is success."""

    port: Annotated[IntOrString, F("Port number or name.", 1)] = always(int)
    host: Annotated[str, F("Host, the pod's IP if empty.", 2)] = ""


class GRPCAction(Type, kw_only=True):
    """A call of grpc.health.v1."""

    port: Annotated[int, F("Port number.", 1)] = always(int)
    service: Annotated[str | None, F("Service name to ask for.", 2)] = None


class Probe(Type, kw_only=True):
    """A repeated question to a container; exactly one action is set."""

    exec: Annotated[ExecAction | None, F("Run a command.")] = None
    http_get: Annotated[HTTPGetAction | None, F("Ask over HTTP.")] = None
    tcp_socket: Annotated[TCPSocketAction | None, F("Open a connection.")] = None
    grpc: Annotated[GRPCAction | None, F("Ask over gRPC.")] = None
    initial_delay_seconds: Annotated[int, F("Seconds before the first one.", 2)] = 0
    timeout_seconds: Annotated[int, F("Seconds to wait for the answer; 1 if 0.", 3)] = 0
    period_seconds: Annotated[int, F("Seconds between two; 10 if 0.", 4)] = 0
    success_threshold: Annotated[int, F("Successes in a row that count; 1 if 0.", 5)] = 0
    failure_threshold: Annotated[int, F("Failures in a row that count; 3 if 0.", 6)] = 0
    termination_grace_period_seconds: Annotated[
        int | None, F("Seconds to end after a failure.", 7)
    ] = None


class SleepAction(Type, kw_only=True):
    """Wait."""

    seconds: Annotated[int, F("Seconds.", 1)] = always(int)


class LifecycleHandler(Type, kw_only=True):
    """What to do at a point of a container's life; exactly one is set."""

    exec: Annotated[ExecAction | None, F("Run a command.", 1)] = None
    http_get: Annotated[HTTPGetAction | None, F("Ask over HTTP.", 2)] = None
    tcp_socket: Annotated[TCPSocketAction | None, F("Not supported by Kubernetes either.", 3)] = (
        None
    )
    sleep: Annotated[SleepAction | None, F("Wait.", 4)] = None


class Lifecycle(Type, kw_only=True):
    """Actions after a container's start and before its end."""

    post_start: Annotated[LifecycleHandler | None, F("After the start.", 1)] = None
    pre_stop: Annotated[LifecycleHandler | None, F("Before the end.", 2)] = None
    stop_signal: Annotated[str | None, F("Signal that ends it.", 3)] = None


class Capabilities(Type, kw_only=True):
    """Changes to the default capabilities, without CAP_; "ALL" is all."""

    add: Annotated[list[str], F("Granted.", 1)] = []
    drop: Annotated[list[str], F("Taken.", 2)] = []


class SeccompProfile(Type, kw_only=True):
    """Which system calls are allowed."""

    type: Annotated[str, F("RuntimeDefault, Unconfined or Localhost.", 1)] = always("")
    localhost_profile: Annotated[str | None, F("File of the profile.", 2)] = None


class SecurityContext(Type, kw_only=True):
    """Privileges of one container; they win over the pod's."""

    capabilities: Annotated[Capabilities | None, F("Capabilities.", 1)] = None
    privileged: Annotated[bool | None, F("As root on the node.", 2)] = None
    se_linux_options: Annotated[dict[str, str], F("SELinux label.", 3)] = {}
    run_as_user: Annotated[int | None, F("User id.", 4)] = None
    run_as_non_root: Annotated[bool | None, F("Refuse to run as user 0.", 5)] = None
    read_only_root_filesystem: Annotated[bool | None, F("No writes to the root.", 6)] = None
    allow_privilege_escalation: Annotated[bool | None, F("False sets no_new_privs.", 7)] = None
    run_as_group: Annotated[int | None, F("Group id.", 8)] = None
    proc_mount: Annotated[str | None, F("Default or Unmasked.", 9)] = None
    windows_options: Annotated[dict[str, Any], F("For Windows only.", 10)] = {}
    seccomp_profile: Annotated[SeccompProfile | None, F("System calls.", 11)] = None
    app_armor_profile: Annotated[dict[str, str], F("AppArmor profile.", 12)] = {}


class Container(Type, kw_only=True):
    """One container of a pod."""

    name: Annotated[str, F("Name, unique in the pod.", 1)] = always("")
    image: Annotated[str, F("Image reference.", 2)] = ""
    command: Annotated[list[str], F("Replaces the image's entrypoint.", 3)] = []
    args: Annotated[list[str], F("Replaces the image's command.", 4)] = []
    working_dir: Annotated[str, F("Working folder; the image's if empty.", 5)] = ""
    ports: Annotated[
        list[ContainerPort], F("Ports it listens on.", 6, merge_key="containerPort")
    ] = []
    env: Annotated[list[EnvVar], F("Variables.", 7, merge_key="name")] = []
    resources: Annotated[ResourceRequirements, F("Limits and requests.", 8)] = always(
        ResourceRequirements
    )
    volume_mounts: Annotated[
        list[VolumeMount], F("Volumes it sees.", 9, merge_key="mountPath")
    ] = []
    liveness_probe: Annotated[Probe | None, F("A failure restarts it.", 10)] = None
    readiness_probe: Annotated[Probe | None, F("A failure makes it not ready.", 11)] = None
    lifecycle: Annotated[Lifecycle | None, F("Actions after start and before end.", 12)] = None
    termination_message_path: Annotated[str, F("File with its last words.", 13)] = ""
    image_pull_policy: Annotated[str, F("Always, IfNotPresent or Never.", 14)] = ""
    security_context: Annotated[SecurityContext | None, F("Privileges.", 15)] = None
    stdin: Annotated[bool, F("Keep stdin open.", 16)] = False
    stdin_once: Annotated[bool, F("Close stdin after the first client.", 17)] = False
    tty: Annotated[bool, F("Give it a terminal.", 18)] = False
    env_from: Annotated[list[EnvFromSource], F("Sources of many variables.", 19)] = []
    termination_message_policy: Annotated[str, F("File or FallbackToLogsOnError.", 20)] = ""
    volume_devices: Annotated[
        list[VolumeDevice], F("Block devices it sees.", 21, merge_key="devicePath")
    ] = []
    startup_probe: Annotated[Probe | None, F("Other probes wait for it.", 22)] = None
    resize_policy: Annotated[list[dict[str, str]], F("What a resize restarts.", 23)] = []
    restart_policy: Annotated[
        str | None, F('"Always" on an init container makes it a sidecar.', 24)
    ] = None


class EphemeralContainer(Container, kw_only=True):
    """A container added to a running pod to look at it."""

    target_container_name: Annotated[str, F("Whose processes it sees.")] = ""


class ContainerStateWaiting(Type, kw_only=True):
    """Not running yet, or not running again yet."""

    reason: Annotated[str, F("One CamelCase word.", 1)] = ""
    message: Annotated[str, F("Text for people.", 2)] = ""


class ContainerStateRunning(Type, kw_only=True):
    """Running."""

    started_at: Annotated[str | None, F("When it started.", 1)] = None


class ContainerStateTerminated(Type, kw_only=True):
    """Ended."""

    exit_code: Annotated[int, F("Exit code; 128 + signal for a signal.", 1)] = always(int)
    signal: Annotated[int, F("Signal that ended it.", 2)] = 0
    reason: Annotated[str, F("Completed, Error, OOMKilled, ...", 3)] = ""
    message: Annotated[str, F("Its last words.", 4)] = ""
    started_at: Annotated[str | None, F("When it started.", 5)] = None
    finished_at: Annotated[str | None, F("When it ended.", 6)] = None
    container_id: Annotated[str, F("podarium://ID.", 7)] = ""


class ContainerState(Type, kw_only=True):
    """Exactly one is set; waiting when none is."""

    waiting: Annotated[ContainerStateWaiting | None, F("Waiting.", 1)] = None
    running: Annotated[ContainerStateRunning | None, F("Running.", 2)] = None
    terminated: Annotated[ContainerStateTerminated | None, F("Ended.", 3)] = None


class ContainerStatus(Type, kw_only=True):
    """What the node sees of a container."""

    name: Annotated[str, F("Name of the container.", 1)] = always("")
    state: Annotated[ContainerState, F("Now.", 2)] = always(ContainerState)
    last_state: Annotated[ContainerState, F("Its previous life.", 3)] = always(ContainerState)
    ready: Annotated[bool, F("Whether it passes its readiness probe.", 4)] = always(bool)
    restart_count: Annotated[int, F("How often it was started again.", 5)] = always(int)
    image: Annotated[str, F("Image reference.", 6)] = always("")
    image_id: Annotated[str, F("Digest of the image.", 7)] = always("")
    container_id: Annotated[str, F("podarium://ID.", 8)] = ""
    started: Annotated[bool | None, F("Whether it passed its startup probe.", 9)] = None
    allocated_resources: Annotated[dict[str, Quantity], F("Requests the node granted.", 10)] = {}
    resources: Annotated[ResourceRequirements | None, F("Limits now in force.", 11)] = None
