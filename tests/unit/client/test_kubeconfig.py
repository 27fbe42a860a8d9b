"""Kubeconfig files, merged and explained as kubectl does."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.client import kubeconfig
from engine.client.errors import KubeconfigError


def config(**user: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "two", "context": {"cluster": "gone", "user": "u"}},
            {"name": "open", "context": {"cluster": "c"}},
        ],
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": "https://127.0.0.1:6443/",
                    "certificate-authority-data": base64.b64encode(b"CA").decode(),
                    "tls-server-name": "kubernetes",
                },
            }
        ],
        "users": [{"name": "u", "user": user}],
    }


def write(path: Path, data: Any) -> Path:
    path.write_text(yaml.safe_dump(data))
    return path


def test_read(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(b"CERT")
    data = config(
        **{
            "client-certificate": "cert.pem",
            "client-key-data": base64.b64encode(b"KEY").decode(),
            "token": "t",
        }
    )
    access = kubeconfig.read([write(tmp_path / "config", data)])
    assert access == kubeconfig.Access(
        context="one",
        server="https://127.0.0.1:6443",
        namespace="team",
        ca=b"CA",
        tls_server_name="kubernetes",
        client_certificate=b"CERT",
        client_key=b"KEY",
        token="t",
    )


def test_another_context_without_a_user(tmp_path: Path) -> None:
    access = kubeconfig.read([write(tmp_path / "config", config(token="t"))], "open")
    assert (access.context, access.namespace, access.token) == ("open", "default", None)


def test_token_file_is_found_beside_the_config(tmp_path: Path) -> None:
    access = kubeconfig.read([write(tmp_path / "config", config(tokenFile="token"))])
    assert access.token_file == tmp_path / "token"


def test_the_first_file_wins(tmp_path: Path) -> None:
    first = {"users": [{"name": "u", "user": {"token": "first"}}]}
    paths = [write(tmp_path / "a", first), write(tmp_path / "b", config(token="second"))]
    assert kubeconfig.read(paths).token == "first"
    assert kubeconfig.contexts(paths) == (["one", "two", "open"], "one")


def test_default_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a::{tmp_path}/b")
    assert kubeconfig.default_paths() == [tmp_path / "a", tmp_path / "b"]
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kubeconfig.default_paths() == [tmp_path / ".kube" / "config"]


@pytest.mark.parametrize(
    ("change", "context", "words"),
    [
        ({}, "three", "no context 'three'; known: one, two, open"),
        ({}, "two", "no cluster 'gone'"),
        ({"current-context": ""}, None, "no current context"),
        ({"users": [{"name": "u", "user": {"exec": {}}}]}, None, "user 'u': exec: no command"),
        (
            {"users": [{"name": "u", "user": {"exec": {"command": "x", "apiVersion": "v1"}}}]},
            None,
            "exec: apiVersion 'v1'; there is client.authentication.k8s.io/v1",
        ),
        ({"users": [{"name": "u", "user": {"auth-provider": {}}}]}, None, "no longer supported"),
        ({"users": [{"user": {}}]}, None, "has no name"),
        ({"users": [{"name": "u", "user": {"client-key-data": "%"}}]}, None, "not base64"),
        ({"users": [{"name": "u", "user": {"client-key": "no"}}]}, None, "No such file"),
        ({"clusters": [{"name": "c", "cluster": {"server": "x"}}]}, None, "'x' is not a URL"),
    ],
)
def test_faults_name_their_place(
    tmp_path: Path, change: dict[str, Any], context: str | None, words: str
) -> None:
    path = write(tmp_path / "config", {**config(), **change})
    with pytest.raises(KubeconfigError) as caught:
        kubeconfig.read([path], context)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "a: [", "3"])
def test_what_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match="config"):
        kubeconfig.read([path])
    with pytest.raises(KubeconfigError, match="No such file"):
        kubeconfig.read([tmp_path / "missing"])
