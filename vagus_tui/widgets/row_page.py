"""Filling a DataTable with a page of rows as the server has them."""

from __future__ import annotations

from textual.widgets import DataTable

from vagus_tui.checks.base import RowPage
from vagus_tui.widgets.text import safe_str, safe_text

CELL_WIDTH = 40


def show_page(table: DataTable[object], page: RowPage) -> None:
    """Replace what is in the table: columns as wide as their values, up to a limit; numbers at the right."""
    table.clear(columns=True)
    for number, column in enumerate(page.columns):
        widest = max((len(safe_str(row[number])) for row in page.rows), default=0)
        table.add_column(safe_text(column), width=max(1, min(CELL_WIDTH, max(len(safe_str(column)), widest))))
    for row in page.rows:
        table.add_row(*(safe_text(value, justify="right" if _is_number(value) else "left") for value in row))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
