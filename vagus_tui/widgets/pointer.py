"""The mark in front of the row under the cursor and of the button that Enter presses: colour alone does not tell."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.widgets import Button, OptionList

HERE, ASIDE = "▸", "▹"
"""Where the keys go, and where they would go on once the list has the focus again."""


def pointed(line: Strip, *, focused: bool) -> Strip:
    """A line of a list with the mark in its first cell, in that cell's own style."""
    if not line.cell_length:
        return line
    first, rest = line.divide([1, line.cell_length])
    style = next(iter(first)).style
    return Strip.join([Strip([Segment(HERE if focused else ASIDE, style)], 1), rest])


class PointedList(OptionList):
    """Options with the mark in the first cell, which is left blank, of the one under the cursor."""

    # Without words: where it does something, a list of its own says what.
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", show=False)]

    def render_line(self, y: int) -> Strip:
        """The line, marked where the cursor is; of an option that takes several, the first."""
        line = super().render_line(y)
        place = y + self.scroll_offset.y
        here = place < len(self._lines) and self._lines[place] == (self.highlighted, 0)
        return pointed(line, focused=self.has_focus) if here else line


class ActButton(Button):
    """A flat button on one line; `▸` before its words says that Enter presses it."""

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Room for the mark, and as much at the other end."""
        return super().get_content_width(container, viewport) + 2

    def render(self) -> Content:
        """The words, with a cell at either side."""
        label = self.label
        assert isinstance(label, Content)
        return Content.assemble(HERE if self.has_focus else " ", label, " ")
