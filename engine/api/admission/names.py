"""The syntax of names, labels and such: a check gives the complaint, or None when all is well.

Wording and rules: apimachinery's util/validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.api.admission.causes import Causes, Path
from engine.types.selector import label_key_fault, label_value_fault

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_PORT_NAME = re.compile(r"[-a-z0-9]+")

LABEL_MAX = 63
SUBDOMAIN_MAX = 253
ANNOTATIONS_MAX = 256 * 1024

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
    " start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    " regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    " or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def dns_label(name: str) -> str | None:
    """Containers, volumes, namespaces."""
    if len(name) > LABEL_MAX:
        return _too_long(LABEL_MAX)
    return None if _LABEL.fullmatch(name) else _LABEL_TEXT


def dns_label_1035(name: str) -> str | None:
    """Services."""
    if len(name) > LABEL_MAX:
        return _too_long(LABEL_MAX)
    return None if _LABEL_1035.fullmatch(name) else _LABEL_1035_TEXT


def dns_subdomain(name: str) -> str | None:
    """Most objects."""
    if len(name) > SUBDOMAIN_MAX:
        return _too_long(SUBDOMAIN_MAX)
    return None if _SUBDOMAIN.fullmatch(name) else _SUBDOMAIN_TEXT


def config_key(key: str) -> str | None:
    """Keys of config maps and secrets: they become file names."""
    if len(key) > SUBDOMAIN_MAX:
        return _too_long(SUBDOMAIN_MAX)
    if not _CONFIG_KEY.fullmatch(key):
        return _CONFIG_KEY_TEXT
    if key == ".":
        return "must not be '.'"
    if key.startswith(".."):
        return "must not be '..'" if key == ".." else "must not start with '..'"
    return None


def port_name(name: str) -> str | None:
    """Names of ports (RFC 6335, IANA service names)."""
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not _PORT_NAME.fullmatch(name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    if "--" in name:
        return "must not contain consecutive hyphens"
    if name[0] == "-" or name[-1] == "-":
        return "must not begin or end with a hyphen"
    return None


def port_number(port: int) -> str | None:
    return None if 1 <= port <= 65535 else "must be between 1 and 65535, inclusive"


def environment_name(name: str) -> str | None:
    """Any printable ASCII but '=' since Kubernetes 1.34; there must be something."""
    if not name.isascii() or not name.isprintable() or "=" in name:
        return (
            "a valid environment variable name must consist only of printable ASCII characters"
            " other than '='"
        )
    return None


def check_labels(labels: Mapping[str, str], path: Path, causes: Causes) -> None:
    for key, value in labels.items():
        if wrong := label_key_fault(key):
            causes.invalid(path, key, wrong)
        if wrong := label_value_fault(value):
            causes.invalid(path, value, wrong)


def check_annotations(annotations: Mapping[str, str], path: Path, causes: Causes) -> None:
    size = 0
    for key, value in annotations.items():
        if wrong := label_key_fault(key.lower()):
            causes.invalid(path, key, wrong)
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_MAX:
        causes.too_long(path, ANNOTATIONS_MAX)
