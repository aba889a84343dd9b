"""ctrl+p: every action of the current screen, every screen and its actions, and what concerns the whole wizard."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vagus_tui.format import first_upper
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.palette_actions import actions_of, left_out
from vagus_tui.widgets.footer import key_name
from vagus_tui.widgets.text import safe_str

GENERAL = (
    ("Watch: checks that run by themselves", "app.watch", "W"),
    ("Help for this screen", "app.help", "?"),
    ("The first-time tour", "app.tour", ""),
    ("Light or dark colours", "app.light", ""),
    ("Save a picture of this window", "app.picture", ""),
    ("Quit", "app.quit", "q"),
)


def _line(name: Content, key: str, more: str) -> Content:
    """Name, then its key and a few words: one line per command."""
    help_ = " · ".join(filter(None, (key, more)))
    return Content.assemble(name, "  ", (help_, "$text-muted")) if help_ else name


class WizardCommands(Provider):
    """Commands from the bindings that are active where the palette was opened."""

    def _commands(self) -> Iterator[tuple[str, str, str, Any]]:
        """Every command: its name, its key, what else there is to say of it, and what it does."""
        seen: set[str] = set()
        for key, (node, binding, enabled, tooltip) in self.screen.active_bindings.items():
            if node is self.app or not enabled or not binding.description or left_out(binding.action):
                continue
            name = first_upper(safe_str(binding.description))
            if name in seen:
                continue
            seen.add(name)
            yield (
                name,
                key_name(key),
                tooltip,
                partial(self.app.run_action, binding.action, node),
            )
        for number, step in enumerate(Step, start=1):
            going = f"app.go('{step.value}')"
            yield f"Go to {step.label}", str(number % 10), "", partial(self.app.run_action, going)
        for own in self.app.BINDINGS:
            if not isinstance(own, Binding) or not own.description or left_out(own.action):
                continue
            if self.app.check_action(own.action, ()) is not False:
                words = first_upper(own.tooltip or own.description)
                yield words, key_name(own.key), "", partial(self.app.run_action, f"app.{own.action}")
        for name, action, key in GENERAL:
            yield name, key, "", partial(self.app.run_action, action)
        for step in Step:
            for one in actions_of(step):
                there = f"app.elsewhere('{step.value}', {one.action!r})"
                yield f"{step.label}: {one.words}", one.key, one.tooltip, partial(self.app.run_action, there)

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for name, key, more, callback in self._commands():
            yield DiscoveryHit(_line(Content(name), key, more), callback, text=name)

    async def search(self, query: str) -> Hits:
        """What matches by its name; after those, what has the words that were typed in what is said of it."""
        matcher, words = self.matcher(query), query.casefold().split()
        for name, key, more, callback in self._commands():
            if (score := matcher.match(name)) > 0:
                yield Hit(1 + score, _line(matcher.highlight(name), key, more), callback, text=name)
            elif words and all(word in f"{name} {more}".casefold() for word in words):
                yield Hit(0.5, _line(Content(name), key, more), callback, text=name)
