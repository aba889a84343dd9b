"""The timeline drawn: one line per thing to do, with its bar on a time axis, and the line of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from vagus_tui.events import Status
from vagus_tui.widgets.axis import Axis, Bar
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted

WIDE = 96


@dataclass(frozen=True, slots=True)
class GanttRow:
    """One line. `when` is its offset or time, `who` the owner; bars are drawn in their order."""

    key: str
    status: Status
    when: str
    what: str
    who: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """What the axis shows: from where to where, its labels, where now and T−0 are; times in seconds.

    `who` heads the column of owners.
    """

    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    now: float | None = None
    zero: float | None = None
    who: str = "Who"


class Gantt(SectionList[GanttRow]):
    """Rows with bars. `show` gives the rows and the axis."""

    class At(SectionList.At):
        """The cursor is on another row."""

    class Opened(SectionList.Opened):
        """Go where this is done."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.span = Span(0, 1, ())

    def key(self, item: GanttRow) -> str:
        """The row's key."""
        return item.key

    def show(self, rows: Sequence[GanttRow], span: Span) -> None:
        """Show these rows on this axis; the cursor stays on its row."""
        if span == self.span and list(rows) == self.items:
            return
        self.span = span
        self.fill([("", rows)])

    def _widths(self, width: int) -> tuple[int, int, int, int]:
        when = max((len(row.when) for row in self.items), default=8)
        who = max((len(row.who) for row in self.items), default=0) + 1 if width >= WIDE else 0
        what = max((len(row.what) for row in self.items), default=20)
        what = min(what, max(16, (width - when - who) * 45 // 100))
        return when, what, who, max(10, width - 4 - when - what - who - 2)

    def header(self, width: int) -> Content:
        """The axis' labels above the bars."""
        when, what, who, room = self._widths(width)
        axis = Axis(self.span.start, self.span.end, room)
        left = f"   {'When':<{when}} {fitted('What', what)} {fitted(self.span.who, who)}"
        return Content.styled(f"{left}{axis.labels(self.span.ticks)}", "$text-muted")

    def row(self, item: GanttRow, width: int, *, here: bool, focused: bool) -> Content:
        """Mark, when, what, who, bars."""
        when, what, who, room = self._widths(width)
        axis = Axis(self.span.start, self.span.end, room)
        return Content.assemble(
            " ",
            (MARKS[item.status], STYLES[item.status]),
            " ",
            (fitted(item.when, when), "$text-muted"),
            " ",
            fitted(item.what, what),
            " ",
            (fitted(item.who, who), "$text-muted"),
            axis.draw(item.bars, now=self.span.now, zero=self.span.zero),
        )
