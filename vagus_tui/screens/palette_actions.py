"""The actions of all ten screens as data, so that the palette finds every one from anywhere."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from vagus_tui.runbook.model import Screen as Step
from vagus_tui.widgets.footer import key_name

if TYPE_CHECKING:
    from vagus_tui.screens.base import StepScreen

MOVING = frozenset(
    [
        "go",
        "turn",
        "command_palette",
        "help",
        "quit",
        "move",
        "page",
        "end",
        "first",
        "last",
        "scroll",
        "back",
        "press",
        "list",
        "cursor",
    ]
)
"""Moving about is no action to look for."""


def left_out(action: str) -> bool:
    """Whether the palette leaves an action out: it only moves about, or stands there under a name of its own."""
    return action.startswith(("app.", "screen.", "scroll_", "page_", "cursor_")) or action.partition("(")[0] in MOVING


@dataclass(frozen=True, slots=True)
class StepAction:
    """One action of one screen: its words, its key, and the action's name as the screen knows it."""

    step: Step
    words: str
    key: str
    tooltip: str
    action: str


def screen_class(step: Step) -> type[StepScreen]:
    """The class of a step's screen."""
    module = importlib.import_module(f"vagus_tui.screens.{step.value}")
    found: type[StepScreen] = getattr(module, f"{step.value.capitalize()}Screen")
    return found


def actions_of(step: Step) -> Iterator[StepAction]:
    """Every action that a screen and what it is built on bind to a key."""
    from vagus_tui.screens.base import StepScreen

    seen: set[str] = set()
    for base in screen_class(step).__mro__:
        if not issubclass(base, StepScreen):
            continue
        for binding in base.__dict__.get("BINDINGS", ()):
            if not isinstance(binding, Binding) or not binding.description or left_out(binding.action):
                continue
            if binding.action not in seen:
                seen.add(binding.action)
                key = binding.key_display or key_name(binding.key.split(",")[0])
                yield StepAction(step, binding.description, key, binding.tooltip, binding.action)
