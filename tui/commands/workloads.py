"""Commands on what makes pods: how many, and all of them anew."""

from __future__ import annotations

from engine.types import clock
from engine.types.apps import Deployment, ReplicaSet

from . import kubectl
from .changing import Subject, carry_out, each
from .command import command
from .desk import Choice, Desk

SCALABLE = ("list:deployments", "list:replicasets")
RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which kubectl makes a pod template differ, and so rolls it out."""


@command(
    "scale",
    "s",
    title="Scale",
    help="Set the number of replicas",
    hint="scale",
    rank=2,
    on=SCALABLE,
    group="Object",
    changes=True,
)
async def scale(desk: Desk) -> None:
    found = desk.subject()
    obj = found[2] if found is not None else None
    if found is None or not isinstance(obj, Deployment | ReplicaSet):
        desk.flash("nothing is chosen here", "warn")
        return
    kind, key, _ = found
    meta = obj.metadata
    now = 1 if obj.spec.replicas is None else obj.spec.replicas
    wanted = await desk.ask_number(f"Scale {meta.name}", "replicas", now)
    if wanted is None or wanted == now:
        return
    patch = {"spec": {"replicas": wanted}}
    await carry_out(
        desk,
        kubectl.about("scale", kind, [key], f"--replicas={wanted}"),
        desk.cluster.client.patch(type(obj), meta.name, meta.namespace, patch),
        f"{meta.name}: {now} → {wanted} replicas",
    )


@command(
    "restart",
    "r",
    title="Restart",
    help="New pods for all of its pods, by its roll-out strategy, after asking",
    hint="restart",
    rank=6,
    on=("list:deployments",),
    group="Object",
    changes=True,
)
async def restart(desk: Desk) -> None:
    subjects = [subject for subject in desk.subjects() if isinstance(subject[2], Deployment)]
    if not subjects:
        desk.flash("nothing is chosen here", "warn")
        return
    names = ", ".join(subject[2].metadata.name for subject in subjects)
    answer = await desk.ask(
        f"Restart {names}?",
        ["Each pod is replaced by a new one, a few at a time."],
        [Choice("cancel", "Cancel"), Choice("restart", "Restart", "warn")],
        "cancel",
    )
    if answer != "restart":
        return
    patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: clock.now()}}}}}

    async def act(subject: Subject) -> None:
        meta = subject[2].metadata
        await desk.cluster.client.patch(type(subject[2]), meta.name, meta.namespace, patch)

    def line(subject: Subject) -> str:
        meta = subject[2].metadata
        return kubectl.words(
            "rollout", "restart", f"deployment/{meta.name}", namespace=meta.namespace
        )

    await each(desk, subjects, line, act, ("gets new pods", "get new pods"))
    desk.clear_marks()
