"""Create, read, update and delete, in Kubernetes' words."""

import asyncio
import random

import pytest

from tests.unit.api.world import DEPLOYMENT, POD, START, World, deployment, pod


async def test_create_gives_what_only_the_server_gives(world: World) -> None:
    made = await world.ask("POST", POD, pod("p"))
    meta = made["metadata"]
    assert meta["namespace"] == "default"
    assert meta["creationTimestamp"] == "2027-01-15T08:00:00Z"
    assert meta["uid"]
    assert meta["generation"] == 1
    assert int(meta["resourceVersion"]) == world.store.revision
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert await world.ask("GET", f"{POD}/p") == made


async def test_generated_names_differ(world: World) -> None:
    body = pod()
    body["metadata"] = {"generateName": "web-"}
    names = {(await world.ask("POST", POD, body))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    world.api._writer._random = random.Random(1)
    first = (await world.ask("POST", POD, body))["metadata"]["name"]
    world.api._writer._random = random.Random(1)  # the same numbers again
    assert (await world.ask("POST", POD, body))["metadata"]["name"] != first
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


async def test_names_that_are_there_or_are_not(world: World) -> None:
    await world.ask("POST", POD, pod("p"))
    again = await world.refused("POST", POD, pod("p"))
    assert (again["code"], again["reason"]) == (409, "AlreadyExists")
    assert again["message"] == 'pods "p" already exists'
    missing = await world.refused("GET", f"{DEPLOYMENT}/x")
    assert missing["message"] == 'deployments.apps "x" not found'
    assert missing["details"] == {"name": "x", "group": "apps", "kind": "deployments"}
    for method in ("PUT", "PATCH", "DELETE"):
        body = None if method == "DELETE" else deployment("x")
        kind = "application/merge-patch+json" if method == "PATCH" else ""
        status = await world.refused(method, f"{DEPLOYMENT}/x", body, content_type=kind)
        assert status["code"] == 404


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/frogs", 404),
        ("GET", "/api/v2/pods", 404),
        ("GET", "/apis/apps/v1/namespaces/default/pods", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/pods/p", 404),
        ("GET", f"{POD}/p/frogs", 404),
        ("GET", f"{POD}/p/log/x", 404),
        ("POST", f"{POD}/p", 405),
        ("PUT", POD, 405),
        ("GET", f"{POD}/p/binding", 405),
        ("POST", "/version", 405),
    ],
)
async def test_what_is_not_served(world: World, method: str, path: str, code: int) -> None:
    assert (await world.refused(method, path))["code"] == code


async def test_namespaces_bound_their_objects(world: World) -> None:
    status = await world.refused("POST", "/api/v1/namespaces/nowhere/pods", pod())
    assert status["message"] == 'namespaces "nowhere" not found'
    body = pod()
    body["metadata"]["namespace"] = "kube-system"
    status = await world.refused("POST", POD, body)
    assert "does not match the namespace" in status["message"]


async def test_update_needs_the_newest_revision(world: World) -> None:
    first = await world.ask("POST", DEPLOYMENT, deployment(replicas=1))
    second = await world.ask(
        "PUT", f"{DEPLOYMENT}/web", {**first, "spec": {**first["spec"], "replicas": 2}}
    )
    assert second["metadata"]["generation"] == 2
    stale = await world.refused("PUT", f"{DEPLOYMENT}/web", first)
    assert (stale["code"], stale["reason"]) == (409, "Conflict")
    assert stale["message"].startswith(
        'Operation cannot be fulfilled on deployments.apps "web": the object has been modified'
    )
    del first["metadata"]["resourceVersion"]
    assert (await world.ask("PUT", f"{DEPLOYMENT}/web", first))["metadata"]["generation"] == 3


async def test_writers_without_a_revision_never_conflict(world: World) -> None:
    await world.ask("POST", DEPLOYMENT, deployment())
    kind = "application/merge-patch+json"
    patches = [
        world.ask(
            "PATCH",
            f"{DEPLOYMENT}/web",
            {"metadata": {"labels": {f"l{n}": "x"}}},
            content_type=kind,
        )
        for n in range(20)
    ]
    await asyncio.gather(*patches)
    assert len((await world.ask("GET", f"{DEPLOYMENT}/web"))["metadata"]["labels"]) == 20


async def test_nothing_changes_when_nothing_changes(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, deployment())
    assert await world.ask("PUT", f"{DEPLOYMENT}/web", made) == made


async def test_server_fields_cannot_be_changed(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, deployment())
    wished = {**made, "metadata": {**made["metadata"], "creationTimestamp": None, "generation": 9}}
    wished["metadata"]["annotations"] = {"a": "b"}
    after = await world.ask("PUT", f"{DEPLOYMENT}/web", wished)
    assert after["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert after["metadata"]["generation"] == 1
    wrong = {**made, "metadata": {**made["metadata"], "uid": "other"}}
    assert (
        "Precondition failed: UID"
        in (await world.refused("PUT", f"{DEPLOYMENT}/web", wrong))["message"]
    )
    wrong = {**made, "metadata": {**made["metadata"], "name": "other"}}
    assert (await world.refused("PUT", f"{DEPLOYMENT}/web", wrong))["code"] == 400


async def test_status_and_spec_are_separate(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, {**deployment(), "status": {"replicas": 9}})
    assert made["status"] == {}
    body = {**made, "status": {"replicas": 3}, "spec": {**made["spec"], "replicas": 7}}
    after = await world.ask("PUT", f"{DEPLOYMENT}/web/status", body)
    assert after["status"] == {"replicas": 3}
    assert after["spec"] == made["spec"]
    assert after["metadata"]["generation"] == 1
    body["metadata"] = after["metadata"]
    body["status"] = {"replicas": 5}
    after = await world.ask("PUT", f"{DEPLOYMENT}/web", body)
    assert after["status"] == {"replicas": 3}
    assert after["spec"]["replicas"] == 7
    assert await world.ask("GET", f"{DEPLOYMENT}/web/status") == after


async def test_dry_run_stores_nothing(world: World) -> None:
    before = world.store.revision
    made = await world.ask("POST", POD, pod(), dryRun="All")
    assert made["spec"]["restartPolicy"] == "Always"
    assert "resourceVersion" not in made["metadata"]
    assert world.store.revision == before
    await world.ask("POST", POD, pod())
    after = world.store.revision
    kind = "application/merge-patch+json"
    patch = {"metadata": {"labels": {"a": "b"}}}
    patched = await world.ask("PATCH", f"{POD}/p", patch, content_type=kind, dryRun="All")
    assert patched["metadata"]["labels"]["a"] == "b"
    await world.ask("DELETE", f"{POD}/p", dryRun="All")
    assert world.store.revision == after
    assert (await world.refused("POST", POD, pod("q"), dryRun="Some"))["code"] == 400
    assert (await world.refused("POST", POD, pod("p"), dryRun="All"))["code"] == 409


async def test_deployment_goes_at_once_and_tells_what_went(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, deployment())
    status = await world.ask("DELETE", f"{DEPLOYMENT}/web")
    assert status["status"] == "Success"
    assert status["details"] == {
        "name": "web",
        "kind": "deployments",
        "group": "apps",
        "uid": made["metadata"]["uid"],
    }
    assert (await world.refused("GET", f"{DEPLOYMENT}/web"))["code"] == 404


async def test_a_pod_without_a_node_goes_at_once(world: World) -> None:
    await world.ask("POST", POD, pod())
    assert (await world.ask("DELETE", f"{POD}/p"))["kind"] == "Status"
    assert (await world.refused("GET", f"{POD}/p"))["code"] == 404


async def test_a_pod_on_a_node_waits_for_its_kubelet(world: World) -> None:
    await world.ask("POST", POD, pod(nodeName="n1", terminationGracePeriodSeconds=20))
    marked = await world.ask("DELETE", f"{POD}/p")
    assert marked["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:20Z"
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 20
    world.now = START + 5
    assert await world.ask("DELETE", f"{POD}/p", {"gracePeriodSeconds": 60}) == marked
    sooner = await world.ask("DELETE", f"{POD}/p", {"gracePeriodSeconds": 2})
    assert sooner["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:07Z"
    gone = await world.ask("DELETE", f"{POD}/p", gracePeriodSeconds="0")
    assert gone["kind"] == "Status"
    assert (await world.refused("GET", f"{POD}/p"))["code"] == 404


async def test_a_finished_pod_goes_at_once(world: World) -> None:
    made = await world.ask("POST", POD, pod(nodeName="n1"))
    made["status"]["phase"] = "Succeeded"
    await world.ask("PUT", f"{POD}/p/status", made)
    assert (await world.ask("DELETE", f"{POD}/p"))["kind"] == "Status"


async def test_delete_preconditions(world: World) -> None:
    made = await world.ask("POST", POD, pod())
    status = await world.refused("DELETE", f"{POD}/p", {"preconditions": {"uid": "other"}})
    assert (status["code"], status["reason"]) == (409, "Conflict")
    await world.ask("DELETE", f"{POD}/p", {"preconditions": {"uid": made["metadata"]["uid"]}})


async def test_finalizers_hold_until_the_last_is_off(world: World) -> None:
    body = deployment()
    body["metadata"]["finalizers"] = ["example.com/wait"]
    await world.ask("POST", DEPLOYMENT, body)
    marked = await world.ask("DELETE", f"{DEPLOYMENT}/web", {"propagationPolicy": "Foreground"})
    assert marked["metadata"]["finalizers"] == ["example.com/wait", "foregroundDeletion"]
    assert marked["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:00Z"
    kind = "application/merge-patch+json"
    path = f"{DEPLOYMENT}/web"
    one = {"metadata": {"finalizers": ["foregroundDeletion"]}}
    await world.ask("PATCH", path, one, content_type=kind)
    await world.ask("GET", path)
    watch = await world.watch(DEPLOYMENT, resourceVersion=str(world.store.revision))
    await world.ask("PATCH", path, {"metadata": {"finalizers": None}}, content_type=kind)
    assert await watch.names(1) == [("DELETED", "web")]
    assert (await world.refused("GET", path))["code"] == 404


async def test_orphan_and_unknown_policies(world: World) -> None:
    await world.ask("POST", DEPLOYMENT, deployment())
    path = f"{DEPLOYMENT}/web"
    assert (await world.refused("DELETE", path, propagationPolicy="Sideways"))["code"] == 400
    marked = await world.ask("DELETE", path, propagationPolicy="Orphan")
    assert marked["metadata"]["finalizers"] == ["orphan"]


async def test_a_namespace_ends_when_its_finalizer_is_off(world: World) -> None:
    path = "/api/v1/namespaces/team"
    made = await world.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
    assert made["spec"]["finalizers"] == ["kubernetes"]
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    marked = await world.ask("DELETE", path)
    assert marked["status"]["phase"] == "Terminating"
    refused = await world.refused("POST", f"{path}/pods", pod())
    assert refused["code"] == 403
    assert "because it is being terminated" in refused["message"]
    assert refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await world.ask("PUT", f"{path}/finalize", {**marked, "spec": {}})
    assert (await world.refused("GET", path))["code"] == 404


async def test_some_namespaces_never_end(world: World) -> None:
    status = await world.refused("DELETE", "/api/v1/namespaces/default")
    assert status["message"] == (
        'namespaces "default" is forbidden: this namespace may not be deleted'
    )


async def test_delete_collection_by_label(world: World) -> None:
    for name in ("a", "b", "c"):
        await world.ask("POST", POD, pod(name))
    gone = await world.ask("DELETE", POD, labelSelector="app in (a,b)")
    assert gone["kind"] == "PodList"
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "b"]
    left = await world.ask("GET", POD)
    assert [item["metadata"]["name"] for item in left["items"]] == ["c"]


async def test_yaml_is_read_too(world: World) -> None:
    text = b"metadata: {name: y}\nspec: {containers: [{name: c, image: i}]}\n"
    made = await world.ask("POST", POD, text, content_type="application/yaml")
    assert made["metadata"]["name"] == "y"
    status = await world.refused("POST", POD, b"{a: [", content_type="application/yaml")
    assert status["code"] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"metadata":{"name":3}}', b'{"kind":"Node"}'])
async def test_bad_bodies_are_told(world: World, body: bytes) -> None:
    status = await world.refused("POST", POD, body)
    assert (status["code"], status["reason"]) == (400, "BadRequest")


async def test_formats_that_are_not_spoken(world: World) -> None:
    status = await world.refused("POST", POD, b"x", content_type="application/cbor")
    assert status["code"] == 415
    assert "accepted media types include: application/json" in status["message"]
    status = await world.refused("GET", POD, accept="application/cbor")
    assert status["code"] == 406
    status = await world.refused("PATCH", f"{POD}/p", {}, content_type="application/json")
    assert status["code"] == 415


async def test_an_unforeseen_fault_is_answered(world: World, monkeypatch) -> None:
    def broken(*args: object, **more: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(world.store, "scan", broken)
    status = await world.refused("GET", POD)
    assert status["code"] == 500
    assert "no luck" in status["message"]
