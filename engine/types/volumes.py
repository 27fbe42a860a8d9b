"""Volumes of a pod: where each one's files come from."""

from __future__ import annotations

from typing import Annotated, Any

from engine.types.declare import F, Quantity, Type, always


class KeyToPath(Type, kw_only=True):
    """One key of a config map or secret as a file."""

    key: Annotated[str, F("Key to show.", 1)] = always("")
    path: Annotated[str, F("Relative path of the file.", 2)] = always("")
    mode: Annotated[int | None, F("Permission bits.", 3)] = None


class ObjectFieldSelector(Type, kw_only=True):
    """A field of the pod itself."""

    api_version: Annotated[str, F("Schema the path is written in.", 1)] = ""
    field_path: Annotated[str, F("Path such as metadata.name.", 2)] = always("")


class ResourceFieldSelector(Type, kw_only=True):
    """A resource of a container of this pod."""

    container_name: Annotated[str, F("Container; needed in volumes.", 1)] = ""
    resource: Annotated[str, F("Such as limits.cpu.", 2)] = always("")
    divisor: Annotated[Quantity, F("Unit of the value.", 3)] = ""


class HostPathVolume(Type, kw_only=True):
    """A file or folder of the node."""

    path: Annotated[str, F("Path on the node.", 1)] = always("")
    type: Annotated[
        str | None,
        F("What must be there: DirectoryOrCreate, Directory, FileOrCreate, File, Socket...", 2),
    ] = None


class EmptyDirVolume(Type, kw_only=True):
    """A folder that lives as long as the pod."""

    medium: Annotated[str, F('"" for disk, "Memory" for tmpfs.', 1)] = ""
    size_limit: Annotated[Quantity | None, F("Most bytes it may hold.", 2)] = None


class ConfigMapVolume(Type, kw_only=True):
    """The keys of a config map as files."""

    name: Annotated[str, F("Name of the config map.")] = ""
    items: Annotated[list[KeyToPath], F("Only these keys.", 2)] = []
    default_mode: Annotated[int | None, F("Permission bits of the files.", 3)] = None
    optional: Annotated[bool | None, F("Whether it may be missing.", 4)] = None


class SecretVolume(Type, kw_only=True):
    """The keys of a secret as files."""

    secret_name: Annotated[str, F("Name of the secret.", 1)] = ""
    items: Annotated[list[KeyToPath], F("Only these keys.", 2)] = []
    default_mode: Annotated[int | None, F("Permission bits of the files.", 3)] = None
    optional: Annotated[bool | None, F("Whether it may be missing.", 4)] = None


class DownwardAPIFile(Type, kw_only=True):
    """One field of the pod as a file."""

    path: Annotated[str, F("Relative path of the file.", 1)] = always("")
    field_ref: Annotated[ObjectFieldSelector | None, F("A field of the pod.", 2)] = None
    resource_field_ref: Annotated[ResourceFieldSelector | None, F("A resource.", 3)] = None
    mode: Annotated[int | None, F("Permission bits.", 4)] = None


class DownwardAPIVolume(Type, kw_only=True):
    """Fields of the pod as files."""

    items: Annotated[list[DownwardAPIFile], F("The files.", 1)] = []
    default_mode: Annotated[int | None, F("Permission bits of the files.", 2)] = None


class SecretProjection(Type, kw_only=True):
    """A secret inside a projected volume."""

    name: Annotated[str, F("Name of the secret.")] = ""
    items: Annotated[list[KeyToPath], F("Only these keys.", 2)] = []
    optional: Annotated[bool | None, F("Whether it may be missing.", 4)] = None


class ConfigMapProjection(Type, kw_only=True):
    """A config map inside a projected volume."""

    name: Annotated[str, F("Name of the config map.")] = ""
    items: Annotated[list[KeyToPath], F("Only these keys.", 2)] = []
    optional: Annotated[bool | None, F("Whether it may be missing.", 4)] = None


class DownwardAPIProjection(Type, kw_only=True):
    """Fields of the pod inside a projected volume."""

    items: Annotated[list[DownwardAPIFile], F("The files.", 1)] = []


class ServiceAccountTokenProjection(Type, kw_only=True):
    """A token of the pod's service account inside a projected volume."""

    audience: Annotated[str, F("Whom the token is for.", 1)] = ""
    expiration_seconds: Annotated[int | None, F("Life of the token.", 2)] = None
    path: Annotated[str, F("Relative path of the file.", 3)] = always("")


class VolumeProjection(Type, kw_only=True):
    """One source of a projected volume; exactly one is set."""

    secret: Annotated[SecretProjection | None, F("A secret.", 1)] = None
    downward_api: Annotated[DownwardAPIProjection | None, F("Fields of the pod.", 2)] = None
    config_map: Annotated[ConfigMapProjection | None, F("A config map.", 3)] = None
    service_account_token: Annotated[ServiceAccountTokenProjection | None, F("A token.", 4)] = None


class ProjectedVolume(Type, kw_only=True):
    """Several sources in one folder."""

    sources: Annotated[list[VolumeProjection], F("The sources.", 1)] = []
    default_mode: Annotated[int | None, F("Permission bits of the files.", 2)] = None


class PersistentVolumeClaimVolume(Type, kw_only=True):
    """The volume bound to a claim."""

    claim_name: Annotated[str, F("Name of the claim.", 1)] = always("")
    read_only: Annotated[bool, F("Whether all mounts are read-only.", 2)] = False


class Volume(Type, kw_only=True):
    """A named volume; exactly one source is set, emptyDir when none is."""

    name: Annotated[str, F("Name, unique in the pod.", 1)] = always("")
    host_path: Annotated[HostPathVolume | None, F("A path of the node.")] = None
    empty_dir: Annotated[EmptyDirVolume | None, F("A folder of the pod.")] = None
    secret: Annotated[SecretVolume | None, F("A secret.")] = None
    persistent_volume_claim: Annotated[PersistentVolumeClaimVolume | None, F("A claim.")] = None
    downward_api: Annotated[DownwardAPIVolume | None, F("Fields of the pod.")] = None
    config_map: Annotated[ConfigMapVolume | None, F("A config map.")] = None
    projected: Annotated[ProjectedVolume | None, F("Several sources in one folder.")] = None
    ephemeral: Annotated[dict[str, Any] | None, F("A claim made for the pod.")] = None
    csi: Annotated[dict[str, Any] | None, F("A CSI driver.")] = None
    nfs: Annotated[dict[str, Any] | None, F("A file server.")] = None
    image: Annotated[dict[str, Any] | None, F("An image's files.")] = None
