"""What the explorer finds, as the API and the command line tell it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from engine.images.explore.compare import Comparison, Mark, Row
from engine.images.explore.duplicates import Duplicate
from engine.images.explore.explorer import Opened
from engine.images.explore.node import Kind, Node, meant, shown, split
from engine.images.explore.stack import Found
from engine.images.explore.waste import Waste
from engine.images.store import ImageStore
from engine.images.types import CONFIG_LIMIT, ConfigFile, Image
from engine.types.explored import (
    Difference,
    LayerFacts,
    Layers,
    SameFiles,
    Step,
    TreePage,
    TreeRow,
    WastedLayer,
    WastedPath,
    WasteReport,
    Which,
    Word,
)

_NS = 1_000_000_000
PAGE = 1000


def layers(store: ImageStore, image: Image, opened: Opened) -> Layers:
    """An image's layers and history."""
    raw = store.blobs.read(image.config_digest, CONFIG_LIMIT)
    config = ConfigFile.parse(raw, image.config_digest)
    users: dict[str, set[str]] = {}
    for other in store.images():
        if other.digest != image.digest:
            for layer in other.layers:
                users.setdefault(str(layer.diff_id), set()).add(other.reference)
    facts = [
        LayerFacts(
            number=number,
            diff_id=str(layer.diff_id),
            digest=str(layer.digest),
            size=layer.size,
            unpacked_size=table.root.total,
            entries=table.root.count,
            whiteouts=table.root.gone,
            created_by=layer.created_by,
            shared_with=sorted(users.get(str(layer.diff_id), ())),
        )
        for number, (layer, table) in enumerate(
            zip(image.layers, opened.stack.tables, strict=True), 1
        )
    ]
    return Layers(
        reference=image.reference,
        digest=str(image.digest),
        size=image.size,
        unique=sum(each.size for each in facts if not each.shared_with),
        shared=sum(each.size for each in facts if each.shared_with),
        layers=facts,
        history=_steps(config, facts),
    )


def _steps(config: ConfigFile, facts: Sequence[LayerFacts]) -> list[Step]:
    told = [each for each in config.history if not each.empty_layer]
    if len(told) != len(facts):  # history is optional, and some tools leave parts of it out
        return [Step(layer=each.number, size=each.unpacked_size) for each in facts]
    steps, made = [], iter(facts)
    for each in config.history:
        layer = None if each.empty_layer else next(made)
        steps.append(
            Step(
                layer=layer.number if layer else 0,
                created=each.created or "",
                created_by=each.created_by or "",
                comment=each.comment or "",
                size=layer.unpacked_size if layer else 0,
            )
        )
    return steps


def tree(
    opened: Opened,
    path: str = "/",
    *,
    layer: int | None = None,
    since: int | None = None,
    depth: int = 1,
    changed: bool = False,
    by_size: bool = False,
    offset: int = 0,
    limit: int = PAGE,
) -> TreePage | None:
    """A directory when `layer` is the topmost (by default the last), marked by what changed after
    layer `since` (None: nothing is marked), with what is in its directories to a `depth`. With
    `changed` all that differs at any depth, and nothing else.

    None when there is no such directory.
    """
    top = len(opened.stack.tables) if layer is None else layer
    now = opened.stack.upto(top)
    comparison = Comparison(now, opened.stack.upto(since) if since is not None else None)
    here = comparison.find(meant(path))
    if here is None or not here.found.node.is_directory:
        return None
    if changed:
        rows = sorted(comparison.changes(here), key=_by_size if by_size else _by_name)
    else:
        rows = list(_below(comparison, here, depth, by_size))
    return TreePage(
        reference=opened.name,
        path=shown(here.path),
        layer=top,
        since=since or 0,
        size=here.size,
        count=here.count,
        rows=[_row(row) for row in rows[offset : offset + limit]],
        offset=offset,
        total=len(rows),
    )


def _below(comparison: Comparison, here: Row, depth: int, by_size: bool) -> Iterator[Row]:
    pending = [(here, depth)]
    while pending:
        row, left = pending.pop()
        if row is not here:
            yield row
        if left and row.found.node.is_directory:
            below = sorted(comparison.rows(row), key=_by_size if by_size else _by_name)
            pending.extend((each, left - 1) for each in reversed(below))


def _by_size(row: Row) -> tuple[int, bytes]:
    return -row.size, row.path


def _by_name(row: Row) -> tuple[bytes, ...]:
    return split(row.path)


def _row(row: Row) -> TreeRow:
    found = row.found
    node = found.node
    path = shown(row.path)
    return TreeRow(
        name=path.rpartition("/")[2],
        path=path,
        kind=node.kind,
        mark=row.mark,
        size=row.size,
        count=row.count,
        layer=found.layer + 1,
        mode=node.mode,
        uid=node.uid,
        gid=node.gid,
        modified=node.mtime / _NS,
        link=_link(node),
    )


def _link(node: Node) -> str:
    text = shown(node.link) if node.link else ""
    # A symlink's target is told as it is written, and so may be relative.
    return text.removeprefix("/") if node.kind is Kind.SYMLINK else text


def waste(
    opened: Opened,
    found: Waste,
    same: Iterable[Duplicate] = (),
    *,
    offset: int = 0,
    limit: int = PAGE,
) -> WasteReport:
    """What an image wastes, and which of its files are equal."""
    return WasteReport(
        reference=opened.name,
        efficiency=found.efficiency,
        wasted=found.wasted,
        wasted_user_percent=found.wasted_user_share,
        hidden=found.hidden,
        paths=[
            WastedPath(
                path=shown(each.path),
                copies=each.copies,
                total=each.total,
                hidden=each.hidden,
                layers=[layer + 1 for layer in each.layers],
            )
            for each in found.paths[offset : offset + limit]
        ],
        total=len(found.paths),
        layers=[
            WastedLayer(
                number=number,
                created_by=made_by,
                size=table.root.total,
                hidden=each.hidden,
                hides=each.hides,
            )
            for number, (made_by, table, each) in enumerate(
                zip(opened.made_by, opened.stack.tables, found.layers, strict=True), 1
            )
        ],
        same=[
            SameFiles(
                digest=each.digest,
                size=each.size,
                surplus=each.surplus,
                paths=[shown(path) for _, path in each.copies],
                layers=[layer + 1 for layer, _ in each.copies],
            )
            for each in islice(same, limit)
        ],
    )


def which(opened: Opened, path: str) -> Which:
    """Which layers have a path; without words when none has. Raise BadImage when links go in
    circles."""
    asked = meant(path)
    resolved = opened.stack.resolve(asked)
    # What a link leads to is asked for by the name where it is, if the name itself is nowhere.
    subject = asked if opened.stack.history(asked) else resolved
    words, there = [], False
    last = opened.stack.find(subject)
    for layer, node in opened.stack.history(subject):
        gone = node.kind is Kind.WHITEOUT
        mark = Mark.REMOVED if gone else Mark.CHANGED if there else Mark.ADDED
        there = not gone
        words.append(
            Word(
                number=layer + 1,
                created_by=opened.made_by[layer],
                mark=mark,
                kind="" if gone else node.kind,
                size=node.total if node.is_directory else node.size,
                mode=node.mode,
                uid=node.uid,
                gid=node.gid,
                link=_link(node),
                visible=last is not None and (layer == last.layer or layer in last.live),
            )
        )
    return Which(reference=opened.name, path=shown(asked), resolved=shown(resolved), words=words)


def difference(base: Opened, now: Opened, *, offset: int = 0, limit: int = PAGE) -> Difference:
    """What differs between two images, or an image and a container."""
    counts, grown, rows = dict.fromkeys(Mark, 0), 0, []
    for row in Comparison(now.stack, base.stack).changes():
        counts[row.mark] += 1
        grown += _file_size(row.now) - _file_size(row.base)
        if offset <= sum(counts.values()) - 1 < offset + limit:
            rows.append(_row(row))
    return Difference(
        base=base.name,
        now=now.name,
        added=counts[Mark.ADDED],
        changed=counts[Mark.CHANGED],
        removed=counts[Mark.REMOVED],
        grown=grown,
        rows=rows,
        offset=offset,
    )


def _file_size(found: Found | None) -> int:
    return found.node.size if found is not None else 0
