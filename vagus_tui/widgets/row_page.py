"""A table of a page of rows as the server has them, read sideways in useful steps."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.strip import Strip
from textual.widgets import DataTable

from vagus_tui.checks.base import RowPage
from vagus_tui.widgets.long_lines import STEP
from vagus_tui.widgets.rows import cursor_marked
from vagus_tui.widgets.text import fitted, safe_str

CELL_WIDTH = 40
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class PageTable(DataTable[object]):
    """Whole rows under the cursor; left and right go ten columns, Home and End to the ends of the rows."""

    # Without words: it does nothing here.
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", show=False)]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)

    def render_line(self, y: int) -> Strip:
        """The line, marked where the cursor is."""
        return cursor_marked(self, y, super().render_line(y))

    def action_cursor_right(self) -> None:
        """What stands further right."""
        self.scroll_relative(x=STEP, animate=False, immediate=True)

    def action_cursor_left(self) -> None:
        """And back."""
        self.scroll_relative(x=-STEP, animate=False, immediate=True)


def show_page(table: DataTable[object], page: RowPage) -> None:
    """Replace what is in the table: columns as wide as their values in terminal cells, up to a limit.

    Columns of numbers stand at the right, NULL is dimmed, and what is longer than its column ends in an ellipsis.
    """
    table.clear(columns=True)
    columns: list[tuple[int, bool]] = []
    for number, name in enumerate(page.columns):
        values = [row[number] for row in page.rows]
        width = max(1, min(CELL_WIDTH, max(_width(value) for value in (name, *values))))
        right = _numbers(values)
        table.add_column(Text(fitted(name, width, right=right), no_wrap=True), width=width)
        columns.append((width, right))
    for row in page.rows:
        table.add_row(
            *(
                Text(fitted(value, width, right=right), style="dim" if value is None else "", no_wrap=True)
                for value, (width, right) in zip(row, columns, strict=True)
            )
        )


def _width(value: str | None) -> int:
    return Content(safe_str(value)).cell_length


def _numbers(values: list[str | None]) -> bool:
    """Whether a column holds numbers, NULLs aside: rows come as the server writes them."""
    known = [value for value in values if value is not None]
    return bool(known) and all(_NUMBER.fullmatch(value) for value in known)
