"""The line at the bottom: what the keys do now."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Button, Input

from vagus_tui.widgets.painted import Painted
from vagus_tui.widgets.text import safe_str

ALWAYS = ("question_mark", "ctrl+p")
_NAMES = {
    "enter": "enter",
    "escape": "esc",
    "space": "space",
    "question_mark": "?",
    "ctrl+p": "^p",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "slash": "/",
    "delete": "del",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "page up",
    "pagedown": "page down",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def key_name(key: str) -> str:
    """A key as it is written on the keyboard: `enter`, `?`, `^p`, `f`."""
    if key in _NAMES:
        return _NAMES[key]
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    return key


class KeyFooter(Painted):
    """The keys of the current screen and focus, most important first; help and palette always at the right end.

    A key that does not fit is left out here; `?` and the palette have them all. A screen's `FOOTER_FIRST` names the
    actions that come first where there is little room; its `enter_in_field` says what Enter does in a text field.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, str, DOMNode]] = []

    def on_mount(self) -> None:
        """Follow the focus and whatever enables or disables keys."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _screen: Screen[Any]) -> None:
        self.follow()

    def _keys(self) -> tuple[list[tuple[str, str, str, bool, DOMNode]], list[tuple[str, str, str, bool, DOMNode]]]:
        main: list[tuple[str, str, str, bool, DOMNode]] = []
        last: list[tuple[str, str, str, bool, DOMNode]] = []
        seen: set[str] = set()
        for key, (node, binding, enabled, _tooltip) in self.screen.active_bindings.items():
            if not binding.show or not binding.description or binding.action in seen:
                continue
            seen.add(binding.action)
            shown = binding.key_display or key_name(key)
            entry = (shown, safe_str(binding.description), binding.action, enabled, node)
            (last if key in ALWAYS else main).append(entry)
        # Enter presses the button that has the focus: what that does stands on it. From a field it may do the same.
        focused = self.screen.focused
        if isinstance(focused, Button):
            main.insert(0, ("enter", safe_str(str(focused.label)).partition(":")[0], "press", True, focused))
        elif isinstance(focused, Input) and (words := getattr(self.screen, "enter_in_field", "")):
            main.insert(0, ("enter", safe_str(words), "submit", True, focused))
        first: tuple[str, ...] = getattr(self.screen, "FOOTER_FIRST", ())
        main.sort(key=lambda entry: first.index(entry[2]) if entry[2] in first else len(first))
        return main, last

    def text(self) -> Content:
        """As many keys as there is room for."""
        main, last = self._keys()
        width = self.size.width
        reserved = sum(len(entry[0]) + len(entry[1]) + 3 for entry in last)
        line = Content(" ")
        self._spans = []

        def add(entry: tuple[str, str, str, bool, DOMNode]) -> None:
            nonlocal line
            shown, description, action, enabled, node = entry
            start = line.cell_length
            line = Content.assemble(
                line,
                (shown, "bold $accent" if enabled else "$text-disabled"),
                " ",
                (description, "" if enabled else "$text-disabled"),
            )
            self._spans.append((start, line.cell_length, action, node))
            line = line + "  "

        for entry in main:
            if line.cell_length + len(entry[0]) + len(entry[1]) + 1 + reserved > width:
                continue
            add(entry)
        line = line + " " * max(0, width - line.cell_length - reserved + 1)
        for entry in last:
            add(entry)
        return line

    async def on_click(self, event: events.Click) -> None:
        """A click on a key's words does what the key does."""
        for start, end, action, node in self._spans:
            if start <= event.x < end:
                await self.app.run_action(action, node)
                return
