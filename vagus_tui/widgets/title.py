"""The first line of a screen's content: its name, and what matters most right now."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from vagus_tui.events import Status
from vagus_tui.widgets.marks import MARKS

READING = f"{MARKS[Status.RUNNING]} reading"


class TitleLine(Widget):
    """Name at the left, a summary at the right."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = Content(title)
        self._summary = Content("")
        self._reading = False

    def set_summary(self, summary: Content | str) -> None:
        """Say something else at the right; a plain string is taken as it is."""
        new = Content(summary) if isinstance(summary, str) else summary
        if not new.is_same(self._summary):
            self._summary = new
            self.refresh()

    def set_reading(self, reading: bool) -> None:
        """Whether what the screen shows is being read, and not all of it is there yet."""
        if reading is not self._reading:
            self._reading = reading
            self.refresh()

    def set_title(self, title: Content | str) -> None:
        """Change the name at the left."""
        self._title = Content(title) if isinstance(title, str) else title
        self.refresh()

    def render(self) -> Content:
        """Both on one line; a name longer than half of it gives way, and then the summary."""
        title = self._title.stylize("bold")
        summary = self._summary
        if self._reading:
            summary = Content(" · ").join([Content(READING), summary] if summary else [Content(READING)])
        most = max(self.size.width // 2, self.size.width - summary.cell_length - 2)
        if title.cell_length > most:
            title = title.truncate(most, ellipsis=True)
        room = self.size.width - title.cell_length - 2
        if summary.cell_length > room:
            summary = summary.truncate(max(0, room), ellipsis=True)
        gap = max(0, self.size.width - title.cell_length - summary.cell_length)
        return Content.assemble(title, " " * gap, summary)
