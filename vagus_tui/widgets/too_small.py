"""One line that says so when the window is too small to show everything."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

WIDTH, HEIGHT = 80, 24


class TooSmall(Widget):
    """Only visible below 80×24."""

    def on_mount(self) -> None:
        """Decide for the first time."""
        self.decide()

    def decide(self) -> None:
        """Show or hide it; the screen calls this when the window changes, since what is hidden hears nothing."""
        size = self.app.size
        self.display = size.width < WIDTH or size.height < HEIGHT
        self.refresh()

    def render(self) -> Content:
        """What to do about it."""
        size = self.app.size
        text = f" {size.width}×{size.height} is small: {WIDTH}×{HEIGHT} shows everything."
        return Content(text if size.width >= len(text) else f" {WIDTH}×{HEIGHT} shows all.")
