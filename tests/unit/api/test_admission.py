"""Refusals in the words of Kubernetes, all faults at once."""

from typing import Any

import pytest

from tests.unit.api.world import DEPLOYMENT, POD, World, container, deployment, job, pod

JOB = "/apis/batch/v1/namespaces/default/jobs"
BASE = "/api/v1/namespaces/default"


async def causes(world: World, path: str, body: Any, method: str = "POST") -> list[str]:
    status = await world.refused(method, path, body)
    assert (status["code"], status["reason"]) == (422, "Invalid")
    return [f"{c.get('field', '')}: {c['message']}" for c in status["details"]["causes"]]


async def test_every_fault_at_once(world: World) -> None:
    body = {
        "metadata": {"name": "Web", "labels": {"a b": "c"}},
        "spec": {
            "containers": [
                {"name": "C", "ports": [{"containerPort": 0}], "env": [{"name": ""}]},
                {"name": "C", "image": " x "},
            ],
            "restartPolicy": "Sometimes",
            "volumes": [{"name": "v", "hostPath": {"path": ""}, "emptyDir": {}}],
        },
    }
    found = await causes(world, POD, body)
    assert [text.partition(": ")[0] for text in found] == [
        "metadata.name",
        "metadata.labels",
        "spec.volumes[0].emptyDir",
        "spec.volumes[0].hostPath.path",
        "spec.containers[0].name",
        "spec.containers[0].image",
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].env[0].name",
        "spec.containers[1].name",
        "spec.containers[1].name",
        "spec.containers[1].image",
        "spec.restartPolicy",
    ]


def probe(**fields: Any) -> dict[str, Any]:
    return pod(containers=[container(livenessProbe=fields)])


C0 = "spec.containers[0]"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (pod(containers=[]), "spec.containers: Required value"),
        (pod(containers=[{"name": "c"}]), f"{C0}.image: Required value"),
        (
            pod(containers=[container(imagePullPolicy="Often")]),
            f'{C0}.imagePullPolicy: Unsupported value: "Often": supported values: "Always",'
            ' "IfNotPresent", "Never"',
        ),
        (
            pod(containers=[container(ports=[{"containerPort": 70000}])]),
            f"{C0}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535,"
            " inclusive",
        ),
        (
            pod(containers=[container(env=[{"name": "A", "valueFrom": {}}])]),
            f'{C0}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`,'
            " `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
        (
            pod(containers=[container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": 2}})]),
            f'{C0}.resources.requests: Invalid value: "2": must be less than or equal to cpu'
            " limit of 1",
        ),
        (
            pod(containers=[container(resources={"requests": {"cpu": "-1"}})]),
            f'{C0}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to'
            " 0",
        ),
        (
            pod(containers=[container(resources={"requests": {"frogs": "1"}})]),
            f'{C0}.resources.requests[frogs]: Invalid value: "frogs": must be a standard resource'
            " type or fully qualified",
        ),
        (
            pod(containers=[container(volumeMounts=[{"name": "v", "mountPath": "/x"}])]),
            f'{C0}.volumeMounts[0].name: Not found: "v"',
        ),
        (probe(), f"{C0}.livenessProbe: Required value: must specify a handler type"),
        (
            probe(exec={"command": ["x"]}, tcpSocket={"port": 1}),
            f"{C0}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            probe(exec={"command": ["x"]}, successThreshold=2),
            f"{C0}.livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (probe(exec={}), f"{C0}.livenessProbe.exec.command: Required value"),
        (
            probe(httpGet={"port": "UPPER"}),
            f'{C0}.livenessProbe.httpGet.port: Invalid value: "UPPER": must contain only'
            " alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            pod(initContainers=[container(name="i", readinessProbe={"exec": {"command": ["x"]}})]),
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers"
            " without restartPolicy=Always",
        ),
        (
            pod(initContainers=[container()]),
            'spec.initContainers[0].name: Duplicate value: "c"',
        ),
        (
            pod(terminationGracePeriodSeconds=-1),
            "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal"
            " to 0",
        ),
        (
            pod(tolerations=[{"key": "a", "operator": "Near"}]),
            'spec.tolerations[0].operator: Unsupported value: "Near": supported values: "Equal",'
            ' "Exists"',
        ),
        (
            pod(
                topologySpreadConstraints=[
                    {"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}
                ]
            ),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than"
            " zero",
        ),
        (
            pod(volumes=[{"name": "v", "secret": {"secretName": "s", "defaultMode": 4096}}]),
            "spec.volumes[0].secret.defaultMode: Invalid value: 4096: must be a number between 0"
            " and 0777 (octal), both inclusive",
        ),
        (
            pod(volumes=[{"name": "v", "configMap": {"items": []}}]),
            "spec.volumes[0].configMap.name: Required value",
        ),
        (
            pod(
                volumes=[
                    {
                        "name": "v",
                        "configMap": {"name": "m", "items": [{"key": "k", "path": "../x"}]},
                    }
                ]
            ),
            'spec.volumes[0].configMap.items[0].path: Invalid value: "../x": must not contain'
            " '..'",
        ),
    ],
)
async def test_pods_refused(world: World, body: Any, expected: str) -> None:
    assert await causes(world, POD, body) == [expected]


def named(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x"}, **fields}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            DEPLOYMENT,
            deployment(selector={}),
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
        ),
        (
            DEPLOYMENT,
            deployment(selector={"matchLabels": {"app": "x"}}),
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not'
            " match template `labels`",
        ),
        (
            DEPLOYMENT,
            deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when"
            " `maxSurge` is 0",
        ),
        (
            DEPLOYMENT,
            deployment(strategy={"type": "Recreate", "rollingUpdate": {}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is"
            " 'Recreate'",
        ),
        (
            DEPLOYMENT,
            deployment(replicas=-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            JOB,
            job(template={"spec": {"containers": [container()]}}),
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        (
            JOB,
            job(backoffLimit=-2),
            "spec.backoffLimit: Invalid value: -2: must be greater than or equal to 0",
        ),
        (
            f"{BASE}/secrets",
            named(data={"k": "!"}),
            'data[k]: Invalid value: "<hidden>": must be base64',
        ),
        (
            f"{BASE}/configmaps",
            named(data={"..": "x"}),
            "data[..]: Invalid value: \"..\": must not be '..'",
        ),
        (
            f"{BASE}/services",
            named(spec={"ports": [{"port": 80}, {"port": 81, "name": "b"}]}),
            "spec.ports[0].name: Required value",
        ),
        (
            "/api/v1/nodes",
            named(spec={"taints": [{"key": "a", "effect": "Never"}]}),
            'spec.taints[0].effect: Unsupported value: "Never": supported values: "NoExecute",'
            ' "NoSchedule", "PreferNoSchedule"',
        ),
        (
            f"{BASE}/events",
            named(involvedObject={"namespace": "other"}),
            'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
        ),
        (
            f"{BASE}/configmaps",
            {"metadata": {"name": "x", "finalizers": ["mine"]}},
            'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer'
            " name nor is it fully qualified",
        ),
        (
            f"{BASE}/configmaps",
            {"metadata": {}},
            "metadata.name: Required value: name or generateName is required",
        ),
    ],
)
async def test_others_refused(world: World, path: str, body: Any, expected: str) -> None:
    assert await causes(world, path, body) == [expected]


async def test_what_a_pod_may_change(world: World) -> None:
    made = await world.ask("POST", POD, pod())
    made["spec"]["containers"][0]["image"] = "busybox:2"
    made["spec"]["tolerations"].append({"key": "k", "operator": "Exists"})
    made["spec"]["activeDeadlineSeconds"] = 100
    made = await world.ask("PUT", f"{POD}/p", made)
    assert made["metadata"]["generation"] == 2
    made["spec"]["restartPolicy"] = "Never"
    (fault,) = await causes(world, f"{POD}/p", made, "PUT")
    assert fault.startswith("spec: Forbidden: pod updates may not change fields other than")


async def test_gates_open_but_never_close(world: World) -> None:
    made = await world.ask("POST", POD, pod(schedulingGates=[{"name": "a/b"}, {"name": "a/c"}]))
    made["spec"]["schedulingGates"] = [{"name": "a/c"}]
    made = await world.ask("PUT", f"{POD}/p", made)
    assert made["spec"]["schedulingGates"] == [{"name": "a/c"}]
    made["spec"]["schedulingGates"] = [{"name": "a/d"}]
    (fault,) = await causes(world, f"{POD}/p", made, "PUT")
    assert fault.startswith("spec: Forbidden: pod updates may not change fields other than")


async def test_immutable_selectors(world: World) -> None:
    made = await world.ask("POST", DEPLOYMENT, deployment())
    made["spec"]["selector"]["matchLabels"] = {"app": "other"}
    made["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert await causes(world, f"{DEPLOYMENT}/web", made, "PUT") == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable'
    ]


async def test_immutable_jobs_and_config_maps(world: World) -> None:
    made = await world.ask("POST", JOB, job())
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    made["spec"]["completions"] = 5
    fields = [text.partition(":")[0] for text in await causes(world, f"{JOB}/j", made, "PUT")]
    assert fields == ["spec.completions", "spec.template"]
    path = f"{BASE}/configmaps"
    config = await world.ask("POST", path, named(data={"a": "b"}, immutable=True))
    config["data"] = {"a": "c"}
    assert await causes(world, f"{path}/x", config, "PUT") == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]


async def test_unknown_fields(world: World) -> None:
    body = pod(containers=[container(frog=1)], toad=2)
    text = 'unknown field "spec.containers[0].frog"', 'unknown field "spec.toad"'
    warned = await world.send("POST", POD, body)
    assert warned.status == 201
    assert warned.headers["Warning"] == ", ".join(
        '299 - "' + each.replace('"', '\\"') + '"' for each in text
    )
    assert b"frog" not in warned.body
    strict = await world.refused("POST", POD, body, fieldValidation="Strict")
    assert strict["code"] == 400
    assert strict["message"] == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: ' + ", ".join(text)
    )
    body["metadata"]["name"] = "q"
    ignored = await world.send("POST", POD, body, fieldValidation="Ignore")
    assert ignored.status == 201
    assert "Warning" not in ignored.headers
    assert (await world.refused("POST", POD, body, fieldValidation="Maybe"))["code"] == 400
