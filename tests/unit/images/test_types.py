"""Documents from strangers: what is taken, what is refused, and what the refusal says."""

import hashlib
import json
from typing import Any

import pytest

from engine.images.errors import BadDigest, BadImage
from engine.images.types import (
    CONFIG_LIMIT,
    MANIFEST_LIMIT,
    OCI_CONFIG,
    ConfigFile,
    Digest,
    Index,
    Manifest,
    chain_ids,
)

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
BLOB = {"mediaType": OCI_CONFIG, "digest": A, "size": 3}


def manifest(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": BLOB, "layers": []} | fields).encode()


def config(**fields: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [A, B]}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs} | fields).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        A[:-1],
        A + "a",
        A.upper(),
        A + "\n",
        "sha512:" + "a" * 64,
        "../../" + A,
        "a" * 64,
        5,
    ],
)
def test_only_a_digest_is_a_digest(text: Any) -> None:
    with pytest.raises(BadDigest, match="64 hexadecimal digits"):
        Digest(text)


def test_digests_compare_by_text() -> None:
    assert Digest(A) == Digest(A) != Digest(B)
    assert {Digest(A), Digest(A)} == {Digest(A)}
    assert (str(Digest(A)), Digest(A).hex) == (A, "a" * 64)
    assert str(Digest.of(b"x")) == f"sha256:{hashlib.sha256(b'x').hexdigest()}"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff", "malformed"),
        (b"[" * 100_000, "Expected `object`"),
        (b'{"config":' + b"[" * 100_000, "$"),
        (manifest(schemaVersion=1), "schemaVersion"),
        (manifest(config=BLOB | {"digest": "sha256:../x"}), "$.config.digest"),
        (manifest(config=BLOB | {"digest": 5}), "$.config.digest"),
        (manifest(layers=[BLOB | {"size": -1}]), "$.layers[0].size"),
        (manifest(layers=[BLOB | {"size": 1 << 64}]), "$.layers[0].size"),
        (manifest(layers=[{"digest": A}]), "size"),
        (manifest(manifests=[]), "not an image manifest"),
        (manifest(mediaType="application/vnd.oci.image.index.v1+json"), "not an image manifest"),
        (manifest(config=BLOB | {"mediaType": "application/vnd.oci.empty.v1+json"}), "artifact"),
        (manifest(x="y" * MANIFEST_LIMIT), "limit"),
    ],
)
def test_a_bad_manifest_is_refused_by_name(raw: bytes, says: str) -> None:
    with pytest.raises(BadImage) as refused:
        Manifest.parse(raw, "some/image")
    assert "manifest some/image" in str(refused.value)
    assert says in str(refused.value)


def test_an_index_that_is_also_a_manifest_is_refused() -> None:
    """CVE-2021-41190."""
    raw = json.dumps({"schemaVersion": 2, "manifests": [], "layers": []}).encode()
    with pytest.raises(BadImage, match="not an image index"):
        Index.parse(raw, "x")


def test_a_manifest_is_seen_with_its_unknown_fields_passed_over() -> None:
    parsed = Manifest.parse(manifest(layers=[BLOB], annotations={"a": "b"}, future=1), "x")
    assert parsed.layers[0].digest == Digest(A)
    assert parsed.config.size == 3


def test_a_config_is_read_with_dockers_nulls() -> None:
    settings = {
        "Env": None,
        "Cmd": ["sh"],
        "ExposedPorts": {"80/tcp": {}},
        "User": "",
        "Labels": None,
    }
    parsed = ConfigFile.parse(config(config=settings, history=None), "x")
    assert parsed.config.cmd == ("sh",)
    assert parsed.config.env == ()
    assert parsed.config.exposed_ports == ("80/tcp",)
    assert parsed.diff_ids == (Digest(A), Digest(B))
    assert ConfigFile.parse(config(), "x").config.cmd == ()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (config(rootfs={"type": "tar", "diff_ids": []}), "rootfs.type"),
        (config(rootfs={"type": "layers", "diff_ids": ["x"]}), "$.rootfs.diff_ids"),
        (config(config={"Env": "A=1"}), "$.config.Env"),
        (config(x="y" * CONFIG_LIMIT), "limit"),
        (b"{}", "architecture"),
    ],
)
def test_a_bad_config_is_refused_by_name(raw: bytes, says: str) -> None:
    with pytest.raises(BadImage) as refused:
        ConfigFile.parse(raw, "some/image")
    assert "config some/image" in str(refused.value)
    assert says in str(refused.value)


def test_history_is_aligned_by_passing_over_empty_layers() -> None:
    history = [
        {"created_by": "ADD rootfs"},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"comment": "by hand"},
    ]
    assert ConfigFile.parse(config(history=history), "x").made_by() == ["ADD rootfs", "by hand"]
    assert ConfigFile.parse(config(history=history[:1]), "x").made_by() == ["", ""]
    assert ConfigFile.parse(config(), "x").made_by() == ["", ""]


def test_a_chain_id_is_of_the_texts() -> None:
    """ChainID(L0|L1) = Digest(ChainID(L0) + " " + DiffID(L1))."""
    first = Digest(A)
    second = Digest.of(f"{A} {B}".encode())
    third = Digest.of(f"{second} {C}".encode())
    assert chain_ids((Digest(A), Digest(B), Digest(C))) == [first, second, third]
    assert chain_ids(()) == []
