"""Setting T−0, the planned start of the cut-over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from textual.content import Content

from vagus_tui.screens.dialogs import PromptDialog
from vagus_tui.session.session import parse_moment
from vagus_tui.widgets.text import safe
from vagus_tui.zones import zone

if TYPE_CHECKING:
    from vagus_tui.screens.base import WizardScreen


def example(timezone: str) -> str:
    """How a moment is written, at one that lies ahead: ten in the evening, in a week."""
    return f"{datetime.now(zone(timezone)) + timedelta(days=7):%Y-%m-%d} 22:00"


class MomentDialog(PromptDialog):
    """Asks for a date and a time."""

    def __init__(self, timezone: str, value: str) -> None:
        body = Content.assemble(
            "The planned start of the cut-over, in ",
            safe(timezone, "bold"),
            ". Dates in the messages, the timeline and the countdown follow it.",
        )
        super().__init__("Set T−0", body, yes="Set T−0", value=value, placeholder=example(timezone))
        self.timezone = timezone

    def problem(self, text: str) -> str:
        """A moment that can be read, and has not passed."""
        moment = parse_moment(text, self.timezone)
        if moment is None:
            return f"Write it as {example(self.timezone)}."
        return "" if moment > datetime.now(UTC) else "That has passed already."


async def ask_planned_moment(screen: WizardScreen) -> None:
    """Ask for T−0 and keep it in the journal."""
    session = screen.session
    timezone = session.settings.timezone
    planned = session.now.planned_at
    value = planned.astimezone(zone(timezone)).strftime("%Y-%m-%d %H:%M") if planned else ""
    answer = await screen.ask(MomentDialog(timezone, value))
    moment = parse_moment(answer, timezone)
    if moment is not None:
        await session.plan_for(moment)
