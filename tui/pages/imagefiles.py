"""Texts about an image: its stack with one layer chosen, its waste, who has a path, what differs,
a file's bytes."""

from __future__ import annotations

from difflib import unified_diff

from engine.types.explored import Difference, Layers, WasteReport, Which

from ..model.files import MARKS, Files
from ..render.bars import slim
from ..render.numbers import percent, plural, size
from ..render.page import Page
from ..render.spans import EMPTY, Block, Line, Span, crop, pad, rule, wrapped
from ..render.text import expand_tabs, inert
from .layers import colour, slab

TEXT_MOST = 1 << 18
"""Bytes of a file that are shown."""
_DUMP_MOST = 1 << 14
_CHANGES = {"+": "ok", "-": "bad"}


def stack(files: Files, width: int) -> Page:
    """The layers beside the tree, top first, the chosen one lit; and how the tree is looked at."""
    page = Page()
    layers = files.layers
    page.add([((crop(inert(files.reference), width), "bright bold"),)])
    if layers is None:
        return page
    page.add(_mode(files, width))
    page.add([rule(width, (("layers ", "text bold"), ("[ down  ] up", "faint")))])
    largest = max((layer.unpacked_size for layer in layers.layers), default=1)
    count = len(layers.layers)
    for layer in reversed(layers.layers):
        here = layer.number == files.look.layer
        edge = colour(layer.number - 1, count)
        words = inert(layer.created_by) or "layer without a history"
        block = slab(
            f"{'▶' if here else ' '}{layer.number} {crop(words, width - 16)}",
            edge,
            width,
            size(layer.unpacked_size),
            [
                (
                    *slim(
                        layer.unpacked_size / max(1, largest), max(6, width // 4), "net", role=edge
                    ),
                    (f"  {plural(layer.entries, 'name')}", "dim"),
                    (f"  −{layer.whiteouts}" if layer.whiteouts else "", "bad"),
                    (
                        f"  shared ×{len(layer.shared_with) + 1}" if layer.shared_with else "",
                        "accent",
                    ),
                )
            ],
        )
        page.add([_lit(row) for row in block] if here else block)
        if here and len(words) > width - 16:
            page.add([(("▌", edge), (f"   {line}", "text")) for line in wrapped(words, width - 5)])
    return page


def _lit(row: Line) -> Line:
    return tuple((text, f"{role} @cursor-idle") for text, role in row)


def _mode(files: Files, width: int) -> Block:
    look, root = files.look, files.root
    what = (
        f"changes of layers 2 to {look.layer}" if look.whole else f"changes of layer {look.layer}"
    )
    total = f"{size(root.size)} in {plural(root.count, 'name')}" if root is not None else ""
    words = [
        ("sorted by size" if look.by_size else "sorted by name"),
        "only changed" if files.only_changed else "",
        f"{size(files.least)} and more" if files.least else "",
    ]
    return [
        ((crop(total, width), "text"),),
        ((crop(what, width), "accent"),),
        ((crop(" · ".join(word for word in words if word), width), "dim"),),
    ]


def waste_text(report: WasteReport, width: int) -> Block:
    """What an image wastes."""
    role = "ok" if report.efficiency >= 0.9 else "warn" if report.efficiency >= 0.75 else "bad"
    lines: Block = [
        (
            ("efficiency ", "faint"),
            (f"{report.efficiency * 100:.1f}%  ", f"{role} bold"),
            *slim(report.efficiency, max(10, min(40, width - 40)), "net", role=role),
        ),
        (
            ("wasted     ", "faint"),
            (size(report.wasted), "text"),
            (", every copy counted: ", "dim"),
            (percent(report.wasted_user_percent), "text"),
            (" of what is above the lowest layer", "dim"),
        ),
        (
            ("hidden     ", "faint"),
            (size(report.hidden), "text"),
            (" that nothing shows any more", "dim"),
        ),
        EMPTY,
        rule(width - 2, (("by instruction", "text bold"),)),
        (("  LAYER     SIZE   HIDDEN    HIDES  CREATED BY", "dim bold"),),
    ]
    for layer in report.layers:
        lines.append(
            (
                (f"{layer.number:>7} {size(layer.size):>8} ", "text"),
                (f"{_some(layer.hidden):>8} ", "warn" if layer.hidden else "faint"),
                (f"{_some(layer.hides):>8}  ", "bad" if layer.hides else "faint"),
                (inert(layer.created_by) or "layer without a history", "dim"),
            )
        )
    lines += [EMPTY, rule(width - 2, (("by path ", "text bold"), (f"{report.total}", "dim")))]
    lines.append((("  COPIES  ALL COPIES   HIDDEN  LAYERS    PATH", "dim bold"),))
    for path in report.paths:
        layers = ",".join(map(str, path.layers))
        lines.append(
            (
                (f"{path.copies:>8} {size(path.total):>11} ", "text"),
                (f"{_some(path.hidden):>8}  ", "warn" if path.hidden else "faint"),
                (f"{crop(layers, 9):9} ", "dim"),
                (inert(path.path), "text"),
            )
        )
    if not report.paths:
        lines.append((("  nothing is wasted", "ok"),))
    for same in report.same:
        lines.append(EMPTY)
        count = plural(len(same.paths), "equal file")
        lines.append(((f"{size(same.surplus)} in {count}", "text bold"),))
        for name, number in zip(same.paths, same.layers, strict=True):
            lines.append(((f"{number:>7}  ", "dim"), (inert(name), "text")))
    return lines


def _some(value: int) -> str:
    return size(value) if value else "–"


def which_text(which: Which, layers: Layers | None, width: int) -> Block:
    """Which layers have a path, and which of them a container sees."""
    lines: Block = [((inert(which.path), "bright bold"),)]
    if which.resolved != which.path:
        lines.append((("leads to ", "dim"), (inert(which.resolved), "accent")))
    lines.append(EMPTY)
    if not which.words:
        lines.append((("no layer has it", "warn"),))
    for word in reversed(which.words):
        sign, role = MARKS.get(word.mark, ("", "text"))
        seen = ("◀ a container sees this one", "ok") if word.visible else ("", "text")
        lines.append(
            (
                (
                    "▌",
                    colour(word.number - 1, max(word.number, len(layers.layers) if layers else 1)),
                ),
                (f" layer {word.number}  ", "text bold"),
                (f"{sign:11}", role),
                (f"{size(word.size) if word.kind else '':>8}  {word.kind:10} ", "text"),
                seen,
            )
        )
        for text in wrapped(
            inert(word.created_by) or "layer without a history", max(20, width - 8)
        ):
            lines.append(((f"     {text}", "dim"),))
    return lines


def difference_text(told: Difference, width: int) -> Block:
    """What differs between two images, or an image and a container."""
    grown = f"{'−' if told.grown < 0 else '+'}{size(abs(told.grown))}"
    lines: Block = [
        (("from ", "faint"), (inert(told.base), "text bold")),
        (("to   ", "faint"), (inert(told.now), "text bold")),
        (
            (f"+ {told.added} added  ", "ok"),
            (f"~ {told.changed} changed  ", "warn"),
            (f"- {told.removed} removed  ", "bad"),
            (grown, "text"),
        ),
        rule(width - 2),
    ]
    for row in told.rows:
        sign, role = MARKS[row.mark]
        text = inert(row.path) + ("/" if row.kind == "directory" else "")
        amount = "" if row.kind == "directory" else size(row.size)
        lines.append(((f"{sign:11}", role), (f"{amount:>9}  ", "text"), (text, role)))
    total = told.added + told.changed + told.removed
    if total > len(told.rows):
        lines.append(((f"… and {total - len(told.rows)} more", "dim"),))
    if not total:
        lines.append((("nothing differs", "ok"),))
    return lines


def file_text(data: bytes, whole: int) -> Block:
    """A file's bytes: as lines when they are text, else as a dump (hexdump -C)."""
    lines: Block
    if b"\0" not in data[:4096]:
        text = data.decode("utf-8", "replace")
        lines = [((inert(expand_tabs(line)), "text"),) for line in text.splitlines()]
        shown = len(data)
    else:
        shown = min(len(data), _DUMP_MOST)
        lines = [_dumped(data[at : at + 16], at) for at in range(0, shown, 16)]
    if shown < whole:
        lines += [EMPTY, ((f"… and {size(whole - shown)} more", "dim"),)]
    return lines or [(("an empty file", "dim"),)]


def change_text(before: bytes, after: bytes, first: str, second: str) -> Block:
    """What changed in a file, line by line; of bytes that are no text only that they differ."""
    if b"\0" in before[:4096] or b"\0" in after[:4096]:
        sizes = f"{size(len(before))} to {size(len(after))}"
        same = "the same bytes" if before == after else f"other bytes, {sizes}"
        return [((f"not a text: {same}", "warn"),)]
    old, new = (data.decode("utf-8", "replace").splitlines() for data in (before, after))
    lines: Block = []
    for line in unified_diff(old, new, first, second, lineterm=""):
        head = line.startswith(("---", "+++", "@@"))
        role = "dim" if head else _CHANGES.get(line[:1], "text")
        lines.append(((inert(expand_tabs(line)), role),))
    return lines or [(("the same content; only owner, mode or time differ", "ok"),)]


def _dumped(chunk: bytes, at: int) -> Line:
    spans: list[Span] = [(f"{at:08x}  ", "faint")]
    pairs = [f"{byte:02x}" for byte in chunk]
    spans.append((f"{' '.join(pairs[:8]):23}  {' '.join(pairs[8:]):23}  ", "text"))
    letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in chunk)
    return (*spans, *pad(((letters, "dim"),), 16))
