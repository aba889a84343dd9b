"""Filling a DataTable with a page of rows as the server has them."""

from __future__ import annotations

from decimal import Decimal

from rich.text import Text
from textual.content import Content
from textual.widgets import DataTable

from vagus_tui.checks.base import RowPage
from vagus_tui.widgets.text import fitted, safe_str

CELL_WIDTH = 40


def show_page(table: DataTable[object], page: RowPage) -> None:
    """Replace what is in the table: columns as wide as their values in terminal cells, up to a limit.

    Numbers stand at the right, NULL is dimmed, and what is longer than its column ends in an ellipsis.
    """
    table.clear(columns=True)
    widths: list[int] = []
    for number, column in enumerate(page.columns):
        cells = [row[number] for row in page.rows]
        width = max(1, min(CELL_WIDTH, max(_width(value) for value in (column, *cells))))
        right = any(_is_number(value) for value in cells)
        table.add_column(Text(fitted(column, width, right=right), no_wrap=True), width=width)
        widths.append(width)
    for row in page.rows:
        table.add_row(*(_cell(value, width) for value, width in zip(row, widths, strict=True)))


def _width(value: object) -> int:
    return Content(safe_str(value)).cell_length


def _cell(value: object, width: int) -> Text:
    return Text(fitted(value, width, right=_is_number(value)), style="dim" if value is None else "", no_wrap=True)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
