"""What every object has (apiVersion, kind, metadata), and the small types that all groups share."""

from __future__ import annotations

from typing import Annotated, Any

from engine.types.declare import F, Type, always


class OwnerReference(Type, kw_only=True):
    """An object that this one belongs to; garbage collection follows it."""

    api_version: Annotated[str, F("API version of the owner.", 5)] = always("")
    kind: Annotated[str, F("Kind of the owner.", 1)] = always("")
    name: Annotated[str, F("Name of the owner.", 3)] = always("")
    uid: Annotated[str, F("UID of the owner.", 4)] = always("")
    controller: Annotated[bool | None, F("Whether the owner manages this object.", 6)] = None
    block_owner_deletion: Annotated[
        bool | None, F("Whether a foreground deletion of the owner waits for this object.", 7)
    ] = None


class ObjectMeta(Type, kw_only=True):
    """Metadata of a persisted object. Timestamps are RFC 3339 text."""

    name: Annotated[str, F("Name, unique within the namespace.", 1)] = ""
    generate_name: Annotated[str, F("Prefix of a name for the server to make.", 2)] = ""
    namespace: Annotated[str, F("Namespace.", 3)] = ""
    self_link: Annotated[str, F("Unused.", 4)] = ""
    uid: Annotated[str, F("Identity in time and space, set by the server.", 5)] = ""
    resource_version: Annotated[str, F("Opaque version of the stored object.", 6)] = ""
    generation: Annotated[int, F("Counts changes of the desired state.", 7)] = 0
    creation_timestamp: Annotated[str | None, F("When the server created it.", 8)] = None
    deletion_timestamp: Annotated[str | None, F("When it will be gone at the latest.", 9)] = None
    deletion_grace_period_seconds: Annotated[
        int | None, F("Seconds it may take to end gracefully.", 10)
    ] = None
    labels: Annotated[dict[str, str], F("Keys and values to select by.", 11)] = {}
    annotations: Annotated[dict[str, str], F("Keys and values for tools.", 12)] = {}
    owner_references: Annotated[
        list[OwnerReference], F("Objects that this one belongs to.", 13, merge_key="uid")
    ] = []
    finalizers: Annotated[list[str], F("Who must act before it may go.", 14, strategy="merge")] = []
    managed_fields: Annotated[list[dict[str, Any]], F("Who set which field.", 17)] = []


class Object(Type, kw_only=True):
    """The base of every kind."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("")
    kind: Annotated[str, F("Name of the schema.")] = always("")
    metadata: Annotated[ObjectMeta, F("Standard object metadata.", 1)] = always(ObjectMeta)


class ListMeta(Type, kw_only=True):
    """Metadata of a list."""

    resource_version: Annotated[str, F("The version at which the list is true.", 2)] = ""
    continue_: Annotated[str, F("Token for the next page.", 3)] = ""
    remaining_item_count: Annotated[int | None, F("Items after this page.", 4)] = None


class LabelSelectorRequirement(Type, kw_only=True):
    """One term of a label selector."""

    key: Annotated[str, F("Label key.", 1)] = always("")
    operator: Annotated[str, F("In, NotIn, Exists or DoesNotExist.", 2)] = always("")
    values: Annotated[list[str], F("Values for In and NotIn.", 3)] = []


class LabelSelector(Type, kw_only=True):
    """A query over labels: all terms must hold. An empty one selects everything."""

    match_labels: Annotated[dict[str, str], F("Labels that must have these values.", 1)] = {}
    match_expressions: Annotated[list[LabelSelectorRequirement], F("Further terms.", 2)] = []


class Condition(Type, kw_only=True):
    """One observed aspect of an object; kinds extend it with their own timestamps."""

    type: Annotated[str, F("What is observed.", 1)] = always("")
    status: Annotated[str, F("True, False or Unknown.", 2)] = always("")
    reason: Annotated[str, F("One CamelCase word.")] = ""
    message: Annotated[str, F("Text for people.")] = ""
    last_transition_time: Annotated[str | None, F("When the status last changed.")] = None


class DeleteOptions(Object, kw_only=True):
    """How to delete an object."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("v1")
    kind: Annotated[str, F("Name of the schema.")] = always("DeleteOptions")
    grace_period_seconds: Annotated[
        int | None, F("Seconds it may take to end; 0 deletes at once.", 1)
    ] = None
    preconditions: Annotated[
        dict[str, str] | None, F("uid, resourceVersion that must match.", 2)
    ] = None
    orphan_dependents: Annotated[bool | None, F("Superseded by propagationPolicy.", 3)] = None
    propagation_policy: Annotated[str | None, F("Orphan, Background or Foreground.", 4)] = None
    dry_run: Annotated[list[str], F('["All"] changes nothing.', 5)] = []


class PartialObjectMetadata(Object, kw_only=True):
    """Any object, seen only by its metadata."""

    api_version: Annotated[str, F("Group and version of the schema.")] = always("meta.k8s.io/v1")
    kind: Annotated[str, F("Name of the schema.")] = always("PartialObjectMetadata")


class TableColumn(Type, kw_only=True):
    """A column of a table made by the server."""

    name: Annotated[str, F("Heading.", 1)] = always("")
    type: Annotated[str, F("OpenAPI type.", 2)] = always("string")
    format: Annotated[str, F('OpenAPI format; "name" marks the identity.', 3)] = always("")
    description: Annotated[str, F("Text for people.", 4)] = always("")
    priority: Annotated[int, F("Columns above 0 are shown only in wide output.", 5)] = always(int)


class TableRow(Type, kw_only=True):
    """A row of a table."""

    cells: Annotated[list[Any], F("One value per column.", 1)] = always(list)
    object: Annotated[Any, F("The object behind the row, or its metadata.", 3)] = None


class Table(Type, kw_only=True):
    """A list of objects as a server prints it."""

    kind: Annotated[str, F("Name of the schema.")] = always("Table")
    api_version: Annotated[str, F("Group and version of the schema.")] = always("meta.k8s.io/v1")
    metadata: Annotated[ListMeta, F("List metadata.", 1)] = always(ListMeta)
    column_definitions: Annotated[list[TableColumn], F("The columns.", 2)] = always(list)
    rows: Annotated[list[TableRow], F("The rows.", 3)] = always(list)


def owner_reference(owner: Object, *, controller: bool = True) -> OwnerReference:
    """A reference to `owner`, which manages the object that carries it."""
    return OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=controller or None,
        block_owner_deletion=controller or None,
    )


def controller_of(meta: ObjectMeta) -> OwnerReference | None:
    """The owner that manages the object, if any."""
    return next((ref for ref in meta.owner_references if ref.controller), None)
