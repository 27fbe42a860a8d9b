"""A node in one line, in kubectl's words: Ready, NotReady, Ready,SchedulingDisabled."""

from __future__ import annotations

from engine.types.nodes import Node

_ROLE = "node-role.kubernetes.io/"
_OLD_ROLE = "kubernetes.io/role"


def node_ready(node: Node) -> bool:
    """Whether the node says that it is ready (an Unknown, as of a node that was lost, is not)."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def node_words(node: Node) -> str:
    """What `kubectl get nodes` prints as STATUS."""
    known = any(c.type == "Ready" for c in node.status.conditions)
    words = ["Ready" if node_ready(node) else "NotReady"] if known else ["Unknown"]
    if node.spec.unschedulable:
        words.append("SchedulingDisabled")
    return ",".join(words)


def node_roles(node: Node) -> list[str]:
    """The roles that the node's labels give it."""
    labels = node.metadata.labels
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    return sorted(role for role in roles | {labels.get(_OLD_ROLE, "")} if role)


def node_address(node: Node, kind: str = "InternalIP") -> str:
    """The first address of a kind, "" without one."""
    return next((a.address for a in node.status.addresses if a.type == kind), "")
