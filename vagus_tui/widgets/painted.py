"""Lines that stand on every screen and are painted again only when they say something else."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class Painted(Widget):
    """A widget that is one text: `text` makes it, `follow` brings it up to date."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = Content("")

    def text(self) -> Content:
        """What it says now."""
        raise NotImplementedError

    def follow(self) -> None:
        """Bring it up to date. Most news and keys change nothing here: painting it for nothing would hold them up."""
        shown = self._shown
        if not self.text().is_same(shown):
            self.refresh()

    def render(self) -> Content:
        """Paint what there is now."""
        self._shown = self.text()
        return self._shown
