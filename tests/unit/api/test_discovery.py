"""Discovery and OpenAPI say what the registry says."""

import json

import pytest

from engine.api import metrics
from engine.types.registry import RESOURCES
from tests.unit.api.world import World

V2 = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


async def test_the_aggregated_form_names_every_resource(world: World) -> None:
    found = set()
    for path in ("/api", "/apis"):
        response = await world.send("GET", path, accept=V2)
        assert response.content_type == (
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        )
        assert response.headers["Vary"] == "Accept"
        for group in json.loads(response.body)["items"]:
            for version in group["versions"]:
                for resource in version["resources"]:
                    kind = resource["responseKind"]
                    found.add((kind.get("group", ""), kind["version"], kind["kind"]))
    assert found == {(r.group, r.version, r.kind) for r in (*RESOURCES, *metrics.RESOURCES)}


async def test_the_old_form_names_every_resource(world: World) -> None:
    assert (await world.ask("GET", "/api"))["versions"] == ["v1"]
    groups = {group["name"] for group in (await world.ask("GET", "/apis"))["groups"]}
    assert groups == {r.group for r in RESOURCES if r.group} | {metrics.GROUP}
    for resource in RESOURCES:
        listed = await world.ask("GET", resource.root)
        assert resource.plural in {each["name"] for each in listed["resources"]}
    pods = {each["name"] for each in (await world.ask("GET", "/api/v1"))["resources"]}
    assert {"pods/log", "pods/binding", "pods/eviction", "pods/status"} <= pods


@pytest.mark.parametrize("path", ["/api", "/apis", "/api/v1", "/openapi/v3/apis/apps/v1"])
async def test_documents_are_not_sent_twice(world: World, path: str) -> None:
    from engine.api.request import Request

    first = await world.send("GET", path)
    headers = {"if-none-match": first.headers["ETag"]}
    again = await world.api.handle(Request("GET", path, {}, headers))
    assert (again.status, again.body) == (304, b"")


async def test_openapi_lets_kubectl_apply(world: World) -> None:
    index = (await world.ask("GET", "/openapi/v3"))["paths"]
    assert set(index) == {resource.root.lstrip("/") for resource in RESOURCES}
    for resource in RESOURCES:
        name = resource.root.lstrip("/")
        assert index[name]["serverRelativeURL"].startswith(f"/openapi/v3/{name}?hash=")
        document = await world.ask("GET", f"/openapi/v3/{name}")
        patches = {
            (gvk["group"], gvk["version"], gvk["kind"]): {p["name"] for p in patch["parameters"]}
            for path in document["paths"].values()
            if (patch := path.get("patch"))
            for gvk in [patch["x-kubernetes-group-version-kind"]]
        }
        kind = (resource.group, resource.version, resource.kind)
        assert "fieldValidation" in patches[kind]
        schemas = document["components"]["schemas"]
        for reference in _references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas
    assert (await world.refused("GET", "/openapi/v2"))["code"] == 404


def _references(data: object) -> list[str]:
    if isinstance(data, dict):
        own = [data["$ref"]] if isinstance(data.get("$ref"), str) else []
        return own + [each for value in data.values() for each in _references(value)]
    if isinstance(data, list):
        return [each for value in data for each in _references(value)]
    return []
