"""The volumes of a pod: what lies behind each of its names.

    emptyDir                 a folder of the pod, or a tmpfs on it (medium: Memory)
    hostPath                 a path of this machine, checked as its type says
    configMap secret         files written here, all at once, again whenever their source changes
    downwardAPI projected

Everything a pod's volumes write lies below the pod's own folder and goes with it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from engine.kubelet import atomic, downward
from engine.kubelet.atomic import File
from engine.kubelet.downward import ConfigError, NodeFacts
from engine.kubelet.environment import References
from engine.types import quantity
from engine.types.containers import Container
from engine.types.pods import Pod
from engine.types.volumes import (
    DownwardAPIFile,
    EmptyDirVolume,
    HostPathVolume,
    KeyToPath,
    Volume,
    VolumeProjection,
)

DEFAULT_MODE = 0o644


class VolumeError(Exception):
    """A volume that cannot be set up; the text is the event's."""

    def __init__(self, volume: str, reason: object) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {reason}')


@dataclass(frozen=True, slots=True)
class Mountable:
    """What a volume is to the containers that mount it.

    `memory`: a tmpfs belongs on it; `size` is its limit in bytes.
    """

    source: Path
    read_only: bool = False
    memory: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """All that the content of a pod's volumes depends on, besides the pod."""

    folder: Path
    references: References
    pod_ip: str
    node: NodeFacts


def needs(pod: Pod) -> tuple[set[str], set[str]]:
    """The names of the config maps and of the secrets that the pod's volumes show."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for volume in pod.spec.volumes:
        if volume.config_map:
            config_maps.add(volume.config_map.name)
        if volume.secret:
            secrets.add(volume.secret.secret_name)
        for source in volume.projected.sources if volume.projected else ():
            if source.config_map:
                config_maps.add(source.config_map.name)
            if source.secret:
                secrets.add(source.secret.name)
    return config_maps, secrets


def set_up(pod: Pod, context: Context) -> dict[str, Mountable]:
    """Make every volume of the pod ready, or up to date.

    Raise VolumeError for the first that fails.
    """
    result = {}
    for volume in pod.spec.volumes:
        try:
            result[volume.name] = _set_up(pod, volume, context)
        except (ConfigError, OSError, ValueError) as error:
            raise VolumeError(volume.name, error) from error
    return result


def _set_up(pod: Pod, volume: Volume, context: Context) -> Mountable:
    if volume.host_path:
        return Mountable(host_path(volume.host_path))
    if volume.persistent_volume_claim:
        raise ConfigError("persistentVolumeClaim volumes are not supported yet; use hostPath")
    group = pod.spec.security_context.fs_group if pod.spec.security_context else None
    folder = context.folder / volume.name
    files = contents(pod, volume, context)
    if files is None:
        return empty_dir(volume.empty_dir or EmptyDirVolume(), folder, group)
    folder.mkdir(parents=True, exist_ok=True)
    if group is not None:
        # A group that owns the volume can read it, whatever the modes asked for
        # (SetVolumeOwnership).
        files = {path: File(file.content, file.mode | 0o440) for path, file in files.items()}
    atomic.write(folder, files, gid=group)
    return Mountable(folder, read_only=True)


def empty_dir(volume: EmptyDirVolume, folder: Path, group: int | None) -> Mountable:
    size = None if volume.size_limit is None else quantity.bytes_(volume.size_limit)
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        if group is not None:
            os.chown(folder, -1, group)
            folder.chmod(0o2777)
    return Mountable(folder, memory=volume.medium == "Memory", size=size)


def host_path(volume: HostPathVolume) -> Path:
    """The path, made where its type says so.

    Raise ConfigError when it is not what its type says.
    """
    path = Path(volume.path)
    kind = volume.type or ""
    # Without a type a missing path becomes a folder, as container runtimes do.
    if kind in ("", "DirectoryOrCreate") and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    if kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    test, noun = {
        "": (path.exists, "an existing path"),
        "Directory": (path.is_dir, "a directory"),
        "DirectoryOrCreate": (path.is_dir, "a directory"),
        "File": (path.is_file, "a file"),
        "FileOrCreate": (path.is_file, "a file"),
        "Socket": (path.is_socket, "a socket file"),
        "CharDevice": (path.is_char_device, "a character device"),
        "BlockDevice": (path.is_block_device, "a block device"),
    }.get(kind, (None, ""))
    if test is None:
        raise ConfigError(f"unknown hostPath type {kind!r}")
    if not test():
        raise ConfigError(f"hostPath type check failed: {path} is not {noun}")
    return path


def contents(pod: Pod, volume: Volume, context: Context) -> dict[str, File] | None:
    """The files of a volume that the kubelet writes; None for one it does not write."""
    known = context.references
    if source := volume.config_map:
        data = known.config_map(source.name, optional=source.optional)
        mode = source.default_mode
        return _keys("ConfigMap", source.name, data, source.items, mode, source.optional)
    if secret := volume.secret:
        data = known.secret(secret.secret_name, optional=secret.optional)
        mode = secret.default_mode
        return _keys("Secret", secret.secret_name, data, secret.items, mode, secret.optional)
    if volume.downward_api:
        return _fields(pod, volume.downward_api.items, volume.downward_api.default_mode, context)
    if volume.projected:
        files: dict[str, File] = {}
        for projection in volume.projected.sources:
            files |= _projection(pod, projection, volume.projected.default_mode, context)
        return files
    return None


def _projection(
    pod: Pod, source: VolumeProjection, mode: int | None, context: Context
) -> dict[str, File]:
    known = context.references
    if it := source.config_map:
        data = known.config_map(it.name, optional=it.optional)
        return _keys("ConfigMap", it.name, data, it.items, mode, it.optional)
    if secret := source.secret:
        data = known.secret(secret.name, optional=secret.optional)
        return _keys("Secret", secret.name, data, secret.items, mode, secret.optional)
    if source.downward_api:
        return _fields(pod, source.downward_api.items, mode, context)
    raise ConfigError("serviceAccountToken projections are not supported yet")


def _keys(
    kind: str,
    name: str,
    data: dict[str, bytes],
    items: list[KeyToPath],
    mode: int | None,
    optional: bool | None,
) -> dict[str, File]:
    default = DEFAULT_MODE if mode is None else mode
    if not items:
        return {key: File(value, default) for key, value in data.items()}
    files = {}
    for item in items:
        if item.key in data:
            files[item.path] = File(data[item.key], default if item.mode is None else item.mode)
        elif not optional:
            raise ConfigError(f"{kind.lower()} references non-existent key: {item.key} of {name}")
    return files


def _fields(
    pod: Pod, items: list[DownwardAPIFile], mode: int | None, context: Context
) -> dict[str, File]:
    files = {}
    for item in items:
        if item.field_ref:
            path = item.field_ref.field_path
            text = downward.field(pod, path, pod_ip=context.pod_ip, node=context.node)
        elif item.resource_field_ref:
            text = downward.resource(pod, Container(), item.resource_field_ref, context.node)
        else:
            continue
        bits = item.mode if item.mode is not None else mode
        files[item.path] = File(text.encode(), DEFAULT_MODE if bits is None else bits)
    return files
