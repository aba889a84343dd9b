"""A table of rows that fits its window: one column takes what the others leave, and nothing in it is markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widgets import DataTable

from vagus_tui.format import number
from vagus_tui.widgets.pointer import pointed
from vagus_tui.widgets.text import fitted

PADDING = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        label: its heading.
        width: in cells; 0 takes what is left, and one column must.
        right: numbers stand at the right.
        wide_only: left out where the window has fewer than so many cells.
    """

    label: str
    width: int = 0
    right: bool = False
    wide_only: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its key, its cells (text from anywhere, numbers, or a finished Text) and a style for all of them."""

    key: str
    cells: tuple[object, ...]
    style: str = ""


def cursor_marked(table: DataTable[Any], y: int, line: Strip) -> Strip:
    """A line of a table whose rows are one line each, with the mark in its first cell where the cursor is."""
    row = y - table.header_height + table.scroll_offset.y
    here = y >= table.header_height and row == table.cursor_row and row < table.row_count
    return pointed(line, focused=table.has_focus) if here else line


class Rows(DataTable[Text]):
    """Rows with a cursor. Filling it again keeps the cursor on its row; the same rows again change nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        # Rows are what there is to go to the ends of: the columns are all in view.
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
        # Without words: where it opens something, a table of its own says what.
        Binding("enter", "select_cursor", show=False),
    ]

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=PADDING)
        self.layout_columns = tuple(columns)
        self._rows: tuple[Row, ...] = ()
        self._width = self._room = 0
        self._wanted: str | None = None

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows."""
        new = tuple(rows)
        if new != self._rows:
            self._rows = new
            self._fill()

    def set_columns(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Show rows of another kind."""
        if tuple(columns) != self.layout_columns:
            self.layout_columns = tuple(columns)
            self._rows = tuple(rows)
            self._fill()
        else:
            self.set_rows(rows)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        return self._rows[self.cursor_row].key if 0 <= self.cursor_row < len(self._rows) else None

    def select(self, key: str) -> bool:
        """Put the cursor on a row, at once or when the table is first drawn; False where there is no such row."""
        keys = [row.key for row in self._rows]
        if key not in keys:
            return False
        if self._width:
            self.move_cursor(row=keys.index(key), animate=False)
        else:
            self._wanted = key
        return True

    def render_line(self, y: int) -> Strip:
        """The line, marked where the cursor is."""
        return cursor_marked(self, y, super().render_line(y))

    def on_resize(self) -> None:
        """Lay the columns out again. A cursor that was in view stays in view."""
        room, self._room = self._room, self.scrollable_content_region.height - self.header_height
        if self.size.width != self._width:
            self._fill()
        elif 0 <= self.cursor_row - self.scroll_offset.y < room:
            self.move_cursor(row=self.cursor_row, animate=False)

    def _fill(self) -> None:
        self._width = self.size.width
        if not self._width:
            return
        selected, self._wanted = self._wanted or self.selected, None
        shown = [(index, column) for index, column in enumerate(self.layout_columns) if self._width >= column.wide_only]
        fixed = sum(column.width for _, column in shown) + 2 * PADDING * len(shown)
        flexible = sum(column.width == 0 for _, column in shown) or 1
        rest = max(8, (self._width - fixed - 2) // flexible)
        with self.app.batch_update():
            self.clear(columns=True)
            for index, column in shown:
                self.add_column(
                    Text(column.label, style="dim", justify="right" if column.right else "left"),
                    width=column.width or rest,
                    key=str(index),
                )
            for row in self._rows:
                cells = (self._cell(row, index, column, column.width or rest) for index, column in shown)
                self.add_row(*cells, key=row.key)
            keys = [row.key for row in self._rows]
            if selected in keys:
                self.move_cursor(row=keys.index(selected), animate=False)

    def _cell(self, row: Row, index: int, column: Column, width: int) -> Text:
        value = row.cells[index] if index < len(row.cells) else ""
        if isinstance(value, Text):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = number(value)
        text = fitted("" if value is None else value, width, right=column.right)
        return Text(text, style=row.style, no_wrap=True)
