"""The first-time tour: a few cards, under a minute, skippable with one key, shown once per operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from vagus_tui.widgets.footer import KeyFooter


@dataclass(frozen=True, slots=True)
class Card:
    """One card: a title, a few lines, and (key, what it does) pairs."""

    title: str
    text: str
    keys: tuple[tuple[str, str], ...] = ()


CARDS: tuple[Card, ...] = (
    Card(
        "Ten screens, from top to bottom",
        "The rail at the left has them in order; each mark says how one stands. Overview says where the database is "
        "and what comes next.",
        (("1 … 9 0", "go to a screen"), ("esc", "one step back; nothing is lost")),
    ),
    Card(
        "The last line has the keys",
        "Nothing changes without showing first what it will do, how long it takes, and the way back.",
        (("?", "what this screen is for"), ("^p", "find any action")),
    ),
    Card(
        "Look before you move",
        "See any plan as it is and as it will be, what is due when, and whom to call.",
        (("G", "the guide, item by item"), ("P", "plans"), ("T", "timeline"), ("i", "contacts, questions, risks")),
    ),
    Card(
        "Until the cut-over, v1 is untouched",
        "v2 is built beside v1, caught up and proved row by row while the app runs. Then it holds: you decide. "
        "At the cut-over writes wait for about a second.",
    ),
    Card(
        "You are not alone, and there is a way back",
        "Ticks and runs show on everybody's screen within seconds. Rollback keeps what users wrote in the meantime. "
        "Everything is on record in Report.",
    ),
)


class TourScreen(ModalScreen[None]):
    """One card at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,right,space", "turn(1)", "next", key_display="enter"),
        Binding("left", "turn(-1)", "back", key_display="←"),
        Binding("escape,q", "close", "skip", key_display="esc"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.card = 0

    def compose(self) -> ComposeResult:
        """A frame with the card, and its keys."""
        with Vertical(id="tour"):
            yield Static(id="tour-card")
            yield KeyFooter()

    def on_mount(self) -> None:
        """The first card."""
        self._show()

    def _show(self) -> None:
        card = CARDS[self.card]
        lines = [Content.styled(card.title, "bold $accent"), Content(""), Content(card.text)]
        if card.keys:
            lines.append(Content(""))
        lines += [Content.assemble((f"{key:<9}", "bold $accent"), " ", words) for key, words in card.keys]
        dots = " ".join("●" if number == self.card else "·" for number in range(len(CARDS)))
        lines += [Content(""), Content.styled(f"{dots}   {self.card + 1} of {len(CARDS)}", "$text-muted")]
        self.query_one("#tour-card", Static).update(Content("\n").join(lines))

    def action_turn(self, direction: int) -> None:
        """The next card, or the one before; after the last the tour is over."""
        self.card = max(0, self.card + direction)
        if self.card >= len(CARDS):
            self.action_close()
        else:
            self._show()

    def action_close(self) -> None:
        """It is over."""
        if self.is_active:
            self.dismiss(None)
