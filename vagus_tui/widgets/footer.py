"""The line at the bottom: what the keys do now."""

from __future__ import annotations

from typing import Any, NamedTuple

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


class _Key(NamedTuple):
    """One key: how it is written, what it does, the action and whose, and whether it does anything now."""

    shown: str
    words: str
    action: str
    enabled: bool
    node: DOMNode

    @property
    def width(self) -> int:
        """Cells, with the two that keep it apart from the next."""
        return Content(self.shown).cell_length + bool(self.words) + Content(self.words).cell_length + 2


class KeyFooter(Painted):
    """The keys of the current screen and focus, most important first; help and palette always at the right end.

    A key that does not fit is left out, first those that do nothing now, then those of every screen. `? 4 more` says so
    in place of `? help`: help has them all, and so has the palette. A screen's `FOOTER_FIRST` names the actions that
    come first where there is little room; its `enter_in_field` says what Enter does in a text field.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, str, DOMNode]] = []

    def on_mount(self) -> None:
        """Follow the focus and whatever enables or disables keys."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _screen: Screen[Any]) -> None:
        self.follow()

    def _keys(self) -> tuple[list[_Key], list[_Key]]:
        main: list[_Key] = []
        last: list[_Key] = []
        seen: set[str] = set()
        for key, (node, binding, enabled, _tooltip) in self.screen.active_bindings.items():
            if not binding.show or not binding.description or binding.action in seen:
                continue
            seen.add(binding.action)
            shown = binding.key_display or key_name(key)
            entry = _Key(shown, safe_str(binding.description), binding.action, enabled, node)
            (last if key in ALWAYS else main).append(entry)
        # Enter presses the button that has the focus: what that does stands on it. From a field it may do the same.
        focused = self.screen.focused
        if isinstance(focused, Button):
            main.insert(0, _Key("enter", safe_str(str(focused.label)).partition(":")[0], "press", True, focused))
        elif isinstance(focused, Input) and (words := getattr(self.screen, "enter_in_field", "")):
            main.insert(0, _Key("enter", safe_str(words), "submit", True, focused))
        first: tuple[str, ...] = getattr(self.screen, "FOOTER_FIRST", ())
        main.sort(key=lambda key: first.index(key.action) if key.action in first else len(first))
        return main, last

    def _fitting(self, main: list[_Key], last: list[_Key]) -> tuple[list[_Key], list[_Key]]:
        """The keys that there is room for, and what stands at the right end."""

        def chosen(end: list[_Key]) -> list[_Key]:
            # One cell at the left end; the last key needs no gap after it.
            room = self.size.width + 1 - sum(key.width for key in end)
            found: list[_Key] = []
            # What works on every screen is left out before what works here alone.
            for key in sorted(main, key=lambda key: (not key.enabled, key.action.startswith("app."))):
                if key.width <= room:
                    found.append(key)
                    room -= key.width
            return [key for key in main if key in found]

        # Where one does not fit, the palette's name gives way, and what says how many are left out takes its room.
        end, shown, count = last, chosen(last), 0
        while (left_out := sum(key.enabled for key in main if key not in shown)) > count:
            count = left_out
            end = [self._short(key, count) for key in last]
            shown = chosen(end)
        return shown, end

    @staticmethod
    def _short(key: _Key, left_out: int) -> _Key:
        if key.action == "help":
            return key._replace(words=f"{left_out} more")
        return key._replace(words="")

    def text(self) -> Content:
        """As many keys as there is room for."""
        shown, end = self._fitting(*self._keys())
        line = Content(" ")
        self._spans = []

        def add(key: _Key) -> None:
            nonlocal line
            start = line.cell_length
            line = Content.assemble(
                line,
                (key.shown, "bold $accent" if key.enabled else "$text-disabled"),
                " " if key.words else "",
                (key.words, "" if key.enabled else "$text-disabled"),
            )
            self._spans.append((start, line.cell_length, key.action, key.node))
            line = line + "  "

        for key in shown:
            add(key)
        line = line + " " * max(0, self.size.width - line.cell_length - sum(key.width for key in end) + 1)
        for key in end:
            add(key)
        return line

    async def on_click(self, event: events.Click) -> None:
        """A click on a key's words does what the key does."""
        for start, end, action, node in self._spans:
            if start <= event.x < end:
                await self.app.run_action(action, node)
                return
