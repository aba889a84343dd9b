"""`?`: what the screen is for, why it matters, what comes next, and every key that works there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Static

from vagus_tui.runbook.help import HELP
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.widgets.footer import KeyFooter, key_name
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.text import safe, safe_str

LEFT_OUT = (
    "guide",
    "timeline",
    "plans",
    "runbook",
    "watch",
    "app.watch",
    "app.plans",
    "app.guide",
    "app.timeline",
    "acknowledge",
    "scroll_",
    "page_",
    "go(",
    "turn(",
    "app.focus",
    "screen.copy",
    "command_palette",
    "help",
    "quit",
    "move(",
    "page(",
    "end(",
    "first",
    "last",
    "cursor_",
)


def keys_of(screen: Screen[object]) -> list[tuple[str, str]]:
    """Every key that does something on a screen now, and what; keys of one action share a line.

    What works on every screen is left to the list of that.
    """
    found: dict[str, tuple[list[str], str]] = {}
    for key, (_node, binding, enabled, tooltip) in screen.active_bindings.items():
        if not binding.description or not enabled or binding.action.startswith(LEFT_OUT):
            continue
        words = safe_str(f"{binding.description}: {tooltip}" if tooltip else binding.description)
        if binding.action == "press" and isinstance(screen.focused, Button):
            words = safe_str(str(screen.focused.label))
        elif words[1:2].islower():
            words = words[0].lower() + words[1:]
        names, _ = found.setdefault(binding.action, ([], words))
        name = binding.key_display or key_name(key)
        if name not in names:
            names.append(name)
    return [(" ".join(names), description) for names, description in found.values()]


def key_table(rows: Sequence[tuple[str, str]]) -> ComposeResult:
    """Keys and what they do, in two columns; what is long wraps within its own."""
    for keys, words in rows:
        yield Horizontal(
            Static(Content.styled(keys, "bold $accent"), classes="key"), Static(safe(words)), classes="key-row"
        )


class HelpScreen(ModalScreen[None]):
    """Help for the screen it was opened on."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "close", "back", key_display="esc")]
    AUTO_FOCUS = "#help-scroll"

    def __init__(self, step: Step | None, keys: Sequence[tuple[str, str]], *, topic: str = "") -> None:
        super().__init__()
        self.step = step
        self.keys = keys
        self.topic = topic

    def compose(self) -> ComposeResult:
        """The texts, then the keys."""
        help_ = next((entry for entry in HELP if entry.screen is self.step), None)
        with Vertical(id="help"):
            yield Static(safe(self.step.label if self.step else "Help"), id="dialog-title")
            with VerticalScroll(id="help-scroll", can_focus=True):
                if help_ is not None:
                    yield Static(safe(help_.purpose), classes="paragraph")
                    yield Static(Content.assemble(("Why  ", "bold"), safe(help_.why)), classes="paragraph")
                    yield Static(Content.assemble(("Next  ", "bold"), safe(help_.next)), classes="paragraph")
                if self.topic:
                    yield Static(safe(self.topic, lines=True, limit=4000), classes="paragraph")
                yield Static(Content.styled("Keys here", "bold"))
                with Vertical(classes="paragraph keys"):
                    yield from key_table(self.keys)
                yield Static(Content.styled("Everywhere", "bold"))
                with Vertical(classes="paragraph keys"):
                    yield from key_table(EVERYWHERE)
                yield Static(Content.styled("Marks", "bold"))
                yield Static(
                    Content("   ").join(
                        Content.assemble((MARKS[status], STYLES[status]), " ", WORDS[status])
                        for status in MARKS
                        if status != "error"
                    )
                )
            yield KeyFooter()

    def action_close(self) -> None:
        """Back to the screen."""
        if self.is_active:
            self.dismiss(None)


EVERYWHERE: tuple[tuple[str, str], ...] = (
    ("1 … 9 0", "go to one of the ten screens"),
    ("^down ^up", "next and previous screen"),
    ("tab", "move the focus, to text beside a table too where it has more"),
    ("↑ ↓ j k", "move in a table; page up, page down, home, end"),
    ("esc", "one step back"),
    ("G", "the whole guide: every item, where it is done, how it stands"),
    ("i", "runbook: whom to call, questions, risks; searchable"),
    ("P", "plans: v1 beside v2, and what each user sees"),
    ("T", "timeline: what is due when, and the run beside its rehearsal"),
    ("W", "watch: checks that run by themselves, and how they went"),
    ("A", "acknowledge an alarm, while there is one"),
    ("^p", "find any action"),
    ("q", "quit; asks first when something runs"),
)
