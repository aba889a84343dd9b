"""Dialogs: they say what will happen, how long it takes and how to undo it, and the focus starts on Cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.pointer import ActButton
from vagus_tui.widgets.text import safe, safe_block

Result = TypeVar("Result")
BUTTONS_WIDTH = 64
"""Cells for all buttons beside each other."""
BUTTON_ROOM = 6
"""What a button takes besides its words."""
Text = Content | Hanging | str
"""What a dialog says; a plain string may come from outside."""


class Dialog(ModalScreen[Result], Generic[Result]):
    """A framed question. Escape gives the harmless answer; arrows move between the buttons."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", key_display="esc"),
        Binding("tab", "next", "move"),
        # A text field would take them for itself, and has no pages.
        Binding("pagedown", "scroll_text(1)", "more", priority=True),
        Binding("pageup", "scroll_text(-1)", show=False, priority=True),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#cancel"

    def __init__(self, title: str, body: Text, *, danger: bool = False) -> None:
        super().__init__()
        self.dialog_title = title
        self.body = safe_block(body) if isinstance(body, str) else body
        self.danger = danger

    def compose(self) -> ComposeResult:
        """Title, text, whatever the dialog asks for, buttons."""
        # What is asked for stays in view, and the text beside it begins at its beginning.
        question = tuple(self.compose_question())
        buttons = [widget for widget in self.compose_buttons() if isinstance(widget, Button)]
        # What does not fit beside the others stands below them: a button that cannot be read is none.
        wide = sum(Content(str(one.label)).cell_length + BUTTON_ROOM for one in buttons) > BUTTONS_WIDTH
        chosen = {"-danger": self.danger, "-asks": question, "-stacks": wide}
        with Vertical(id="dialog", classes=" ".join(name for name, so in chosen.items() if so)):
            yield Static(safe(self.dialog_title), id="dialog-title")
            with VerticalScroll(id="dialog-body", can_focus=False):
                yield Static(self.body, id="dialog-text")
            if question:
                yield Vertical(*question, id="dialog-question")
            with Horizontal(id="dialog-buttons", classes="-stacked" if wide else ""):
                yield from buttons
        yield KeyFooter()

    def on_mount(self) -> None:
        """The same goes for the first look at it."""
        self.call_after_refresh(self.refresh_bindings)

    def on_resize(self) -> None:
        """Whether all of the text is in view depends on the window, and with it the keys."""
        self.call_after_refresh(self.refresh_bindings)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that do something: there is more than one thing to go to, or more text than fits."""
        if action == "next":
            return len(self.focus_chain) > 1
        if action == "scroll_text":
            return self.is_mounted and self.query_one("#dialog-body", VerticalScroll).max_scroll_y > 0
        return True

    def action_next(self) -> None:
        """The focus goes on."""
        self.focus_next()

    def action_scroll_text(self, direction: int) -> None:
        """A page of the text down or up."""
        body = self.query_one("#dialog-body", VerticalScroll)
        body.scroll_relative(y=direction * max(1, body.size.height - 1), animate=False)

    def compose_question(self) -> ComposeResult:
        """What stands between the text and the buttons."""
        yield from ()

    def compose_buttons(self) -> ComposeResult:
        """Cancel first."""
        raise NotImplementedError

    def answer(self, result: Result) -> None:
        """Close with an answer, once: a second key press must not close what is underneath."""
        if self.is_active:
            self.dismiss(result)

    def action_cancel(self) -> None:
        """The harmless answer."""
        raise NotImplementedError


def button(label: str, id: str, *, danger: bool = False, disabled: bool = False) -> Button:
    """A flat button whose words are safe."""
    widget = ActButton(safe(label), id=id, compact=True, disabled=disabled)
    if danger:
        widget.add_class("-danger")
    return widget


class ConfirmDialog(Dialog[bool]):
    """Yes or no, where the buttons say what happens."""

    def __init__(self, title: str, body: Text, *, yes: str, no: str = "Cancel", danger: bool = False) -> None:
        super().__init__(title, body, danger=danger)
        self.yes = yes
        self.no = no

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then the act."""
        yield button(self.no, "cancel")
        yield button(self.yes, "yes", danger=self.danger)

    @on(Button.Pressed, "#yes")
    def _yes(self) -> None:
        self.answer(True)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """No."""
        self.answer(False)


class TypedConfirmDialog(Dialog[bool]):
    """For destructive acts in production: the act is possible once the project's name has been typed out."""

    AUTO_FOCUS = "#typed"

    def __init__(self, title: str, body: Text, *, expected: str, yes: str, no: str = "Cancel") -> None:
        super().__init__(title, body, danger=True)
        self.expected = expected
        self.yes = yes
        self.no = no

    def compose_question(self) -> ComposeResult:
        """The name to be typed."""
        yield Static(self._asked(), id="dialog-prompt")
        yield Input(id="typed", compact=True)

    def _asked(self, before: str = "") -> Content:
        return Content.assemble((before, "$warning"), "Type ", safe(self.expected, "bold"), " to go on:")

    def _prompt(self, before: str = "") -> None:
        self.query_one("#dialog-prompt", Static).update(self._asked(before))

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then the act, dimmed until the name is right."""
        yield button(self.no, "cancel")
        yield button(self.yes, "yes", danger=True, disabled=True)

    @on(Input.Changed, "#typed")
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = event.value.strip() != self.expected
        self._prompt()

    @on(Input.Submitted, "#typed")
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.expected:
            # Not at once: the act has a button of its own, and the key was meant for the field.
            self.query_one("#yes", Button).focus()
        elif event.value.strip():
            self._prompt("That is not it. ")

    @on(Button.Pressed, "#yes")
    def _yes(self) -> None:
        self.answer(True)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """No."""
        self.answer(False)


class PromptDialog(Dialog[str | None]):
    """Asks for one line of text: a reason, a note, a date. The answer is stripped; None means cancelled.

    Args:
        value: what stands there to begin with.
        required: an empty answer will not do.
    """

    AUTO_FOCUS = "#answer"

    def __init__(
        self,
        title: str,
        body: Text,
        *,
        yes: str,
        value: str = "",
        placeholder: str = "",
        required: bool = True,
        password: bool = False,
    ) -> None:
        super().__init__(title, body)
        self.yes = yes
        self.enter_in_field = yes
        self.value = value
        self.placeholder = placeholder
        self.required = required
        self.password = password

    def problem(self, text: str) -> str:
        """What is wrong with the answer, or nothing. Subclasses know their own rules."""
        return "Please give a reason." if self.required and not text else ""

    def compose_question(self) -> ComposeResult:
        """The field, and room for what is wrong with it."""
        yield Input(
            self.value, id="answer", placeholder=self.placeholder, compact=True, password=self.password, max_length=1000
        )
        yield Static("", id="dialog-problem")

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then the act."""
        yield button("Cancel", "cancel")
        yield button(self.yes, "yes")

    @on(Input.Changed, "#answer")
    def _typed(self) -> None:
        self.query_one("#dialog-problem", Static).update("")

    @on(Input.Submitted, "#answer")
    @on(Button.Pressed, "#yes")
    def _yes(self) -> None:
        text = self.query_one("#answer", Input).value.strip()
        if problem := self.problem(text):
            self.query_one("#dialog-problem", Static).update(safe(problem))
            self.query_one("#answer", Input).focus()
            return
        self.answer(text)

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """No answer."""
        self.answer(None)


class ChoiceDialog(Dialog[str | None]):
    """Several acts to choose from; each button says what it does. None means cancelled.

    Args:
        choices: (answer, button's words) pairs.
        dangerous: answers whose buttons are marked.
    """

    def __init__(
        self,
        title: str,
        body: Text,
        choices: Sequence[tuple[str, str]],
        *,
        no: str = "Cancel",
        dangerous: Sequence[str] = (),
    ) -> None:
        super().__init__(title, body, danger=bool(dangerous))
        self.choices = tuple(choices)
        self.no = no
        self.dangerous = frozenset(dangerous)

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then the choices."""
        yield button(self.no, "cancel")
        for number, (answer, label) in enumerate(self.choices):
            yield button(label, f"choice-{number}", danger=answer in self.dangerous)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        name = event.button.id or ""
        self.answer(self.choices[int(name.removeprefix("choice-"))][0] if name.startswith("choice-") else None)

    def action_cancel(self) -> None:
        """None of them."""
        self.answer(None)


class MessageDialog(Dialog[None]):
    """Something to be read, such as an error: what happened, what state it left, what to do next."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "close", key_display="esc")]

    def __init__(self, title: str, body: Text, *, danger: bool = False, close: str = "Close") -> None:
        super().__init__(title, body, danger=danger)
        self.close = close

    def compose_buttons(self) -> ComposeResult:
        """One way out."""
        yield button(self.close, "cancel")

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Done reading."""
        self.answer(None)


class LossDialog(MessageDialog):
    """Of a reading that found no connection. It is done again once that is back, and then this closes by itself."""
