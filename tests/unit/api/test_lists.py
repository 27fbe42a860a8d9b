"""Lists: selectors, forms and revisions."""

import pytest

from tests.unit.api.world import DEPLOYMENT, POD, World, deployment, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def names(world: World, path: str = POD, **query: str) -> list[str]:
    found = await world.ask("GET", path, **query)
    return [item["metadata"]["name"] for item in found["items"]]


async def test_lists_are_sorted_whole_and_of_one_revision(world: World) -> None:
    for name in ("c", "a", "b"):
        await world.ask("POST", POD, pod(name))
    found = await world.ask("GET", POD, limit="1")
    assert (found["kind"], found["apiVersion"]) == ("PodList", "v1")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b", "c"]
    assert found["metadata"] == {"resourceVersion": str(world.store.revision)}
    assert await names(world, "/api/v1/pods") == ["a", "b", "c"]
    assert await names(world, "/api/v1/namespaces/kube-system/pods") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"labelSelector": "app=a"}, ["a"]),
        ({"labelSelector": "app!=a"}, ["b", "c"]),
        ({"labelSelector": "app in (a,c)"}, ["a", "c"]),
        ({"labelSelector": "missing"}, []),
        ({"labelSelector": "!missing,app notin (b)"}, ["a", "c"]),
        ({"fieldSelector": "metadata.name=b"}, ["b"]),
        ({"fieldSelector": "metadata.name!=b,metadata.namespace=default"}, ["a", "c"]),
        ({"fieldSelector": "spec.nodeName=n1"}, ["a"]),
        ({"fieldSelector": "spec.nodeName="}, ["b", "c"]),
        ({"fieldSelector": "spec.nodeName!=n1,status.phase=Pending"}, ["b", "c"]),
        ({"fieldSelector": "spec.hostNetwork=false"}, ["a", "b", "c"]),
        ({"fieldSelector": "spec.nodeName=n1", "labelSelector": "app=b"}, []),
    ],
)
async def test_selectors(world: World, query: dict[str, str], expected: list[str]) -> None:
    await world.ask("POST", POD, pod("a", nodeName="n1"))
    await world.ask("POST", POD, pod("b"))
    await world.ask("POST", POD, pod("c"))
    assert await names(world, **query) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"fieldSelector": "spec.frog=1"}, "field label not supported: spec.frog"),
        ({"fieldSelector": "nonsense"}, "can't understand"),
        ({"labelSelector": "a in b"}, "unable to parse requirement"),
        ({"labelSelector": "a/b/c=d"}, "key: Invalid value"),
        ({"resourceVersion": "abc"}, "Invalid value"),
        ({"resourceVersionMatch": "Exact"}, "forbidden unless resourceVersion is provided"),
    ],
)
async def test_bad_queries(world: World, query: dict[str, str], text: str) -> None:
    status = await world.refused("GET", POD, **query)
    assert status["code"] == 400
    assert text in status["message"]


async def test_the_past_and_the_future(world: World) -> None:
    await world.ask("POST", POD, pod("a"))
    then = str(world.store.revision)
    await world.ask("POST", POD, pod("b"))
    exact = {"resourceVersionMatch": "Exact"}
    assert await names(world, resourceVersion=then, **exact) == ["a"]
    assert await names(world, resourceVersion=then) == ["a", "b"]
    assert await names(world, resourceVersion="0") == ["a", "b"]
    status = await world.refused("GET", POD, resourceVersion="999999")
    assert status["code"] == 504
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    status = await world.refused("GET", POD, resourceVersion="0000000", **exact)
    assert "Exact" in status["message"]


async def test_table_of_pods(world: World) -> None:
    await world.ask("POST", POD, pod("a", nodeName="n1"))
    world.now += 90
    table = await world.ask("GET", POD, accept=TABLE)
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    columns = [(c["name"], c["priority"]) for c in table["columnDefinitions"]]
    assert columns[:5] == [(n, 0) for n in ("Name", "Ready", "Status", "Restarts", "Age")]
    assert columns[5:] == [(n, 1) for n in ("IP", "Node", "Nominated Node", "Readiness Gates")]
    (row,) = table["rows"]
    assert row["cells"][:5] == ["a", "0/1", "Pending", "0", "90s"]
    assert row["cells"][6] == "n1"
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    assert "spec" not in row["object"]
    table = await world.ask("GET", POD, accept=TABLE, includeObject="Object")
    assert table["rows"][0]["object"]["spec"]["nodeName"] == "n1"
    table = await world.ask("GET", f"{POD}/a", accept=TABLE, includeObject="None")
    assert "object" not in table["rows"][0]


async def test_every_kind_has_a_table(world: World) -> None:
    from engine.types.registry import RESOURCES

    await world.ask("POST", DEPLOYMENT, deployment())
    for resource in RESOURCES:
        table = await world.ask("GET", resource.path(), accept=TABLE)
        assert table["kind"] == "Table"
        widths = {len(row["cells"]) for row in table["rows"]}
        assert widths <= {len(table["columnDefinitions"])}


async def test_only_metadata(world: World) -> None:
    await world.ask("POST", POD, pod("a"))
    found = await world.ask("GET", POD, accept=PARTIAL)
    assert found["kind"] == "PartialObjectMetadataList"
    assert found["apiVersion"] == "meta.k8s.io/v1"
    (item,) = found["items"]
    assert set(item) == {"kind", "apiVersion", "metadata"}
    assert item["metadata"]["labels"] == {"app": "a"}


async def test_protobuf_is_passed_over_for_json(world: World) -> None:
    accept = "application/vnd.kubernetes.protobuf,application/json"
    assert (await world.ask("GET", POD, accept=accept))["kind"] == "PodList"
