"""Commands that move around: views, cursor, filter, command line, help, leaving."""

from __future__ import annotations

from ..model.columns import LISTINGS
from ..model.place import JOURNAL, OVERVIEW
from .command import command
from .desk import Desk

SHEETS = ("overview", "pod", "node", "image", "files", "xray", "describe", "yaml")


@command(
    "enter", "enter", title="Go into", hint="in", rank=1, on=("list", *SHEETS), group="Navigation"
)
def enter(desk: Desk) -> None:
    desk.enter()


@command(
    "back",
    "escape",
    title="Back, or clear marks or the filter",
    hint="back",
    rank=8,
    group="Navigation",
)
def back(desk: Desk) -> None:
    if not (desk.clear_marks() or desk.clear_filter()):
        desk.back()


@command("leave", "q", title="Back; at the first view, leave", hint="quit", rank=8, group="General")
async def leave(desk: Desk) -> None:
    if not desk.back():
        await desk.leave()


@command("quit", "ctrl+c", "ctrl+q", title="Leave the dashboard", group="General")
async def quit_(desk: Desk) -> None:
    await desk.leave()


@command(
    "filter",
    "slash",
    title="Filter",
    help="Filter live: a regular expression, !inverse, -l labels, -f fuzzy",
    hint="filter",
    rank=4,
    on=("list", "files", "logs", "text"),
)
def filter_(desk: Desk) -> None:
    desk.prompt("filter")


@command(
    "command",
    "colon",
    title="Command line",
    help="Go anywhere: :pods, :nodes, :images …",
    hint="go to",
    rank=6,
)
def command_line(desk: Desk) -> None:
    desk.prompt("command")


@command("help", "question_mark", title="Help", help="All keys of this view", hint="help", rank=50)
def help_(desk: Desk) -> None:
    desk.show_help()


@command("palette", "ctrl+p", title="Command palette", help="Every command by name")
def palette(desk: Desk) -> None:
    desk.show_palette()


@command("overview", "O", title="Overview", help="The whole cluster on one page", group="Views")
def overview(desk: Desk) -> None:
    desk.go(OVERVIEW)


@command(
    "journal",
    "ctrl+o",
    title="Command log",
    help="What was done here, as lines of kubectl",
    group="Views",
)
def journal(desk: Desk) -> None:
    desk.go(JOURNAL)


@command(
    "heat",
    "H",
    title="Heat",
    help="What colours the cells: state, CPU or memory",
    hint="heat",
    rank=16,
    on=("overview",),
    group="Views",
)
def heat(desk: Desk) -> None:
    desk.toggle("heat")


@command("theme", "T", title="Next theme", help="Dark, light, high contrast", group="General")
def theme(desk: Desk) -> None:
    desk.next_theme()


@command("up", "up", "k", title="Up", group="Movement")
def up(desk: Desk) -> None:
    desk.move(0, -1)


@command("down", "down", "j", title="Down", group="Movement")
def down(desk: Desk) -> None:
    desk.move(0, 1)


@command("left", "left", "h", title="Left", group="Movement")
def left(desk: Desk) -> None:
    desk.move(-1, 0)


@command("right", "right", title="Right", group="Movement")
def right(desk: Desk) -> None:
    desk.move(1, 0)


@command("page-up", "pageup", "ctrl+b", title="Page up", group="Movement")
def page_up(desk: Desk) -> None:
    desk.page(-1)


@command("page-down", "pagedown", "ctrl+f", title="Page down", group="Movement")
def page_down(desk: Desk) -> None:
    desk.page(1)


@command("top", "home", "g", title="Top", group="Movement")
def top(desk: Desk) -> None:
    desk.edge(False)


@command("bottom", "end", "G", title="Bottom", group="Movement")
def bottom(desk: Desk) -> None:
    desk.edge(True)


@command(
    "pane", "tab", title="Next pane", help="Between the list and its preview", group="Movement"
)
def pane(desk: Desk) -> None:
    desk.next_pane()


@command("all-namespaces", "0", title="All namespaces", on=("list", "overview"), group="Namespaces")
def all_namespaces(desk: Desk) -> None:
    desk.set_namespace("")


def _namespace_keys() -> None:
    """1 to 9: the namespaces, `default` first, then by name."""
    for number in range(1, 10):

        def choose(desk: Desk, number: int = number) -> None:
            names = sorted(desk.cluster.objects("namespaces"), key=lambda n: (n != "default", n))
            if number <= len(names):
                desk.set_namespace(names[number - 1])
            else:
                desk.flash(f"there is no namespace number {number}", "warn")

        command(
            f"namespace-{number}",
            str(number),
            title=f"Namespace {number}",
            on=("list", "overview"),
            group="Namespaces",
        )(choose)


def _sort_keys() -> None:
    """A capital letter for each column that can be sorted by."""
    lists: dict[str, tuple[set[str], set[str]]] = {}
    for listing in LISTINGS.values():
        for column in listing.columns:
            if column.key:
                heads, kinds = lists.setdefault(column.key, (set(), set()))
                heads.add(column.head.lower().removesuffix(" mi"))
                kinds.add(f"list:{listing.kind}")
    for letter, (heads, kinds) in sorted(lists.items()):

        def sort(desk: Desk, letter: str = letter) -> None:
            desk.sort_by(letter)

        command(
            f"sort-{letter.lower()}",
            letter,
            title=f"Sort by {' or '.join(sorted(heads))}",
            on=kinds,
            group="Sorting",
        )(sort)


_namespace_keys()
_sort_keys()
