"""`--cluster NAME`, which nearly every command takes."""

from __future__ import annotations

import click

from engine.home import DEFAULT_CLUSTER, ClusterPaths, HomeError, default_home
from podarium import completion
from podarium.failure import Failure


class ClusterOf(click.ParamType[ClusterPaths]):
    """A cluster's name, become its paths."""

    name = "name"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ClusterPaths:
        if isinstance(value, ClusterPaths):
            return value
        try:
            return ClusterPaths.of(default_home(), str(value))
        except HomeError as error:
            raise Failure(str(error), 2) from None


def _inherited() -> str:
    """`podarium --cluster x status` means the same as `podarium status --cluster x`."""
    context = click.get_current_context(silent=True)
    parent = context.find_root().params.get("paths") if context else None
    return parent.name if isinstance(parent, ClusterPaths) else DEFAULT_CLUSTER


cluster_option = click.option(
    "--cluster",
    "paths",
    type=ClusterOf(),
    default=_inherited,
    metavar="NAME",
    help="Which cluster; several live side by side.  [default: default]",
    shell_complete=completion.clusters,
)
