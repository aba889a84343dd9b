"""Text that may be longer than its room."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget


class ReadOn(VerticalScroll):
    """Text that may be longer than its room: only while it is does it take the focus, and the keys scroll it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
    ]

    def __init__(self, *children: Widget, id: str | None = None) -> None:
        super().__init__(*children, id=id, can_focus=True)

    def allow_focus(self) -> bool:
        """Whether there is more than fits."""
        return super().allow_focus() and self.max_scroll_y > 0
