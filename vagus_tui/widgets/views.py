"""One line that names the views of a screen, and shows which one is open."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


class ViewStrip(Widget):
    """Names of views side by side; a click opens one. Each may carry a word, such as `3 of 8`."""

    class Chosen(Message):
        """A view was clicked."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def __init__(self, views: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.views = tuple(views)
        self.current = self.views[0][0]
        self._words: dict[str, str] = {}
        self._spans: list[tuple[int, int, str]] = []

    def open(self, view: str) -> None:
        """Mark a view as open."""
        self.current = view
        self.refresh()

    def say(self, view: str, word: str) -> None:
        """Put a word behind a view's name."""
        if self._words.get(view, "") != word:
            self._words[view] = word
            self.refresh()

    @property
    def following(self) -> str:
        """The view after the open one, and the first after the last."""
        names = [name for name, _ in self.views]
        return names[(names.index(self.current) + 1) % len(names)]

    def render(self) -> Content:
        """The names, the open one underlined and in bold."""
        line = Content("")
        self._spans = []
        for name, title in self.views:
            start = line.cell_length
            here = name == self.current
            line = Content.assemble(line, (title, "bold underline" if here else "$text-muted"))
            if word := self._words.get(name):
                line = Content.assemble(line, " ", (word, "$text-muted"))
            self._spans.append((start, line.cell_length, name))
            line = line + "   "
        return line

    def on_click(self, event: events.Click) -> None:
        """Open what was clicked."""
        for start, end, name in self._spans:
            if start <= event.x < end:
                self.post_message(self.Chosen(name))
