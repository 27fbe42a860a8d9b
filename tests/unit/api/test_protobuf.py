"""Protobuf bodies: written here by hand from generated.proto, read by the declared tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import protobuf
from engine.types.status import BadRequest
from tests.unit.api.world import World

TYPE = "application/vnd.kubernetes.protobuf"


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(tag: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(tag << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(tag << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    return b"".join(field(tag, value) for tag, value in fields)


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    unknown = message((1, message((1, api_version), (2, kind))), (2, raw), (3, ""), (4, ""))
    return protobuf.MAGIC + unknown


META = message((1, "p"), (2, ""), (8, b""), (11, message((1, "app"), (2, "web"))))
PROBE = message(
    (1, message((2, message((1, "/x"), (2, message((1, 1), (2, 0), (3, "http"))))))), (4, 5)
)
CONTAINER = message(
    (1, "c"),
    (2, "i:1"),
    (3, "sh"),
    (3, "-c"),
    (6, message((1, ""), (2, 0), (3, 8080), (4, "TCP"), (5, ""))),
    (7, message((1, "A"), (2, "b"))),
    (8, message((1, message((1, "cpu"), (2, message((1, "250m"))))))),
    (11, PROBE),
    (16, 0),
)
VOLUMES = (
    message((1, "e"), (2, message((2, message((1, "Memory")))))),
    message((1, "m"), (2, message((19, message((1, message((1, "cm"))), (3, 420)))))),
)
POD = envelope(
    "v1",
    "Pod",
    message(
        (1, META),
        (2, message((1, VOLUMES[0]), (1, VOLUMES[1]), (2, CONTAINER), (4, 7), (11, 1))),
        (3, message((1, ""))),
    ),
)


def test_a_pod() -> None:
    assert protobuf.parse(POD) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "generateName": "", "labels": {"app": "web"}},
        "spec": {
            "volumes": [
                {"name": "e", "emptyDir": {"medium": "Memory"}},
                {"name": "m", "configMap": {"name": "cm", "defaultMode": 420}},
            ],
            "containers": [
                {
                    "name": "c",
                    "image": "i:1",
                    "command": ["sh", "-c"],
                    "ports": [
                        {
                            "name": "",
                            "hostPort": 0,
                            "containerPort": 8080,
                            "protocol": "TCP",
                            "hostIP": "",
                        }
                    ],
                    "env": [{"name": "A", "value": "b"}],
                    "resources": {"limits": {"cpu": "250m"}},
                    "readinessProbe": {
                        "httpGet": {"path": "/x", "port": "http"},
                        "periodSeconds": 5,
                    },
                    "stdin": False,
                }
            ],
            "terminationGracePeriodSeconds": 7,
            "hostNetwork": True,
        },
        "status": {"phase": ""},
    }


@pytest.mark.parametrize(
    ("api_version", "kind", "raw", "expected"),
    [
        (
            "v1",
            "Secret",
            message((2, message((1, "k"), (2, b"\x00\xff"))), (3, "Opaque")),
            {"data": {"k": "AP8="}, "type": "Opaque"},
        ),
        (
            "v1",
            "ConfigMap",
            message((2, message((1, "k"), (2, "v"))), (3, message((1, "b"), (2, b"\x01")))),
            {"data": {"k": "v"}, "binaryData": {"b": "AQ=="}},
        ),
        (
            "apps/v1",
            "DeleteOptions",
            message((1, 0), (2, message((1, "u"))), (4, "Foreground"), (5, "All")),
            {
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u"},
                "propagationPolicy": "Foreground",
                "dryRun": ["All"],
            },
        ),
        ("v1", "Binding", message((2, message((3, "n1")))), {"target": {"name": "n1"}}),
        ("autoscaling/v1", "Scale", message((2, message((1, 3)))), {"spec": {"replicas": 3}}),
        (
            "policy/v1",
            "Eviction",
            message((1, message((1, "p"))), (2, message((1, 5)))),
            {"metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 5}},
        ),
        (
            "coordination.k8s.io/v1",
            "Lease",
            message((2, message((1, "me"), (4, message((1, 1_800_000_000), (2, 5000)))))),
            {"spec": {"holderIdentity": "me", "renewTime": "2027-01-15T08:00:00.000005Z"}},
        ),
        (
            "v1",
            "Event",
            message((6, message((1, 1_800_000_000))), (8, 2), (10, b"")),
            {"firstTimestamp": "2027-01-15T08:00:00Z", "count": 2},
        ),
        (
            "apps/v1",
            "Deployment",
            message(
                (2, message((1, -1), (4, message((2, message((1, message((1, 0), (2, 3)))))))))
            ),
            {"spec": {"replicas": -1, "strategy": {"rollingUpdate": {"maxUnavailable": 3}}}},
        ),
        (
            "v1",
            "Pod",
            message((2, message((14, message((4, 1), (4, 2)))))),
            {"spec": {"securityContext": {"supplementalGroups": [1, 2]}}},
        ),
        (
            "v1",
            "Pod",
            message((2, message((14, message((4, b"\x01\x02")))))),
            {"spec": {"securityContext": {"supplementalGroups": [1, 2]}}},
        ),
    ],
)
def test_kinds(api_version: str, kind: str, raw: bytes, expected: dict[str, object]) -> None:
    parsed = protobuf.parse(envelope(api_version, kind, raw))
    assert parsed == {"apiVersion": api_version, "kind": kind, **expected}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "no k8s"),
        (b'{"kind":"Pod"}', "no k8s"),
        (envelope("v1", "Frog", b""), 'no kind "Frog" is registered for version "v1"'),
        (envelope("v1", "Pod", message((99, 1))), "protobuf tag 99"),
        (envelope("v1", "Pod", message((1, 5))), "number stands where"),
        (envelope("v1", "Pod", message((1, message((1, b"\xff"))))), "is not protobuf"),
        (POD[:-1], "cut off"),
        (protobuf.MAGIC + b"\xff" * 12, "too long"),
        (protobuf.MAGIC + b"\x03", "wire type 3"),
    ],
)
def test_refused(body: bytes, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        protobuf.parse(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (protobuf.MAGIC + data, envelope("v1", "Pod", data)):
        try:
            protobuf.parse(body)
        except BadRequest:
            pass


async def test_created_from_protobuf(world: World) -> None:
    path = "/api/v1/namespaces/default/pods"
    made = await world.ask("POST", path, POD, content_type=TYPE, fieldValidation="Strict")
    assert made["spec"]["containers"][0]["ports"] == [
        {"containerPort": 8080, "protocol": "TCP", "hostPort": 8080}
    ]
    options = envelope("v1", "DeleteOptions", message((5, "All")))
    await world.ask("DELETE", f"{path}/p", options, content_type=TYPE)
    await world.ask("GET", f"{path}/p")
