"""Errors of the API: exceptions here, `Status` objects on the wire, with Kubernetes' own wording.

`resource` in the constructors is the plural with its group ("pods", "deployments.apps";
Resource.qualified), `kind` the kind with its group ("Pod", "Deployment.apps";
Resource.qualified_kind).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One fault of one field: `field: message`."""

    reason: str
    message: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def required(field: str, detail: str = "") -> Cause:
    """The field is missing."""
    return Cause("FieldValueRequired", _with("Required value", detail), field)


def invalid(field: str, value: object, detail: str) -> Cause:
    """The field's value breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {_quote(value)}: {detail}", field)


def not_supported(field: str, value: object, supported: Iterable[str]) -> Cause:
    """The field's value is not one of a few."""
    values = ", ".join(_quote(each) for each in sorted(supported))
    message = f"Unsupported value: {_quote(value)}: supported values: {values}"
    return Cause("FieldValueNotSupported", message, field)


def duplicate(field: str, value: object) -> Cause:
    """The value occurs twice where it must be unique."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_quote(value)}", field)


def forbidden(field: str, detail: str) -> Cause:
    """The field must not be set, or not be changed."""
    return Cause("FieldValueForbidden", _with("Forbidden", detail), field)


def not_found(field: str, value: object) -> Cause:
    """The value names something that is not there."""
    return Cause("FieldValueNotFound", f"Not found: {_quote(value)}", field)


def too_long(field: str, limit: int) -> Cause:
    """The text is longer than `limit` bytes."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def _with(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text


def _quote(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


class StatusError(Exception):
    """An answer of the API that is not success. `str()` is the message."""

    code: int = 500
    reason: str = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        reason: str | None = None,
        causes: Sequence[Cause] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = type(self).code if code is None else code
        self.reason = type(self).reason if reason is None else reason
        self.causes = tuple(causes)
        self.details = dict(details or {})
        """name, group, kind, uid, retryAfterSeconds, where they are known; causes are apart."""

    def to_status(self) -> dict[str, Any]:
        """The v1 Status object."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [
                {
                    "reason": c.reason,
                    "message": c.message,
                    **({"field": c.field} if c.field else {}),
                }
                for c in self.causes
            ]
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }
        return {k: v for k, v in status.items() if v not in ("", {}) or k == "metadata"}


def _details(qualified: str, name: str) -> dict[str, str]:
    kind, _, group = qualified.partition(".")
    return {k: v for k, v in {"name": name, "group": group, "kind": kind}.items() if v}


class NotFound(StatusError):
    """404: no such object."""

    code, reason = 404, "NotFound"

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f'{resource} "{name}" not found', details=_details(resource, name))


class NoSuchPath(StatusError):
    """404: the server serves nothing under this path."""

    code, reason = 404, "NotFound"

    def __init__(self) -> None:
        super().__init__("the server could not find the requested resource")


class AlreadyExists(StatusError):
    """409: an object of that name is there."""

    code, reason = 409, "AlreadyExists"

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f'{resource} "{name}" already exists', details=_details(resource, name))


CHANGED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class Conflict(StatusError):
    """409: the object is no longer what the caller thinks it is."""

    code, reason = 409, "Conflict"

    def __init__(self, resource: str, name: str, why: str = CHANGED) -> None:
        super().__init__(
            f'Operation cannot be fulfilled on {resource} "{name}": {why}',
            details=_details(resource, name),
        )


class Invalid(StatusError):
    """422: fields break rules; every fault is in `causes`."""

    code, reason = 422, "Invalid"

    def __init__(self, kind: str, name: str, causes: Sequence[Cause]) -> None:
        texts = list(dict.fromkeys(str(cause) for cause in causes))
        listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        super().__init__(
            f'{kind} "{name}" is invalid: {listed}', causes=causes, details=_details(kind, name)
        )


class BadRequest(StatusError):
    """400: the request cannot be understood."""

    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    """401: who asks is not known."""

    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(StatusError):
    """403: who asks may not do this."""

    code, reason = 403, "Forbidden"

    def __init__(self, resource: str, name: str, why: str) -> None:
        subject = f'{resource} "{name}"' if name else resource
        super().__init__(f"{subject} is forbidden: {why}", details=_details(resource, name))


class MethodNotAllowed(StatusError):
    """405: the resource does not know this verb."""

    code, reason = 405, "MethodNotAllowed"

    def __init__(self, resource: str = "", verb: str = "") -> None:
        super().__init__(
            f'{verb} is not supported on resources of kind "{resource}"'
            if resource
            else "the server does not allow this method on the requested resource",
            details=_details(resource, ""),
        )


class NotAcceptable(StatusError):
    """406: the server speaks none of the formats that the caller accepts."""

    code, reason = 406, "NotAcceptable"

    def __init__(self, accepted: Iterable[str]) -> None:
        super().__init__(f"only the following media types are accepted: {', '.join(accepted)}")


class UnsupportedMediaType(StatusError):
    """415: the server does not read this format."""

    code, reason = 415, "UnsupportedMediaType"

    def __init__(self, accepted: Iterable[str]) -> None:
        super().__init__(
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(accepted)
        )


class Gone(StatusError):
    """410: the revision is older than what the server still knows; list again."""

    code, reason = 410, "Expired"

    def __init__(self, asked: int | str, oldest: int | str) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


class RequestEntityTooLarge(StatusError):
    """413: the body is larger than the server reads."""

    code, reason = 413, "RequestEntityTooLarge"

    def __init__(self, limit: int) -> None:
        super().__init__(f"Request entity too large: limit is {limit}")


class TooManyRequests(StatusError):
    """429: try again later."""

    code, reason = 429, "TooManyRequests"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message, details={"retryAfterSeconds": retry_after})


class InternalError(StatusError):
    """500: the server failed."""

    def __init__(self, why: object) -> None:
        super().__init__(
            f"Internal error occurred: {why}",
            causes=[Cause("", str(why))],
        )


class ServiceUnavailable(StatusError):
    """503: the server cannot answer now."""

    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    """504: the server could not answer in time."""

    code, reason = 504, "Timeout"


_CLASSES: tuple[type[StatusError], ...] = (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    Timeout,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
)
_BY_REASON = {cls.reason: cls for cls in _CLASSES} | {"Gone": Gone}
_BY_CODE = {cls.code: cls for cls in _BY_REASON.values() if cls is not AlreadyExists}


def from_status(status: Mapping[str, Any]) -> StatusError:
    """The exception that a v1 Status object (as plain data) stands for; of the right class when its
    reason, or else its code, is known."""
    code = int(status.get("code") or 500)
    reason = str(status.get("reason") or "")
    details = dict(status.get("details") or {})
    causes = [
        Cause(str(c.get("reason", "")), str(c.get("message", "")), str(c.get("field", "")))
        for c in details.pop("causes", None) or ()
    ]
    cls = _BY_REASON.get(reason) or _BY_CODE.get(code) or StatusError
    error = cls.__new__(cls)
    StatusError.__init__(
        error,
        str(status.get("message") or reason or f"the server answered {code}"),
        code=code,
        reason=reason or cls.reason,
        causes=causes,
        details=details,
    )
    return error
