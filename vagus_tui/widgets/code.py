"""Text of any length, SQL with its keywords in colour: only the lines in view are drawn, so that keys never wait."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size
from rich.syntax import Syntax
from textual.content import Content
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget


class _Row(NamedTuple):
    """A row of the screen: a line of the text, from one character to another."""

    line: int
    start: int
    end: int


def breaks(line: str, width: int) -> list[int]:
    """Where the rows of a line begin that may be so many cells wide: at words where there are any.

    The blank after a row's last word may be one cell too many.
    """
    if width <= 0 or (len(line) <= width and line.isascii()):
        return [0]
    starts, used, space = [0], 0, -1
    for at, character in enumerate(line):
        cells = 1 if character.isascii() else get_character_cell_size(character)
        if used + cells > width and character == " ":
            # It hangs over the edge, where nobody misses it.
            starts.append(at + 1)
            used, space = 0, -1
            continue
        if used + cells > width:
            start = space + 1 if space >= starts[-1] else at
            used = cell_len(line[start:at])
            if used + cells > width:
                # The word alone is too long.
                start, used = at, 0
            starts.append(start)
            space = -1
        used += cells
        if character == " ":
            space = at
    return starts if starts[-1] < len(line) else starts[:-1] or [0]


def coloured(text: str, language: str, theme: str) -> list[Content]:
    """The lines of a piece of code with its colours. For a thread: a long one takes half a second."""
    found = Syntax(text, language, theme=theme, background_color="default").highlight(text)
    found.no_wrap = True
    return [Content.from_rich_text(line) for line in found.split("\n", allow_blank=True)]


class CodeText(Widget):
    """Lines that are wrapped or run on; `colour` puts the colours in, once they are there."""

    ALLOW_SELECT = True

    def __init__(self, text: str, *, wrapped: bool, id: str | None = None) -> None:
        """`text` is harmless already, see `safe_str`."""
        super().__init__(id=id)
        self.lines = text.split("\n")
        self.wrapped = wrapped
        self._shown: list[Content] = []
        self._rows: list[_Row] = []
        self._rows_for: tuple[bool, int] | None = None
        self._widest = max(map(cell_len, self.lines))

    def wrap(self, wrapped: bool) -> None:
        """Wrap long lines, or let them run."""
        self.wrapped = wrapped
        self.refresh(layout=True)

    async def colour(self, language: str, *, dark: bool) -> None:
        """Put the colours in; the text can be read meanwhile."""
        theme = "ansi_dark" if dark else "ansi_light"
        shown = await asyncio.to_thread(partial(coloured, "\n".join(self.lines), language, theme))
        # What the highlighter made of it has to be the same text.
        if [line.plain for line in shown[: len(self.lines)]] == self.lines:
            self._shown = shown
            self.refresh()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as its longest line, unless lines are wrapped."""
        return container.width if self.wrapped else self._widest

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A row for each line, or for each piece of one."""
        return len(self._laid_out(width))

    def _laid_out(self, width: int) -> list[_Row]:
        wanted = (self.wrapped, width if self.wrapped else 0)
        if wanted != self._rows_for:
            self._rows_for, self._rows = wanted, []
            for number, line in enumerate(self.lines):
                starts = breaks(line, width) if self.wrapped else [0]
                ends = [*starts[1:], len(line)]
                self._rows += [_Row(number, start, end) for start, end in zip(starts, ends, strict=True)]
        return self._rows

    def render_line(self, y: int) -> Strip:
        """One row, with what is selected of it."""
        width, rows = self.size.width, self._laid_out(self.size.width)
        if y >= len(rows):
            return Strip.blank(width, self.visual_style.rich_style)
        number, start, end = rows[y]
        line = self._shown[number] if self._shown else Content(self.lines[number])
        if (selection := self.text_selection) is not None and (span := selection.get_span(number)) is not None:
            first, last = span
            style = self.screen.get_visual_style("screen--selection")
            line = line.stylize(style, first, len(line.plain) if last < 0 else last)
        piece = line[start:end]
        if self.wrapped and piece.cell_length > width:
            piece = piece.truncate(width)
        strips = Visual.to_strips(self, piece, width, 1, self.visual_style, apply_selection=False, pad=True)
        return (strips[0] if strips else Strip.blank(width)).apply_offsets(start, number)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """What is selected with the mouse, uncoloured and unwrapped."""
        return selection.extract("\n".join(self.lines)), "\n"
