"""Looking into images from the shell: trees, waste, who owns a path, what differs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import filemode
from urllib.parse import quote

import click

from engine.home import ClusterPaths
from engine.images.errors import ImageError
from engine.images.explore.duplicates import duplicates
from engine.images.explore.explorer import Explorer, Opened
from engine.images.explore.node import meant
from engine.images.explore.waste import waste as find_waste
from engine.kubelet import explored
from engine.types import codec
from engine.types.explored import Difference, TreePage, TreeRow, WasteReport
from podarium.connection import ask
from podarium.failure import Failure
from podarium.images import store_of
from podarium.output import bytes_text, print_table
from podarium.wasterules import Rules, Verdict
from tui.render.text import inert

ALL = sys.maxsize
_MARKS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
_TYPES = {"directory": 0o40000, "symlink": 0o120000, "char": 0o20000, "block": 0o60000,
          "fifo": 0o10000, "socket": 0o140000}  # fmt: skip


@contextmanager
def opened(home: Path, reference: str) -> Iterator[Opened]:
    """An image to look into. What goes wrong meanwhile is a Failure."""
    try:
        yield Explorer(store_of(home)).image(reference)
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None


def history(home: Path, reference: str, *, whole: bool, as_json: bool) -> None:
    store = store_of(home)
    with opened(home, reference) as image:
        told = explored.layers(store, store.resolve(reference), image)
    if as_json:
        _print_json(told)
        return
    rows = [("LAYER", "SIZE", "CREATED", "CREATED BY")]
    for step in told.history:
        layer = str(step.layer) if step.layer else "-"
        size = bytes_text(step.size) if step.layer else "-"
        words = " ".join(inert(step.created_by or step.comment).split())
        rows.append((layer, size, step.created[:19], words if whole else _cropped(words, 80)))
    print_table(rows, right={0, 1})


@dataclass(frozen=True, slots=True)
class TreeWish:
    """What of a tree is wanted, as the command's options say it."""

    path: str = "/"
    layer: int | None = None
    since: int | None = None
    depth: int = 1
    changed: bool = False
    by_size: bool = False
    least: int = 0


def tree(home: Path, reference: str, wish: TreeWish, *, as_json: bool) -> None:
    with opened(home, reference) as image:
        count = len(image.made_by)
        for option, number in (("--layer", wish.layer), ("--since", wish.since)):
            if number is not None and number > count:
                raise Failure(f"{option} {number}: {image.name} has {count} layers", 2)
        since = wish.since
        if since is None and (wish.changed or wish.layer is not None):
            since = (wish.layer or count) - 1
        page = explored.tree(
            image,
            wish.path,
            layer=wish.layer,
            since=since,
            depth=wish.depth,
            changed=wish.changed,
            by_size=wish.by_size,
            limit=ALL,
        )
    if page is None:
        raise Failure(f"{wish.path}: no directory in {reference}; podarium image which says more")
    page.rows = [row for row in page.rows if row.size >= wish.least]
    if as_json:
        _print_json(page)
        return
    _print_tree(page, marked=since is not None, flat=wish.changed)


def _print_tree(page: TreePage, *, marked: bool, flat: bool) -> None:
    base = page.path.rstrip("/").count("/")
    rows = [("PERMISSIONS", "OWNER", "SIZE", "LAYER", *(("CHANGE",) if marked else ()), "NAME")]
    rows += [(*_columns(row, marked), _name(row, base, flat=flat)) for row in page.rows]
    print_table(rows, right={2, 3})
    click.echo(f"{bytes_text(page.size)} in {page.count} names below {inert(page.path)}", err=True)


def _columns(row: TreeRow, marked: bool) -> tuple[str, ...]:
    mode = filemode(_TYPES.get(row.kind, 0o100000) | row.mode)
    change = ("" if row.mark == "same" else row.mark,) if marked else ()
    return (mode, f"{row.uid}:{row.gid}", bytes_text(row.size), str(row.layer), *change)


def _name(row: TreeRow, base: int, *, flat: bool) -> str:
    name = inert(row.path if flat else row.name)
    if row.kind == "directory":
        name += "/"
    if row.link:
        name += f" -> {inert(row.link)}"
    _, colour = _MARKS.get(row.mark, ("", "blue" if row.kind == "directory" else None))
    indent = "" if flat else "  " * (row.path.count("/") - base - 1)
    return indent + click.style(name, fg=colour)


def waste(
    home: Path, reference: str, *, top: int, same: bool, rules: Rules | None, as_json: bool
) -> None:
    with opened(home, reference) as image:
        with image.held() as held:
            equal = duplicates(held.stack, _digester(held), least=4096) if same else []
        report = explored.waste(image, find_waste(image.stack), equal, limit=top)
    verdicts = rules.judge(report) if rules is not None else []
    if as_json:
        _print_json(report)
    else:
        _print_waste(report)
    for verdict in verdicts:
        _print_verdict(verdict, err=as_json)
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(1)


def _digester(image: Opened) -> Callable[[int, bytes], str]:
    def digest_of(layer: int, path: bytes) -> str:
        hasher = sha256()
        image.copy(path, hasher.update, layer)
        return f"sha256:{hasher.hexdigest()}"

    return digest_of


def _print_waste(report: WasteReport) -> None:
    percent = f"{report.efficiency * 100:.2f} %"
    click.echo(f"efficiency  {click.style(percent, bold=True)}")
    user = f"{report.wasted_user_percent * 100:.2f} % of what is above the lowest layer"
    click.echo(f"wasted      {bytes_text(report.wasted)}, every copy counted; {user}")
    click.echo(f"hidden      {bytes_text(report.hidden)} that nothing shows any more\n")
    rows: list[tuple[str, ...]] = [("LAYER", "SIZE", "HIDDEN LATER", "HIDES", "CREATED BY")]
    for layer in report.layers:
        sizes = map(bytes_text, (layer.size, layer.hidden, layer.hides))
        words = _cropped(" ".join(inert(layer.created_by).split()), 60)
        rows.append((str(layer.number), *sizes, words))
    print_table(rows, right={0, 1, 2, 3})
    if report.paths:
        rows = [("COPIES", "ALL COPIES", "HIDDEN", "LAYERS", "PATH")]
        for each in report.paths:
            layers = ",".join(map(str, each.layers))
            sizes = map(bytes_text, (each.total, each.hidden))
            rows.append((str(each.copies), *sizes, layers, inert(each.path)))
        click.echo()
        print_table(rows, right={0, 1, 2})
        if report.total > len(report.paths):
            click.echo(f"… and {report.total - len(report.paths)} more: --top N", err=True)
    for equal in report.same:
        click.echo(
            f"\n{bytes_text(equal.surplus)} in {len(equal.paths)} equal files, {equal.digest}"
        )
        for path, number in zip(equal.paths, equal.layers, strict=True):
            click.echo(f"  layer {number}  {inert(path)}")


def _print_verdict(verdict: Verdict, *, err: bool) -> None:
    word = "SKIP" if verdict.skipped else "PASS" if verdict.passed else "FAIL"
    colour = {"SKIP": "yellow", "PASS": "green", "FAIL": "red"}[word]
    click.echo(f"{click.style(word, fg=colour, bold=True)}  {verdict.text}", err=err)


def which(home: Path, reference: str, path: str, *, as_json: bool) -> None:
    with opened(home, reference) as image:
        told = explored.which(image, path)
    if as_json:
        _print_json(told)
    elif told.words:
        if told.resolved != told.path:
            click.echo(f"{inert(told.path)} leads to {inert(told.resolved)}", err=True)
        rows = [("LAYER", "WORD", "KIND", "SIZE", "SEEN", "CREATED BY")]
        for word in told.words:
            seen = "yes" if word.visible else "no"
            words = _cropped(" ".join(inert(word.created_by).split()), 60)
            size = bytes_text(word.size)
            rows.append((str(word.number), word.mark, word.kind or "-", size, seen, words))
        print_table(rows, right={0, 3})
    if not told.words:
        raise Failure(f"{path}: in no layer of {reference}")


def cat(home: Path, reference: str, path: str, *, layer: int | None, out: Path | None) -> None:
    with opened(home, reference) as image:
        if layer is not None and layer > len(image.made_by):
            raise Failure(f"--layer {layer}: {image.name} has {len(image.made_by)} layers", 2)
        number = layer - 1 if layer is not None else None
        if out is None:
            image.copy(meant(path), sys.stdout.buffer.write, number)
            sys.stdout.buffer.flush()
            return
        image.file(meant(path), number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(out, flags, 0o644), "wb") as file:
            image.copy(meant(path), file.write, number)


def print_difference(told: Difference, *, as_json: bool, code: bool) -> None:
    """With `code` exit 1 when there is a difference."""
    if as_json:
        _print_json(told)
    else:
        for row in told.rows:
            glyph, colour = _MARKS[row.mark]
            name = inert(row.path) + ("/" if row.kind == "directory" else "")
            size = "" if row.kind == "directory" else bytes_text(row.size)
            click.echo(click.style(f"{glyph} {row.mark:8} {size:>9}  {name}", fg=colour))
        words = f"{told.added} added, {told.changed} changed, {told.removed} removed"
        sign = "-" if told.grown < 0 else "+"
        click.echo(f"{words}, {sign}{bytes_text(abs(told.grown))}", err=True)
    if code and (told.added or told.changed or told.removed):
        sys.exit(1)


def diff(home: Path, base: str, now: str, *, as_json: bool, code: bool) -> None:
    try:
        explorer = Explorer(store_of(home))
        told = explored.difference(explorer.image(base), explorer.image(now), limit=ALL)
    except (ImageError, OSError) as error:
        raise Failure(str(error)) from None
    print_difference(told, as_json=as_json, code=code)


def diff_container(
    paths: ClusterPaths, base: str, now: str, namespace: str, *, as_json: bool, code: bool
) -> None:
    """What a running container has that differs from an image: the cluster knows its files."""
    pod, _, container = now.removeprefix("pod/").partition("/")
    path = f"/podarium/v1/images/{quote(base)}/diff"
    query = {"namespace": namespace, "pod": pod, "container": container, "limit": str(ALL)}
    answer = ask(paths, lambda client: client.raw("GET", path, query=query))
    print_difference(codec.decode(Difference, answer), as_json=as_json, code=code)


def _print_json(answer: object) -> None:
    click.echo(codec.encode(answer))


def _cropped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
