"""Defaults as Kubernetes sets them, so that what is stored says all that holds."""

from typing import Any

import pytest

from tests.unit.api.world import DEPLOYMENT, POD, World, container, deployment, job, pod

JOB = "/apis/batch/v1/namespaces/default/jobs"
BASE = "/api/v1/namespaces/default"


async def test_pod_defaults(world: World) -> None:
    made = await world.ask(
        "POST",
        POD,
        pod(
            containers=[
                container(
                    image="registry:5000/x",
                    ports=[{"containerPort": 80}],
                    env=[{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    livenessProbe={"httpGet": {"port": 80}},
                    resources={
                        "limits": {"cpu": "1", "memory": "1Gi"},
                        "requests": {"cpu": "500m"},
                    },
                )
            ],
            volumes=[{"name": "v", "configMap": {"name": "x"}}, {"name": "e"}],
        ),
    )
    spec = made["spec"]
    (only,) = spec["containers"]
    assert only["imagePullPolicy"] == "Always"
    assert only["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert only["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert only["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert only["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert spec["volumes"] == [
        {"name": "v", "configMap": {"name": "x", "defaultMode": 420}},
        {"name": "e", "emptyDir": {}},
    ]
    assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert [(t["key"], t["effect"], t["tolerationSeconds"]) for t in spec["tolerations"]] == [
        ("node.kubernetes.io/not-ready", "NoExecute", 300),
        ("node.kubernetes.io/unreachable", "NoExecute", 300),
    ]
    assert made["status"] == {"phase": "Pending", "qosClass": "Burstable"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("x", "Always"),
        ("x:latest", "Always"),
        ("host:5000/x", "Always"),
        ("x:1", "IfNotPresent"),
        ("host:5000/x:1", "IfNotPresent"),
        ("x@sha256:abc", "IfNotPresent"),
        ("x:latest@sha256:abc", "IfNotPresent"),
    ],
)
async def test_pull_policy_follows_the_tag(world: World, image: str, policy: str) -> None:
    made = await world.ask("POST", POD, pod(containers=[container(image=image)]))
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ([{}], "BestEffort"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        (
            [{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}],
            "Guaranteed",
        ),
        ([{"limits": {"cpu": "1"}}], "Burstable"),
        ([{"requests": {"memory": "1Gi"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
async def test_quality_of_service(world: World, resources: list[Any], quality: str) -> None:
    containers = [container(name=f"c{i}", resources=each) for i, each in enumerate(resources)]
    made = await world.ask("POST", POD, pod(containers=containers))
    assert made["status"]["qosClass"] == quality


async def test_own_tolerations_are_kept(world: World) -> None:
    made = await world.ask("POST", POD, pod(tolerations=[{"operator": "Exists"}]))
    assert made["spec"]["tolerations"] == [{"operator": "Exists"}]


async def test_deployment_defaults(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, deployment())
    spec = made["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"]) == (1, 10)
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert "tolerations" not in spec["template"]["spec"]
    assert "serviceAccountName" not in spec["template"]["spec"]
    zero = await world.ask("POST", DEPLOYMENT, deployment("zero", replicas=0))
    assert zero["spec"]["replicas"] == 0


async def test_job_defaults_and_its_own_selector(world: World) -> None:
    made = await world.ask("POST", JOB, job())
    spec, uid = made["spec"], made["metadata"]["uid"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert spec["completionMode"] == "NonIndexed"
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = spec["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/job-name"] == labels["job-name"] == "j"
    assert labels["batch.kubernetes.io/controller-uid"] == labels["controller-uid"] == uid


async def test_secret_text_becomes_data(world: World) -> None:
    body = {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
    made = await world.ask("POST", f"{BASE}/secrets", body)
    assert made["data"] == {"k": "dg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made
