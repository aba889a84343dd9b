"""A dialog with a list to pick one from, for choices that are too many for buttons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Button, OptionList
from textual.widgets.option_list import Option

from vagus_tui.screens.dialogs import Dialog, button
from vagus_tui.widgets.pointer import PointedList
from vagus_tui.widgets.text import safe


class _Choices(PointedList):
    """Its Enter is told at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "pick")]


class PickDialog(Dialog[str | None]):
    """Pick one with the arrows and Enter. None means cancelled.

    Args:
        choices: (answer, words) pairs.
        chosen: the answer under the cursor at first.
    """

    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
    ]

    def __init__(self, title: str, body: Content | str, choices: Sequence[tuple[str, str]], chosen: str = "") -> None:
        super().__init__(title, body)
        self.choices = tuple(choices)
        self.chosen = chosen

    def compose_question(self) -> ComposeResult:
        """The list."""
        yield _Choices(*(Option(safe(words), id=answer) for answer, words in self.choices), id="choices", markup=False)

    def compose_buttons(self) -> ComposeResult:
        """Only a way out: Enter on a line picks it."""
        yield button("Cancel", "cancel")

    def on_mount(self) -> None:
        """Put the cursor on what holds now."""
        answers = [answer for answer, _ in self.choices]
        self.query_one("#choices", OptionList).highlighted = answers.index(self.chosen) if self.chosen in answers else 0

    def action_move(self, step: int) -> None:
        """One line up or down, wherever the focus is."""
        choices = self.query_one("#choices", OptionList)
        choices.focus()
        if step > 0:
            choices.action_cursor_down()
        else:
            choices.action_cursor_up()

    @on(OptionList.OptionSelected, "#choices")
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.answer(event.option_id)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """None of them."""
        self.answer(None)
