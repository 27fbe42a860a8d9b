"""The plugins of the default scheduler, in the order in which they reject a node."""

from engine.scheduler.plugins.affinity import NodeAffinity
from engine.scheduler.plugins.base import Plugin
from engine.scheduler.plugins.fit import Balance, Fit
from engine.scheduler.plugins.interpod import InterPodAffinity
from engine.scheduler.plugins.nodename import NodeName
from engine.scheduler.plugins.ports import NodePorts
from engine.scheduler.plugins.spread import TopologySpread
from engine.scheduler.plugins.taints import Taints
from engine.scheduler.plugins.unschedulable import NodeUnschedulable


def default_plugins() -> tuple[Plugin, ...]:
    """Static plugins first: their combined answer is cached per pod signature."""
    return (
        NodeUnschedulable(),
        NodeName(),
        Taints(),
        NodeAffinity(),
        NodePorts(),
        Fit(),
        Balance(),
        TopologySpread(),
        InterPodAffinity(),
    )
