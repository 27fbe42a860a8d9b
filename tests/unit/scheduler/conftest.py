"""Short ways to say: a cluster of these nodes, a pod with these wishes, and the decision."""

from itertools import count

import pytest

from engine.scheduler.columns import Columns
from engine.scheduler.cycle import Cycle
from engine.scheduler.decision import Decision
from engine.scheduler.node import NodeInfo, TaintKey
from engine.scheduler.plugins.default import default_plugins
from engine.scheduler.pod import PodInfo
from engine.types.codec import from_dict
from engine.types.pods import Pod

_numbers = count(1)


class Lab:
    """A cluster in columns, and the default plugins over it."""

    def __init__(self, seed: int = 0) -> None:
        self.columns = Columns()
        self.cycle = Cycle(self.columns, default_plugins(), seed=seed)

    def node(
        self,
        name: str,
        *,
        cpu: int = 4000,
        memory: int = 8 << 30,
        pods: int = 110,
        labels: dict[str, str] | None = None,
        taints: tuple[TaintKey, ...] = (),
        cordoned: bool = False,
        **extended: int,
    ) -> None:
        self.columns.set_node(
            NodeInfo(
                name,
                {"kubernetes.io/hostname": name, **(labels or {})},
                taints,
                cordoned,
                {"cpu": cpu, "memory": memory, "pods": pods, **extended},
            )
        )

    def pod(self, spec: dict | None = None, *, owner: str = "", **metadata) -> PodInfo:
        """A pod from a spec as in YAML; its one container may be left out."""
        number = next(_numbers)
        spec = {"containers": [{"name": "c"}], **(spec or {})}
        meta = {"name": f"pod-{number}", "uid": f"uid-{number}", "namespace": "default", **metadata}
        if owner:
            meta["ownerReferences"] = [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner}
                | {"controller": True}
            ]
        return PodInfo.of(from_dict(Pod, {"metadata": meta, "spec": spec}))

    def place(self, node: str, spec: dict | None = None, **metadata) -> PodInfo:
        pod = self.pod(spec, **metadata)
        self.columns.place(pod, node)
        return pod

    def decide(self, pod: PodInfo) -> Decision:
        return self.cycle.decide(pod)

    def feasible(self, spec: dict | None = None, **metadata) -> set[str]:
        decision = self.decide(self.pod(spec, **metadata))
        return {v.node for v in decision.verdicts() if not v.rejected_by}

    def scores(self, plugin: str, spec: dict | None = None, **metadata) -> dict[str, int]:
        decision = self.decide(self.pod(spec, **metadata))
        return {v.node: v.scores[plugin] for v in decision.verdicts() if plugin in v.scores}

    def message(self, spec: dict | None = None, **metadata) -> str:
        decision = self.decide(self.pod(spec, **metadata))
        assert not decision.node
        return decision.message()


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def make_lab() -> type[Lab]:
    return Lab
