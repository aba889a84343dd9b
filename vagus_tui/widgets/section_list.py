"""Rows under section headings, drawn a line at a time: the base of the check table and of checklists.

The cursor moves over rows only, stays on its row when rows change, and nothing jumps: the layout of the columns
depends on the rows that there are, never on how they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from vagus_tui.widgets.pointer import pointed
from vagus_tui.widgets.text import fitted

Item = TypeVar("Item")


class SectionList(ScrollView, Generic[Item], can_focus=True):
    """Subclasses say what a row is called (`key`) and how it looks (`row`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "details"),
        Binding("up,k", "move(-1)", "Row up", show=False),
        Binding("down,j", "move(1)", "Row down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "end(-1)", "First row", show=False),
        Binding("end", "end(1)", "Last row", show=False),
    ]
    HEADER_LINES: ClassVar[int] = 1

    # It says itself which lines look different.
    cursor: reactive[int] = reactive(0, repaint=False)

    class RowMessage(Message):
        """About one row."""

        def __init__(self, table: SectionList[Any], item: Any) -> None:
            super().__init__()
            self.table = table
            self.item = item

        @property
        def control(self) -> SectionList[Any]:
            """The list it came from."""
            return self.table

    # Each list derives its own from these two, so that a screen can tell them apart.
    class At(RowMessage):
        """The cursor is on another row, or its row has changed."""

    class Opened(RowMessage):
        """Enter or a second click on a row."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._items: dict[str, Item] = {}
        self._lines: list[str | tuple[str]] = []
        self._line_of: dict[str, int] = {}
        self._order: list[str] = []
        self._room = 0

    # What subclasses say

    def key(self, item: Item) -> str:
        """The row's identity."""
        raise NotImplementedError

    def header(self, width: int) -> Content:
        """The heading that stays while rows scroll."""
        return Content("")

    def row(self, item: Item, width: int, *, here: bool, focused: bool) -> Content:
        """One row; `here` when the cursor is on it. Its first cell stays blank: that is where the mark goes."""
        raise NotImplementedError

    def rows_changed(self) -> None:
        """Rows have come, gone or changed: what was worked out from all of them holds no more."""

    # Content

    def fill(self, sections: Sequence[tuple[str, Sequence[Item]]]) -> None:
        """Set all rows; a section without a title gets no heading, one without rows is left out."""
        before = self.selected_key
        self._items, self._lines, self._line_of, self._order = {}, [], {}, []
        for title, items in sections:
            if items and title:
                self._lines.append(title)
            for item in items:
                key = self.key(item)
                self._items[key] = item
                self._line_of[key] = len(self._lines)
                self._order.append(key)
                self._lines.append((key,))
        self.cursor = self._order.index(before) if before in self._line_of else 0
        self.rows_changed()
        self._measure()
        self.refresh()
        self._tell()

    def put(self, item: Item) -> None:
        """Change one row; one that is not here is left alone."""
        key = self.key(item)
        line = self._line_of.get(key)
        if line is None or self._items[key] == item:
            return
        self._items[key] = item
        self.rows_changed()
        self._refresh_line(line)
        if self.selected_key == key:
            self._tell()

    @property
    def items(self) -> list[Item]:
        """Every row as it stands."""
        return [self._items[key] for key in self._order]

    @property
    def selected_key(self) -> str | None:
        """The identity of the row under the cursor."""
        return self._order[self.cursor] if 0 <= self.cursor < len(self._order) else None

    @property
    def selected(self) -> Item | None:
        """The row under the cursor."""
        key = self.selected_key
        return None if key is None else self._items[key]

    def select(self, key: str) -> None:
        """Put the cursor on a row, if it is here."""
        if key in self._line_of:
            self.cursor = self._order.index(key)

    def _tell(self) -> None:
        if (item := self.selected) is not None:
            self.post_message(self.At(self, item))

    # Drawing

    def _measure(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines) + self.HEADER_LINES)

    def on_resize(self) -> None:
        """Lay out again. A cursor that was in view stays in view; a list that was scrolled away from it stays there."""
        room, self._room = self._room, self.scrollable_content_region.height - self.HEADER_LINES
        self._measure()
        if self._order and 0 <= self._line_of[self._order[self.cursor]] - self.scroll_offset.y < room:
            self._follow()

    def render_line(self, y: int) -> Strip:
        """The heading stays; the rest scrolls under it."""
        width = self.scrollable_content_region.width
        if y < self.HEADER_LINES:
            return self._strip(self.header(width), width, "")
        line = y - self.HEADER_LINES + self.scroll_offset.y
        if line >= len(self._lines):
            return self._strip(Content(""), width, "")
        entry = self._lines[line]
        if isinstance(entry, str):
            return self._strip(Content.styled(fitted(entry, width), "bold $text-muted"), width, "")
        here = self.selected_key == entry[0]
        content = self.row(self._items[entry[0]], width, here=here, focused=self.has_focus)
        style = ""
        if here:
            style = (
                "$block-cursor-foreground on $block-cursor-background"
                if self.has_focus
                else "on $block-cursor-blurred-background"
            )
        strip = self._strip(content, width, style)
        return pointed(strip, focused=self.has_focus) if here else strip

    def _strip(self, content: Content, width: int, style: str) -> Strip:
        content = content.pad_right(max(0, width - content.cell_length))
        if style:
            content = content.stylize_before(style)
        strips = Visual.to_strips(self, content, width, 1, self.visual_style, apply_selection=False, pad=True)
        return strips[0] if strips else Strip.blank(width)

    def on_focus(self) -> None:
        """The cursor looks different with the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks different without the focus."""
        self.refresh()

    def _refresh_line(self, line: int) -> None:
        """Draw one line again."""
        self.refresh(Region(0, line + self.HEADER_LINES - self.scroll_offset.y, self.size.width, 1))

    # Moving

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(cursor, len(self._order) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Follow the cursor."""
        if not self._order or before == now:
            return
        if self._follow() or not 0 <= before < len(self._order):
            self.refresh()
        else:
            # Two rows look different; painting all of them would make every key wait.
            self._refresh_line(self._line_of[self._order[before]])
            self._refresh_line(self._line_of[self._order[now]])
        self._tell()

    def _follow(self) -> bool:
        """Bring the cursor's row into view; returns whether that moved anything."""
        line = self._line_of[self._order[self.cursor]]
        # The first row of a section brings its heading into view with it.
        first = line - 1 if line > 0 and isinstance(self._lines[line - 1], str) else line
        return bool(
            self.scroll_to_region(
                Region(0, first + self.HEADER_LINES, self.size.width, line - first + 1),
                spacing=Spacing(top=self.HEADER_LINES),
                animate=False,
                force=True,
                # Otherwise the window follows the cursor one painting later.
                immediate=True,
            )
        )

    def action_move(self, step: int) -> None:
        """One row up or down."""
        self.cursor += step

    def action_page(self, direction: int) -> None:
        """A window's worth of rows up or down."""
        self.cursor += direction * max(1, self.size.height - self.HEADER_LINES - 1)

    def action_end(self, direction: int) -> None:
        """To the first or the last row."""
        self.cursor = len(self._order) - 1 if direction > 0 else 0

    def action_open(self) -> None:
        """Show everything about the row."""
        if (item := self.selected) is not None:
            self.post_message(self.Opened(self, item))

    def on_click(self, event: events.Click) -> None:
        """A click selects, a second one opens."""
        line = event.y - self.HEADER_LINES + self.scroll_offset.y
        if event.y < self.HEADER_LINES or not 0 <= line < len(self._lines):
            return
        entry = self._lines[line]
        if isinstance(entry, tuple):
            if self.selected_key == entry[0]:
                self.action_open()
            else:
                self.select(entry[0])
