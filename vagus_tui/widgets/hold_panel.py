"""Ready to cut over: the proof, who is in the way, what the app will notice, the way back, and three choices."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.pointer import ActButton
from vagus_tui.widgets.text import safe


@dataclass(frozen=True, slots=True)
class WhyNot:
    """One reason why there can be no cut-over: the fact that says it, in how few words, as a title, and what to do."""

    fact: str
    short: str
    title: str
    remedy: str


WHY_NOT = (
    WhyNot("changed", "v1 has changed", "v2 was built for another v1", "Take that back, or stop and migrate again."),
    WhyNot(
        "altered",
        "what was built was altered",
        "what was built has been altered",
        "Take that back, or stop and migrate again.",
    ),
    WhyNot(
        "refused",
        "v2 refuses a row",
        "v1 has a row that v2 refuses",
        "Mend that row, or stop, fix it, and migrate again.",
    ),
    WhyNot("hindered", "changes do not come over", "changes cannot be brought over", "Mend that, or stop."),
)
"""In this order: the first that there is counts."""


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """What the operator decides on.

    Attributes:
        proof: how many rows were compared, and that none differs.
        in_the_way: who would hold up the cut-over, or `nobody`; empty while nobody has looked yet.
        backup: how the latest backup stands, in words.
        cost: what the app will notice.
        back: the way back.
        caught_up: what was written meanwhile and has been brought over.
        let_pass: the gates that were let pass by name, each with its age; empty where none was.
        changed: what is otherwise about v1 than the plan was made for; then there is no cut-over. Empty if nothing is.
        refused: what v2 says of a row that somebody has written; then there is none either.
        altered: what somebody has done to what was built; then there is none either.
        hindered: why the server takes no changes over; then there is none either.
    """

    proof: str
    in_the_way: str
    backup: str
    cost: str
    back: str
    caught_up: str = ""
    changed: str = ""
    let_pass: str = ""
    refused: str = ""
    altered: str = ""
    hindered: str = ""

    @property
    def why_not(self) -> WhyNot | None:
        """Why there can be no cut-over as things are; None where there can."""
        return next((why for why in WHY_NOT if getattr(self, why.fact)), None)


READY = Content.styled("Ready to cut over", "bold $accent")


class HoldPanel(Vertical):
    """Shown only while the migration holds."""

    class Decided(Message):
        """A button was pressed: `go`, `hold` or `stop`."""

        def __init__(self, choice: str) -> None:
            super().__init__()
            self.choice = choice

    def compose(self) -> ComposeResult:
        """The facts, then the choices; the harmless one has the focus first."""
        yield Static(id="hold-title")
        yield Static(id="hold-facts")
        with Horizontal(id="hold-buttons"):
            yield ActButton(Content("Keep holding"), id="hold-keep", compact=True)
            yield ActButton(Content("Cut over now"), id="hold-go", compact=True, classes="-primary")
            yield ActButton(Content("Stop, v1 untouched"), id="hold-stop", compact=True, classes="-danger")

    def show(self, facts: HoldFacts) -> None:
        """Bring the facts up to date."""
        why = facts.why_not
        title = Content.styled(f"Not ready: {why.title}", "bold $warning") if why else READY
        self.query_one("#hold-title", Static).update(title)
        lines = [_line("proof", facts.proof)]
        if facts.caught_up:
            lines.append(_line("caught up", facts.caught_up))
        if why:
            words, style = f"{getattr(facts, why.fact)}. {why.remedy}", "$warning"
        else:
            words = facts.in_the_way or "looking"
            style = "" if words.startswith("nobody") else "$warning"
        lines.append(_line("in the way", words, style))
        lines.append(_line("backup", facts.backup))
        if facts.let_pass:
            lines.append(_line("let pass", facts.let_pass, "$warning"))
        lines.append(_line("app", facts.cost))
        lines.append(_line("way back", facts.back))
        self.query_one("#hold-facts", Static).update(Hanging(lines))

    def focus_first(self) -> None:
        """The choice that changes nothing."""
        self.query_one("#hold-keep", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Decided((event.button.id or "").removeprefix("hold-").replace("keep", "hold")))


def _line(name: str, value: str, style: str = "") -> tuple[Content, Content]:
    return Content.styled(f"  {name:<11}", "$text-muted"), safe(value, style)
