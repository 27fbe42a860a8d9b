"""Errors in Kubernetes' words, to the wire and back."""

from __future__ import annotations

import pytest

from engine.types import status
from engine.types.status import StatusError, from_status


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (status.NotFound("pods", "x"), 404, "NotFound", 'pods "x" not found'),
        (
            status.AlreadyExists("deployments.apps", "x"),
            409,
            "AlreadyExists",
            'deployments.apps "x" already exists',
        ),
        (
            status.Conflict("pods", "x"),
            409,
            "Conflict",
            'Operation cannot be fulfilled on pods "x": the object has been modified; please apply'
            " your changes to the latest version and try again",
        ),
        (status.Gone(5, 10), 410, "Expired", "too old resource version: 5 (10)"),
        (status.Unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (
            status.Forbidden("pods", "x", "no"),
            403,
            "Forbidden",
            'pods "x" is forbidden: no',
        ),
        (
            status.MethodNotAllowed("pods", "patch"),
            405,
            "MethodNotAllowed",
            'patch is not supported on resources of kind "pods"',
        ),
        (
            status.NoSuchPath(),
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            status.UnsupportedMediaType(["application/json", "application/yaml"]),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include:"
            " application/json, application/yaml",
        ),
        (status.BadRequest("what?"), 400, "BadRequest", "what?"),
        (
            status.InternalError("disk"),
            500,
            "InternalError",
            "Internal error occurred: disk",
        ),
        (status.ServiceUnavailable("later"), 503, "ServiceUnavailable", "later"),
    ],
)
def test_both_ways(error: StatusError, code: int, reason: str, message: str) -> None:
    wire = error.to_status()
    assert (wire["kind"], wire["apiVersion"], wire["status"]) == ("Status", "v1", "Failure")
    assert (wire["code"], wire["reason"], wire["message"]) == (code, reason, message)
    back = from_status(wire)
    assert str(back) == message
    assert back.to_status() == wire
    assert type(back) is (status.NotFound if reason == "NotFound" else type(error))


def test_details() -> None:
    wire = status.NotFound("deployments.apps", "x").to_status()
    assert wire["details"] == {"name": "x", "group": "apps", "kind": "deployments"}


def test_invalid_tells_every_cause_once() -> None:
    missing = status.required("spec.containers[0].image")
    error = status.Invalid("Pod", "x", [missing])
    assert str(error) == 'Pod "x" is invalid: spec.containers[0].image: Required value'
    error = status.Invalid(
        "Deployment.apps",
        "x",
        [
            missing,
            missing,
            status.invalid("spec.replicas", -1, "must be greater than or equal to 0"),
            status.not_supported("a", "x", ["b", "c"]),
            status.duplicate("d", "e"),
            status.forbidden("f", "may not be set"),
            status.too_long("g", 63),
            status.not_found("h", "i"),
        ],
    )
    assert str(error) == (
        'Deployment.apps "x" is invalid: [spec.containers[0].image: Required value,'
        " spec.replicas: Invalid value: -1: must be greater than or equal to 0,"
        ' a: Unsupported value: "x": supported values: "b", "c",'
        ' d: Duplicate value: "e", f: Forbidden: may not be set,'
        " g: Too long: may not be more than 63 bytes,"
        ' h: Not found: "i"]'
    )
    wire = error.to_status()
    assert wire["code"] == 422
    assert wire["details"]["kind"] == "Deployment"
    assert wire["details"]["group"] == "apps"
    assert wire["details"]["causes"][0] == {
        "reason": "FieldValueRequired",
        "message": "Required value",
        "field": "spec.containers[0].image",
    }
    assert from_status(wire).causes == error.causes


def test_class_by_code_when_the_reason_says_nothing() -> None:
    assert type(from_status({"code": 404})) is status.NotFound
    assert type(from_status({"code": 409})) is status.Conflict
    assert type(from_status({"code": 418, "message": "teapot"})) is StatusError
    assert type(from_status({"code": 410, "reason": "Gone"})) is status.Gone
