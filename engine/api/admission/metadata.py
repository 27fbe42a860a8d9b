"""What holds for the metadata of every object."""

from __future__ import annotations

from collections.abc import Callable

from engine.api.admission.causes import Causes, Path
from engine.api.admission.names import (
    check_annotations,
    check_labels,
    dns_label,
    dns_label_1035,
    dns_subdomain,
)
from engine.types.meta import LabelSelector, Object
from engine.types.registry import Resource
from engine.types.selector import label_key_fault

NAME_RULES: dict[str, Callable[[str], str | None]] = {
    "Namespace": dns_label,
    "Service": dns_label_1035,
}
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_BARE_FINALIZERS = {FOREGROUND, ORPHAN, "kubernetes"}


def check_metadata(obj: Object, resource: Resource, causes: Causes) -> None:
    """Names, labels, annotations, owners and finalizers."""
    meta, path = obj.metadata, Path("metadata")
    if not meta.name:
        causes.required(path / "name", "name or generateName is required")
    elif wrong := NAME_RULES.get(resource.kind, dns_subdomain)(meta.name):
        causes.invalid(path / "name", meta.name, wrong)
    check_labels(meta.labels, path / "labels", causes)
    check_annotations(meta.annotations, path / "annotations", causes)
    for index, owner in enumerate(meta.owner_references):
        place = (path / "ownerReferences").at(index)
        for name in ("api_version", "kind", "name", "uid"):
            if not getattr(owner, name):
                shown = "apiVersion" if name == "api_version" else name
                causes.invalid(place / shown, "", "must not be empty")
    controllers = [owner for owner in meta.owner_references if owner.controller]
    if len(controllers) > 1:
        names = f"{controllers[0].name} and {controllers[1].name}"
        causes.invalid(
            path / "ownerReferences",
            [owner.name for owner in controllers],
            'Only one reference can have Controller set to true. Found "true" in references for'
            f" {names}",
        )
    for index, finalizer in enumerate(meta.finalizers):
        place = (path / "finalizers").at(index)
        if wrong := label_key_fault(finalizer):
            causes.invalid(place, finalizer, wrong)
        elif "/" not in finalizer and finalizer not in _BARE_FINALIZERS:
            causes.invalid(
                place,
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            )


def check_selector(selector: LabelSelector | None, path: Path, causes: Causes) -> None:
    """A label selector's own syntax."""
    if selector is None:
        return
    check_labels(selector.match_labels, path / "matchLabels", causes)
    for index, term in enumerate(selector.match_expressions):
        place = (path / "matchExpressions").at(index)
        if term.operator in ("In", "NotIn"):
            if not term.values:
                causes.required(
                    place / "values", "must be specified when `operator` is 'In' or 'NotIn'"
                )
        elif term.operator in ("Exists", "DoesNotExist"):
            if term.values:
                causes.forbidden(
                    place / "values",
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                )
        else:
            causes.invalid(place / "operator", term.operator, "not a valid selector operator")
        if wrong := label_key_fault(term.key):
            causes.invalid(place / "key", term.key, wrong)
