"""What a pod needs: containers in sum, init containers at their peak, sidecars all along."""

import pytest

from engine.scheduler.pod import pod_requests
from engine.types.codec import from_dict
from engine.types.pods import PodSpec


def container(cpu: str, **fields) -> dict:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **fields}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container("100m"), container("0.2")]}, 300),
        ({"containers": [container("100m")], "initContainers": [container("1")]}, 1000),
        (
            {
                "containers": [container("500m")],
                "initContainers": [container("300m"), container("400m")],
            },
            500,
        ),
        (
            {
                "containers": [container("500m")],
                "initContainers": [container("200m", restartPolicy="Always"), container("400m")],
            },
            700,
        ),
        (
            {
                "containers": [container("100m")],
                "initContainers": [container("200m", restartPolicy="Always"), container("400m")],
            },
            600,
        ),
        (
            {
                "containers": [container("100m")],
                "initContainers": [container("400m"), container("200m", restartPolicy="Always")],
            },
            400,
        ),
        ({"containers": [container("100m")], "overhead": {"cpu": "50m"}}, 150),
    ],
)
def test_pod_requests(spec: dict, cpu: int) -> None:
    assert pod_requests(from_dict(PodSpec, spec))["cpu"] == cpu


def test_units() -> None:
    amounts = {"cpu": "1500m", "memory": "1Ki", "ephemeral-storage": "1k", "example.com/x": 2}
    spec = {"containers": [{"name": "c", "resources": {"requests": amounts}}]}
    assert pod_requests(from_dict(PodSpec, spec)) == {
        "cpu": 1500,
        "memory": 1024,
        "ephemeral-storage": 1000,
        "example.com/x": 2,
    }
