"""The first line of a screen's content: its name, and what matters most right now."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class TitleLine(Widget):
    """Name at the left, a summary at the right."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = Content(title)
        self._summary = Content("")

    def set_summary(self, summary: Content | str) -> None:
        """Say something else at the right; a plain string is taken as it is."""
        new = Content(summary) if isinstance(summary, str) else summary
        if not new.is_same(self._summary):
            self._summary = new
            self.refresh()

    def set_title(self, title: Content | str) -> None:
        """Change the name at the left."""
        self._title = Content(title) if isinstance(title, str) else title
        self.refresh()

    def render(self) -> Content:
        """Both on one line; a name longer than half of it gives way, and then the summary."""
        title = self._title.stylize("bold")
        most = max(self.size.width // 2, self.size.width - self._summary.cell_length - 2)
        if title.cell_length > most:
            title = title.truncate(most, ellipsis=True)
        room = self.size.width - title.cell_length - 2
        summary = self._summary
        if summary.cell_length > room:
            summary = summary.truncate(max(0, room), ellipsis=True)
        gap = max(0, self.size.width - title.cell_length - summary.cell_length)
        return Content.assemble(title, " " * gap, summary)
