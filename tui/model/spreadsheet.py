"""A list as CSV."""

from __future__ import annotations

import csv
import io

from .view import View

WIDE = 4000
"""Cells in which every column is whole."""


def table(view: View) -> bytes:
    """The rows of a list as CSV (RFC 4180): what its cells say, in all its columns but pictures.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    columns = [column for column in view.listing.columns if column.head]
    writer.writerow(column.head for column in columns)
    objects = view.cluster.objects(view.listing.kind)
    for key in view.order:
        cells = (column.cell(view.cluster, objects[key], WIDE) for column in columns)
        writer.writerow(_plain("".join(text for text, _ in cell).strip()) for cell in cells)
    return out.getvalue().encode()


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") and text != "-" else text
