"""Checks of a pod's volumes."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api.admission.causes import Causes, Path
from engine.api.admission.container import check_amount, check_field, check_relative
from engine.api.admission.names import dns_label
from engine.types.declare import json_name
from engine.types.volumes import DownwardAPIFile, KeyToPath, Volume, VolumeProjection

HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate"),
    *("File", "FileOrCreate", "Socket"),
)


def check_volumes(volumes: Sequence[Volume], path: Path, causes: Causes) -> None:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        place = path.at(index)
        if not volume.name:
            causes.required(place / "name")
        elif wrong := dns_label(volume.name):
            causes.invalid(place / "name", volume.name, wrong)
        elif volume.name in names:
            causes.duplicate(place / "name", volume.name)
        names.add(volume.name)
        sources = [
            json_name(name)
            for name in volume.__struct_fields__
            if name != "name" and getattr(volume, name) is not None
        ]
        for name in sources[1:]:
            causes.forbidden(place / name, "may not specify more than 1 volume type")
        _check_source(volume, place, causes)


def _check_source(volume: Volume, path: Path, causes: Causes) -> None:
    if (host := volume.host_path) is not None:
        place = path / "hostPath"
        if not host.path:
            causes.required(place / "path")
        elif ".." in host.path.split("/"):
            causes.invalid(place / "path", host.path, "must not contain '..'")
        if (host.type or "") not in HOST_PATH_TYPES:
            causes.unsupported(place / "type", host.type, HOST_PATH_TYPES)
    if (empty := volume.empty_dir) is not None:
        if empty.medium not in ("", "Memory") and not empty.medium.startswith("HugePages"):
            causes.unsupported(path / "emptyDir" / "medium", empty.medium, ("", "Memory"))
        if empty.size_limit is not None:
            check_amount(empty.size_limit, path / "emptyDir" / "sizeLimit", causes)
    if (config := volume.config_map) is not None:
        place = path / "configMap"
        if not config.name:
            causes.required(place / "name")
        _check_keys(config.items, place / "items", causes)
        _check_mode(config.default_mode, place / "defaultMode", causes)
    if (secret := volume.secret) is not None:
        place = path / "secret"
        if not secret.secret_name:
            causes.required(place / "secretName")
        _check_keys(secret.items, place / "items", causes)
        _check_mode(secret.default_mode, place / "defaultMode", causes)
    if (downward := volume.downward_api) is not None:
        place = path / "downwardAPI"
        _check_files(downward.items, place / "items", causes)
        _check_mode(downward.default_mode, place / "defaultMode", causes)
    if (projected := volume.projected) is not None:
        place = path / "projected"
        _check_mode(projected.default_mode, place / "defaultMode", causes)
        for index, source in enumerate(projected.sources):
            _check_projection(source, (place / "sources").at(index), causes)
    claim = volume.persistent_volume_claim
    if claim is not None and not claim.claim_name:
        causes.required(path / "persistentVolumeClaim" / "claimName")


def _check_projection(source: VolumeProjection, path: Path, causes: Causes) -> None:
    for name, projection in (("secret", source.secret), ("configMap", source.config_map)):
        if projection is not None:
            if not projection.name:
                causes.required(path / name / "name")
            _check_keys(projection.items, path / name / "items", causes)
    if source.downward_api is not None:
        _check_files(source.downward_api.items, path / "downwardAPI" / "items", causes)
    token = source.service_account_token
    if token is not None and not token.path:
        causes.required(path / "serviceAccountToken" / "path")


def _check_keys(items: Sequence[KeyToPath], path: Path, causes: Causes) -> None:
    for index, item in enumerate(items):
        place = path.at(index)
        if not item.key:
            causes.required(place / "key")
        if not item.path:
            causes.required(place / "path")
        check_relative(item.path, place / "path", causes)
        _check_mode(item.mode, place / "mode", causes)


def _check_files(items: Sequence[DownwardAPIFile], path: Path, causes: Causes) -> None:
    for index, item in enumerate(items):
        place = path.at(index)
        if not item.path:
            causes.required(place / "path")
        check_relative(item.path, place / "path", causes)
        _check_mode(item.mode, place / "mode", causes)
        if item.field_ref is not None:
            check_field(item.field_ref.field_path, place / "fieldRef" / "fieldPath", causes)
        elif item.resource_field_ref is None:
            causes.required(place, "one of fieldRef and resourceFieldRef is required")


def _check_mode(mode: int | None, path: Path, causes: Causes) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        detail = "must be a number between 0 and 0777 (octal), both inclusive"
        causes.invalid(path, mode, detail)
