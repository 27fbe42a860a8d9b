"""One container drawn whole: its namespaces around its processes, its cgroup, its root filesystem,
its mounts, what it gave up. Each part says where it was read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.types.core import Pod

from ..model.cluster import Cluster
from ..model.replay import Replay
from ..render import numbers
from ..render.bars import slim
from ..render.page import Page
from ..render.spans import EMPTY, Block, Line, Span, beside, boxed, crop, crop_middle, wrapped
from ..render.text import inert
from .anatomy import Anatomy, stack_of
from .pod import missing_page
from .processes import process_tree
from .replay import replay_panel

WIDE = 104
MOUNTS_SHOWN = 40


def container_page(
    cluster: Cluster,
    key: str,
    part: str,
    anatomy: Anatomy | None,
    replay: Replay | None,
    width: int,
    height: int,
) -> Page:
    """The drawing; in a replay what is not made yet is faint, and what is being made stands out."""
    pod = cluster.pods().get(key)
    if pod is None:
        return missing_page(key)
    page = Page()
    if replay is not None:
        page.add(replay_panel(replay, width))
    if anatomy is None:
        page.add([EMPTY, (("  ◌ ", "busy"), ("reading it from the kernel …", "dim"))])
        return page
    drawing = _Drawing(cluster, pod, part, anatomy, replay)
    if width >= WIDE:
        half = (width - 1) // 2
        rest = width - 1 - half
        left = drawing.boxes(half) + drawing.cgroup(half) + drawing.confinement(half)
        right = drawing.rootfs(rest) + drawing.mounts(rest)
        page.add(beside([left, right], [half, rest]))
        return page
    parts = {
        "namespaces": drawing.boxes,
        "rootfs": drawing.rootfs,
        "cgroup": drawing.cgroup,
        "confine": drawing.confinement,
        "mounts": drawing.mounts,
    }
    # On a small screen what is being made comes first: it would be below the edge.
    step = replay.step if replay is not None else None
    first = {"process": "namespaces"}.get(step.section, step.section) if step else ""
    for name in sorted(parts, key=lambda name: name != first):
        page.add(parts[name](width))
    return page


class _Drawing:
    """The parts, each for a width."""

    def __init__(
        self, cluster: Cluster, pod: Pod, part: str, anatomy: Anatomy, replay: Replay | None
    ) -> None:
        self._cluster = cluster
        self._pod = pod
        self._part = part
        self._anatomy = anatomy
        self._replay = replay
        self._pid = anatomy.get("pid")

    def _look(self, section: str) -> str:
        return "" if self._replay is None else self._replay.look(section)

    def _frame(self, section: str, title: str, source: str, body: Block, width: int) -> Block:
        look = self._look(section)
        role = {"now": "focus", "todo": "faint"}.get(look, "line")
        head: list[Span] = [(title, "bright bold" if look == "now" else "text bold")]
        if look == "todo":
            body, head = _faint(body), [(title, "faint")]
        note: list[Span] = [(source, "faint")] if source else []
        return boxed(body, width, title=head, note=note, role=role)

    # -- namespaces, one around the other -------------------------------------------------------

    def boxes(self, width: int) -> Block:
        """The machine's around the pod's around the container's around its processes."""
        inner = self._processes(width - 12)
        own = self._names("container", width - 12) + inner
        block = self._frame("namespaces", f"container {self._part}", "", own, width - 8)
        pod = self._names("pod", width - 8) + self._cable(width - 8) + block
        block = self._frame(
            "namespaces", f"pod {inert(self._pod.metadata.name)}", "", pod, width - 4
        )
        node = inert(self._pod.spec.node_name) or "machine"
        whole = self._names("machine", width - 4) + block
        source = f"/proc/{self._pid}/ns" if self._pid else ""
        return boxed(whole, width, title=((f"node {node}", "dim"),), note=((source, "faint"),))

    def _names(self, whose: str, width: int) -> Block:
        """Namespaces with their inode numbers: two processes with the same number share it."""
        sharers = self._anatomy.get("sharedBy") or {}
        inodes = self._anatomy.get("namespaces") or {}
        words = [f"{inert(str(n))} {inodes[n]}" for n in inodes if sharers.get(n) == whose]
        todo = self._look("namespaces") == "todo" and whose != "machine"
        return _rows(words, width, "faint" if todo else "accent" if whose != "machine" else "dim")

    def _cable(self, width: int) -> Block:
        net = self._anatomy.get("network") or {}
        if not net.get("ip"):
            return []
        row: Line = (
            (f"{inert(str(net.get('interface')))} ", "text"),
            (f"{inert(str(net['ip']))}/{net.get('prefix')}", "bright"),
            (" ⇄ ", "net.4"),
            (f"{inert(str(net.get('link')))} on {inert(str(net.get('bridge')))}", "text"),
            (f" → {inert(str(net.get('gateway')))}", "dim"),
        )
        return _faint([row]) if self._look("namespaces") == "todo" else [row]

    def _processes(self, width: int) -> Block:
        found = self._anatomy.get("processes") or []
        body = process_tree(found, width - 4)
        if not body:
            words = "it runs no more" if self._pid is None else "no process is seen"
            body = [((f"◇ {words}", "dim"),)]
        source = "pid inside · on the node"
        return self._frame("process", "processes", source, body, width)

    # -- the other parts ------------------------------------------------------------------------

    def cgroup(self, width: int) -> Block:
        found = self._anatomy.get("cgroup") or {}
        if not found:
            return []
        inner = width - 4
        body: Block = [((crop_middle(inert(str(found.get("path"))), inner), "dim"),)]
        limits, sample = found.get("limits") or {}, found.get("sample") or {}
        key = f"{self._pod.metadata.namespace}/{self._pod.metadata.name}/{self._part}"
        cpu = self._cluster.book.now(key, "cpu")
        quota, period = limits.get("cpu_quota_us"), limits.get("cpu_period_us") or 100_000
        body.append(_gauge("cpu", cpu, quota / period if quota else None, inner, numbers.cores))
        memory = float(sample.get("memory") or 0)
        most = limits.get("memory_limit") or sample.get("memory_limit")
        body.append(_gauge("memory", memory, most, inner, numbers.size))
        pids = float(sample.get("pids") or 0)
        body.append(_gauge("pids", pids, limits.get("pids_limit"), inner, lambda n: f"{n:.0f}"))
        split = [
            f"{name} {numbers.size(sample[name])}"
            for name in ("anon", "file", "kernel")
            if name in sample
        ]
        if sample.get("oom_kills"):
            split.append(f"OOM kills {sample['oom_kills']}")
        body += _rows(split, inner, "dim")
        if "cpu_shares" in limits:
            body += _rows([f"shares {limits['cpu_shares']}"], inner, "dim")
        return self._frame("cgroup", "cgroup", "/sys/fs/cgroup", body, width)

    def confinement(self, width: int) -> Block:
        inner = width - 4
        sets = self._anatomy.get("capabilities") or {}
        confined = self._anatomy.get("confinement") or {}
        if not sets and not confined:
            return []
        held = [inert(str(n)).removeprefix("CAP_").lower() for n in sets.get("effective") or ()]
        body: Block = []
        body += _labelled("may", held or ["nothing that root may"], inner, "text")
        words = [f"user {confined.get('uid')}:{confined.get('gid')}"]
        if confined.get("noNewPrivileges"):
            words.append("no new privileges")
        words.append(f"seccomp {inert(str(confined.get('seccomp', 'unknown')))}")
        body += _labelled("is", words, inner, "text")
        body += _labelled("hidden", self._hidden(), inner, "dim")
        source = f"/proc/{self._pid}/status"
        return self._frame("confine", "what it may do", source, body, width)

    def _hidden(self) -> list[str]:
        """Paths over which nothing, or an empty folder, is mounted."""
        return [
            inert(str(mount.get("path")))
            for mount in self._anatomy.get("mounts") or ()
            if mount.get("root") == "/null" or _is_mask(mount)
        ]

    def rootfs(self, width: int) -> Block:
        block = stack_of(self._anatomy, width, changes=8)
        look = self._look("rootfs")
        if look == "todo":
            return _faint(block)
        return [*_lit(block[:1]), *block[1:]] if look == "now" else block

    def mounts(self, width: int) -> Block:
        """What is mounted where, but what only hides."""
        inner = width - 4
        found = [m for m in self._anatomy.get("mounts") or () if m.get("root") != "/null"]
        found = [mount for mount in found if not _is_mask(mount)]
        if not found:
            return []
        size = min(30, max(len(str(m.get("path"))) for m in found) + 1)
        body: Block = []
        for mount in found[:MOUNTS_SHOWN]:
            options = str(mount.get("options", "")).split(",")
            writable = "rw" in options
            rest = " ".join(o for o in options if o not in ("rw", "ro", "relatime"))
            body.append(
                (
                    (crop_middle(inert(str(mount.get("path"))), size - 1).ljust(size), "text"),
                    (f"{inert(str(mount.get('type'))):<8}", "accent"),
                    ("rw " if writable else "ro ", "warn" if writable else "ok"),
                    (crop(inert(rest), max(0, inner - size - 11)), "faint"),
                )
            )
        if len(found) > MOUNTS_SHOWN:
            body.append(((f"and {len(found) - MOUNTS_SHOWN} more", "dim"),))
        return self._frame("mounts", "mounts", f"/proc/{self._pid}/mountinfo", body, width)


def _is_mask(mount: dict[str, Any]) -> bool:
    """An empty read-only tmpfs below /proc or /sys."""
    path = str(mount.get("path"))
    inside = path.startswith(("/proc/", "/sys/")) and path != "/sys/fs/cgroup"
    return inside and mount.get("type") == "tmpfs" and "ro" in str(mount.get("options")).split(",")


def _gauge(name: str, used: float, limit: Any, width: int, show: Any) -> Line:
    known = used == used
    text = f"{show(used) if known else '–'}"
    of = f" of {show(float(limit))}" if limit and limit > 0 else "  no limit"
    room = max(4, width - 8 - 18)
    scale = "cpu" if name == "cpu" else "memory" if name == "memory" else "pids"
    share = used / limit if known and limit and limit > 0 else 0.0
    return (
        (f"{name:<7} ", "dim"),
        *slim(share, room, scale),
        (f" {text:>7}", "text"),
        (crop(of, 10), "limit" if limit and limit > 0 else "faint"),
    )


def _rows(words: Iterable[str], width: int, role: str) -> Block:
    text = "   ".join(words)
    return [((row, role),) for row in _packed(text, width)] if text else []


def _packed(text: str, width: int) -> list[str]:
    """Words that belong together stay together: three spaces are between them."""
    rows: list[str] = []
    for word in text.split("   "):
        if rows and len(rows[-1]) + 3 + len(word) <= width:
            rows[-1] += "   " + word
        else:
            rows.append(crop(word, width))
    return rows


def _labelled(label: str, words: list[str], width: int, role: str) -> Block:
    rows = wrapped(" ".join(words) if role != "text" else "  ".join(words), width - 8)
    return [
        ((f"{label if not index else '':<8}", "faint"), (row, role))
        for index, row in enumerate(rows)
    ]


def _faint(block: Block) -> Block:
    return [tuple((text, "faint") for text, _ in row) for row in block]


def _lit(block: Block) -> Block:
    return [
        tuple((text, "focus" if role == "line" else role) for text, role in row) for row in block
    ]
