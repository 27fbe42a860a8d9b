"""Reading kubeconfig files: which server, whom to trust, and who one is.

Several files are merged as kubectl does: the first that names something wins.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.client.credential import VERSIONS, Plugin
from engine.client.errors import KubeconfigError


@dataclass(frozen=True, slots=True)
class Access:
    """All that is needed to speak to one cluster as one user."""

    context: str
    server: str
    namespace: str = "default"
    ca: bytes | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    proxy: str | None = None
    client_certificate: bytes | None = None
    client_key: bytes | None = None
    token: str | None = None
    token_file: Path | None = None
    """Read at each request: its owner renews it."""
    username: str | None = None
    password: str | None = None
    plugin: Plugin | None = None
    """The program that gives credentials."""


def default_paths() -> list[Path]:
    """The files of $KUBECONFIG, else ~/.kube/config."""
    given = os.environ.get("KUBECONFIG")
    if given:
        return [Path(part) for part in given.split(os.pathsep) if part]
    return [Path.home() / ".kube" / "config"]


def contexts(paths: Sequence[Path]) -> tuple[list[str], str]:
    """All contexts in order, and the current one ("" when none is)."""
    merged = _merge(paths)
    return list(merged["contexts"]), merged["current-context"]


def read(paths: Sequence[Path], context: str | None = None) -> Access:
    """The access that a context describes, the current one if none is named.

    Raise KubeconfigError when a file cannot be read, or an entry is missing or broken.
    """
    merged = _merge(paths)
    name = context or merged["current-context"]
    if not name:
        raise KubeconfigError(f"{_list(paths)}: no current context; name one")
    base, chosen = _entry(merged, "contexts", name, f"context {name!r}", paths)
    place = f"context {name!r}"
    cluster_base, cluster = _entry(merged, "clusters", str(chosen.get("cluster")), place, paths)
    user_name = str(chosen.get("user") or "")
    user_base, user = base, dict[str, Any]()
    if user_name:
        user_base, user = _entry(merged, "users", user_name, place, paths)
    if "auth-provider" in user:
        raise KubeconfigError(
            f"user {user_name!r}: credentials from 'auth-provider' are no longer supported by"
            " Kubernetes (since 1.26); use exec, a token or a client certificate"
        )
    server = str(cluster.get("server") or "")
    if not server.startswith(("http://", "https://")):
        raise KubeconfigError(f"cluster {chosen.get('cluster')!r}: server {server!r} is not a URL")
    token_file = user.get("tokenFile")
    return Access(
        context=name,
        server=server.rstrip("/"),
        namespace=str(chosen.get("namespace") or "default"),
        ca=_content(cluster, "certificate-authority", cluster_base),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        client_certificate=_content(user, "client-certificate", user_base),
        client_key=_content(user, "client-key", user_base),
        token=user.get("token"),
        token_file=user_base / token_file if token_file and not user.get("token") else None,
        username=user.get("username"),
        password=user.get("password"),
        plugin=_plugin(user, user_name, user_base, cluster, cluster_base),
    )


def _plugin(
    user: Mapping[str, Any], name: str, base: Path, cluster: Mapping[str, Any], cluster_base: Path
) -> Plugin | None:
    """The `exec` entry of a user."""
    entry = user.get("exec")
    if entry is None:
        return None
    place = f"user {name!r}: exec"
    if not isinstance(entry, dict) or not entry.get("command"):
        raise KubeconfigError(f"{place}: no command")
    version = str(entry.get("apiVersion") or "")
    if version not in VERSIONS:
        raise KubeconfigError(f"{place}: apiVersion {version!r}; there is {', '.join(VERSIONS)}")
    if entry.get("interactiveMode") == "Always":
        raise KubeconfigError(
            f"{place}: {entry['command']} wants the terminal, which is the dashboard's: log in by"
            " hand first, and set interactiveMode: IfAvailable"
        )
    told = None
    if entry.get("provideClusterInfo"):
        ca = _content(cluster, "certificate-authority", cluster_base)
        told = {"server": cluster.get("server")}
        told |= {"certificate-authority-data": base64.b64encode(ca).decode()} if ca else {}
        for key in ("tls-server-name", "insecure-skip-tls-verify", "proxy-url"):
            told |= {key: cluster[key]} if key in cluster else {}
    return Plugin(
        str(entry["command"]),
        tuple(map(str, entry.get("args") or ())),
        {str(item["name"]): str(item["value"]) for item in entry.get("env") or ()},
        version,
        " ".join(str(entry.get("installHint") or "").split()),
        base,
        told,
    )


def _merge(paths: Sequence[Path]) -> dict[str, Any]:
    """{"contexts": {name: (folder of the file, entry)}, "clusters": ..., "users": ...}"""
    merged: dict[str, Any] = {"contexts": {}, "clusters": {}, "users": {}, "current-context": ""}
    for path in paths:
        data = _load(path)
        merged["current-context"] = merged["current-context"] or data.get("current-context") or ""
        for kind in ("contexts", "clusters", "users"):
            for item in data.get(kind) or ():
                if not isinstance(item, dict) or not item.get("name"):
                    raise KubeconfigError(f"{path}: an entry of {kind} has no name")
                entry = item.get(kind[:-1]) or {}
                merged[kind].setdefault(str(item["name"]), (path.parent, entry))
    return merged


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise KubeconfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{path}: not YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise KubeconfigError(f"{path}: not a kubeconfig")
    return data


def _entry(
    merged: Mapping[str, Any], kind: str, name: str, place: str, paths: Sequence[Path]
) -> tuple[Path, dict[str, Any]]:
    found: tuple[Path, dict[str, Any]] | None = merged[kind].get(name)
    if found is None:
        known = ", ".join(merged[kind]) or "none"
        raise KubeconfigError(f"{_list(paths)}: {place}: no {kind[:-1]} {name!r}; known: {known}")
    return found


def _content(entry: Mapping[str, Any], key: str, base: Path) -> bytes | None:
    """The bytes of KEY-data (base64), else of the file that KEY names."""
    data = entry.get(f"{key}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise KubeconfigError(f"{key}-data: not base64: {error}") from error
    name = entry.get(key)
    if not name:
        return None
    try:
        return Path(base, name).read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{key} {base / name}: {error.strerror}") from error


def _list(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
