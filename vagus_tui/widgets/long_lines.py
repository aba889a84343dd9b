"""Text whose lines may run past the window: read sideways in useful steps, with what lies outside said in words."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.geometry import Size
from textual.message import Message

STEP = 10


class LongLines(ScrollableContainer):
    """A scrollable block of text. Left and right go ten columns, Home and End to the lines' ends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "sideways(-1)", show=False),
        Binding("right", "sideways(1)", show=False),
        Binding("home", "to_end(-1)", show=False),
        Binding("end", "to_end(1)", show=False),
        Binding("ctrl+home", "scroll_home", show=False),
        Binding("ctrl+end", "scroll_end", show=False),
    ]

    class Moved(Message):
        """Other columns are in view, or more or fewer of them."""

    @property
    def columns(self) -> str:
        """`→ columns 11 to 88 of 240`, the arrows telling where there is more; empty where every line fits."""
        most, width = int(self.max_scroll_x), self.scrollable_content_region.width
        if most <= 0 or not width:
            return ""
        first = min(int(self.scroll_target_x), most)
        left, right = "← " if first else "", " →" if first < most else ""
        return f"{left}columns {first + 1} to {first + width} of {most + width}{right}"

    def action_sideways(self, direction: int) -> None:
        """Ten columns to the left or right."""
        self.scroll_relative(x=direction * STEP, animate=False, immediate=True)
        self.post_message(self.Moved())

    def action_to_end(self, direction: int) -> None:
        """The beginning or the end of the lines; where every line fits, of the text."""
        if self.max_scroll_x > 0:
            self.scroll_to(x=self.max_scroll_x if direction > 0 else 0, animate=False, immediate=True)
            self.post_message(self.Moved())
        elif direction > 0:
            self.scroll_end(animate=False)
        else:
            self.scroll_home(animate=False)

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Also by the mouse or the bar."""
        super().watch_scroll_x(old_value, new_value)
        self.post_message(self.Moved())

    def watch_virtual_size(self, virtual_size: Size) -> None:
        """The text has been laid out, wrapped or not."""
        self.post_message(self.Moved())

    def on_resize(self, event: events.Resize) -> None:
        """More or fewer columns fit."""
        self.post_message(self.Moved())
