"""Checks over time: how each stands, its figure, how that went, and when it last changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from vagus_tui.checks.history import Sample
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import clock_time
from vagus_tui.session.standings import display_status
from vagus_tui.widgets.check_table import measured_text
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.sparks import course
from vagus_tui.widgets.text import fitted

CHANGED_WIDTH = 11
MEASURED_WIDTH = 16
GAP = 2


@dataclass(frozen=True, slots=True)
class Watched:
    """One check as it stands, and how it went. `alarm`: it failed, and nobody has acknowledged that."""

    event: CheckEvent
    samples: tuple[Sample, ...]
    changed_at: datetime | None
    alarm: bool = False


class MonitorTable(SectionList[Watched]):
    """A line per check under its group's heading."""

    class At(SectionList.At):
        """The cursor is on another row, or its row has changed."""

    class Opened(SectionList.Opened):
        """Enter or a second click."""

    def __init__(self, timezone: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.timezone = timezone
        self._longest = 0

    def key(self, item: Watched) -> str:
        """The check's id."""
        return item.event.id

    def rows_changed(self) -> None:
        """The widths depend on all rows."""
        self._longest = 0

    def _columns(self, width: int) -> tuple[int, int]:
        """The widths of the title and of the course; the course takes what is left."""
        if not self._longest:
            self._longest = max((len(item.event.title) for item in self._items.values()), default=20)
        room = max(20, width - 3 - MEASURED_WIDTH - CHANGED_WIDTH - 2 * GAP)
        title = min(self._longest, max(12, room * 55 // 100))
        return title, max(4, min(60, room - title))

    def header(self, width: int) -> Content:
        """The columns' names."""
        title, line = self._columns(width)
        return Content.styled(
            f"   {fitted('Check', title)}{fitted('Measured', MEASURED_WIDTH, right=True)}{' ' * GAP}"
            f"{fitted('Over time', line)}{' ' * GAP}{fitted('Changed', CHANGED_WIDTH, right=True)}",
            "$text-muted",
        )

    def row(self, item: Watched, width: int, *, here: bool, focused: bool) -> Content:
        """`✓ Plan loading   4.8 ms, 1.9×  ▁▂▁▁▃▁✗▁  14:03:12`."""
        title, line = self._columns(width)
        status = display_status(item.event)
        mark_style = "" if here and focused else STYLES[status]
        style = "bold" if item.alarm else "$text-muted" if status is Status.PENDING and not here else ""
        return Content.assemble(
            " ",
            (MARKS[status], mark_style),
            " ",
            (fitted(item.event.title, title), style),
            (fitted(measured_text(item.event), MEASURED_WIDTH, right=True), style),
            " " * GAP,
            course(item.samples, line),
            " " * GAP,
            (fitted(clock_time(item.changed_at, self.timezone), CHANGED_WIDTH, right=True), style),
        )
