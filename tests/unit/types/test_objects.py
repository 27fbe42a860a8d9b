"""Objects go through their declared types and come out as they were."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from engine.types import codec, registry, schema
from engine.types.apps import Deployment
from engine.types.containers import Container
from engine.types.core import ConfigMap, Event, Namespace, Pod
from engine.types.declare import Type, json_name
from engine.types.meta import Object, controller_of, owner_reference
from engine.types.stats import Tick

SAMPLES = Path(__file__).parent / "samples"
POD = (SAMPLES / "pod.yaml").read_text()


def samples() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(POD + "---\n" + (SAMPLES / "kinds.yaml").read_text()))


@pytest.mark.parametrize("data", samples(), ids=lambda data: data["kind"])
def test_nothing_is_lost_or_added(data: dict[str, Any]) -> None:
    resource = registry.resource_for_kind(data["apiVersion"], data["kind"])
    assert resource is not None
    assert schema.unknown_fields(resource.cls, data) == []
    assert codec.to_dict(codec.from_dict(resource.cls, data)) == _with_empty(resource.cls, data)
    assert codec.to_dict(codec.decode(resource.cls, codec.encode(data))) == _with_empty(
        resource.cls, data
    )


def _with_empty(cls: type[Type], data: dict[str, Any]) -> dict[str, Any]:
    """The sample, with what Kubernetes writes even when it is empty."""
    empty = codec.to_dict(cls())
    full = {**empty, **data}
    for name, value in data.items():
        field = schema.fields_of(cls)[name]
        if field.cls is None or field.shape == "map":
            continue
        if isinstance(value, dict):
            full[name] = _with_empty(field.cls, value)
        else:
            full[name] = [_with_empty(field.cls, item) for item in value]
    return full


def test_what_is_always_written() -> None:
    assert codec.to_dict(Pod()) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "spec": {"containers": []},
        "status": {},
    }


def test_unknown_fields_are_tolerated_and_named() -> None:
    data: dict[str, Any] = {
        "kind": "Pod",
        "sepc": {},
        "metadata": {"labels": {"any": "key"}, "nam": "x"},
        "spec": {
            "containers": [{"name": "a"}, {"image": "b", "env": [{"vaule": "c"}], "prots": 1}]
        },
    }
    codec.from_dict(Pod, data)
    assert schema.unknown_fields(Pod, data) == [
        "sepc",
        "metadata.nam",
        "spec.containers[1].env[0].vaule",
        "spec.containers[1].prots",
    ]


def test_nonsense_has_no_unknown_fields() -> None:
    assert (
        schema.unknown_fields(Pod, {"spec": 3, "metadata": [], "status": {"conditions": [1]}}) == []
    )


def test_null_is_absent() -> None:
    text = b'{"metadata":{"creationTimestamp":null,"labels":null},"spec":{"containers":null}}'
    pod = codec.decode(Pod, text)
    assert pod.metadata.labels == {}
    assert pod.spec.containers == []


def test_a_wrong_type_names_its_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.spec\.replicas"):
        codec.decode(Deployment, b'{"spec":{"replicas":"three"}}')


def test_kinds_in_lists_need_no_type() -> None:
    namespace = codec.decode(Namespace, b'{"metadata":{"name":"x"}}')
    assert (namespace.api_version, namespace.kind) == ("v1", "Namespace")


def test_a_clone_shares_nothing() -> None:
    pod = codec.from_dict(Pod, yaml.safe_load(POD))
    clone = codec.clone(pod)
    assert clone == pod
    clone.metadata.labels["app"] = "changed"
    clone.spec.containers[0].image = "changed"
    assert pod.metadata.labels == {"app": "web"}
    assert pod.spec.containers[0].image == "podarium/host:latest"
    assert copy.deepcopy(pod) == pod


def test_defaults_are_not_shared() -> None:
    Pod().metadata.labels["a"] = "b"
    Pod().spec.containers.append(Container())
    assert Pod().metadata.labels == {}
    assert Pod().spec.containers == []


@pytest.mark.parametrize(
    ("name", "json"),
    [
        ("pod_ips", "podIPs"),
        ("host_ip", "hostIP"),
        ("pod_cidr", "podCIDR"),
        ("cluster_ip", "clusterIP"),
        ("container_id", "containerID"),
        ("system_uuid", "systemUUID"),
        ("host_pid", "hostPID"),
        ("downward_api", "downwardAPI"),
        ("set_hostname_as_fqdn", "setHostnameAsFQDN"),
        ("api_version", "apiVersion"),
        ("ip_families", "ipFamilies"),
        ("os_image", "osImage"),
        ("continue_", "continue"),
        ("uid", "uid"),
        ("http_get", "httpGet"),
        ("tcp_socket", "tcpSocket"),
    ],
)
def test_json_names(name: str, json: str) -> None:
    assert json_name(name) == json


def test_merge_keys() -> None:
    keys = schema.merge_keys(Deployment)
    assert keys["spec.template.spec.containers"] == "name"
    assert keys["spec.template.spec.containers.ports"] == "containerPort"
    assert keys["spec.template.spec.containers.volumeMounts"] == "mountPath"
    assert "spec.template.spec.tolerations" not in keys


@pytest.mark.parametrize("resource", registry.RESOURCES, ids=lambda r: r.plural)
def test_every_resource_is_declared_whole(resource: registry.Resource) -> None:
    obj = resource.cls()
    assert (obj.api_version, obj.kind) == (resource.api_version, resource.kind)
    schemas = schema.openapi(resource.cls)
    for found in schemas.values():
        assert found["description"]
        for name, field in found["properties"].items():
            assert field["description"], name
    refs = set(_refs(schemas))
    assert {ref.rpartition("/")[2] for ref in refs} <= set(schemas)
    assert schemas[resource.kind]["x-kubernetes-group-version-kind"] == [
        {"group": resource.group, "version": resource.version, "kind": resource.kind}
    ]


def _refs(value: Any) -> list[str]:
    if isinstance(value, list):
        return [ref for item in value for ref in _refs(item)]
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for item in value.values() for ref in _refs(item)]
    return []


def test_protobuf_tags_are_unique_in_a_type() -> None:
    seen: set[type[Type]] = set()
    waiting: list[type[Type]] = [resource.cls for resource in registry.RESOURCES]
    while waiting:
        cls = waiting.pop()
        if cls in seen:
            continue
        seen.add(cls)
        fields = schema.fields_of(cls).values()
        tags = [field.tag for field in fields if field.tag is not None]
        assert len(tags) == len(set(tags)), cls
        waiting += [field.cls for field in fields if field.cls is not None]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("po", "Pod"),
        ("pods", "Pod"),
        ("pod", "Pod"),
        ("Pod", "Pod"),
        ("deploy", "Deployment"),
        ("deployments.apps", "Deployment"),
        ("deployments.v1.apps", "Deployment"),
        ("NS", "Namespace"),
        ("images.podarium.io", "Image"),
    ],
)
def test_find(name: str, kind: str) -> None:
    found = registry.find(name)
    assert found is not None
    assert found.kind == kind


def test_find_nothing() -> None:
    assert registry.find("widgets") is None
    assert registry.find("pods.apps") is None
    assert registry.resource_for_path("apps", "v1", "pods") is None


def test_paths() -> None:
    pods = registry.resource_for(Pod)
    assert pods.path() == "/api/v1/pods"
    assert pods.path("a") == "/api/v1/namespaces/a/pods"
    assert pods.path("a", "b", "log") == "/api/v1/namespaces/a/pods/b/log"
    assert pods.path("a/..", "b?") == "/api/v1/namespaces/a%2F../pods/b%3F"
    deployments = registry.resource_for(Deployment)
    assert deployments.path("a", "b", "scale") == "/apis/apps/v1/namespaces/a/deployments/b/scale"
    assert (deployments.key, deployments.qualified) == ("apps/deployments", "deployments.apps")
    namespaces = registry.resource_for(Namespace)
    assert namespaces.path("ignored", "x") == "/api/v1/namespaces/x"


def test_only_what_is_reported_again_may_be_forgotten() -> None:
    assert {r.kind for r in registry.RESOURCES if not r.durable} == {"Event", "Lease", "Image"}
    assert registry.resource_for(Event).durable is False


def test_owners() -> None:
    owner = ConfigMap()
    owner.metadata.name, owner.metadata.uid = "c", "u"
    child: Object = Pod()
    assert controller_of(child.metadata) is None
    child.metadata.owner_references = [
        owner_reference(ConfigMap(), controller=False),
        owner_reference(owner),
    ]
    found = controller_of(child.metadata)
    assert found is not None
    assert codec.to_dict(found) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "c",
        "uid": "u",
        "controller": True,
        "blockOwnerDeletion": True,
    }


def test_ticks() -> None:
    line = (
        b'{"t":1.5,"nodes":{"n":{"cpu":0.5,"memory":1}},"containers":{"a/b/c":{"cpu":1}},"new":1}'
    )
    tick = codec.decode(Tick, line)
    assert tick.nodes["n"].cpu == 0.5
    assert tick.containers["a/b/c"].memory_limit is None
