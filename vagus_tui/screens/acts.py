"""Acts that several screens share: overriding a check, and taking an override back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from vagus_tui.events import CheckEvent
from vagus_tui.screens.dialogs import ConfirmDialog, MessageDialog, PromptDialog
from vagus_tui.widgets.text import safe

if TYPE_CHECKING:
    from vagus_tui.screens.base import WizardScreen


async def override_check(screen: WizardScreen, event: CheckEvent) -> None:
    """Let a failing check pass, by name and with a reason; on one that is overridden already, take that back."""
    session = screen.session
    if (standing := session.now.overrides.get(event.id)) is not None:
        body = Content.assemble(
            safe(standing.operator, "bold"),
            " let this pass: ",
            safe(standing.reason),
            "\n\nTaken back, it counts again. Both stay on record.",
        )
        if await screen.ask(ConfirmDialog(f"Overridden: {event.title}", body, yes="Take the override back")):
            await session.withdraw_override(event.id)
        return
    if not event.overridable:
        await screen.ask(
            MessageDialog(
                event.title,
                "This one cannot be overridden: going on would lose data or stop half way. Fix it first.",
            )
        )
        return
    body = Content.assemble(
        safe(event.title, "bold"),
        " will no longer stand in the way. Your name (",
        safe(session.settings.operator),
        ") and the reason go into the journal and the report. It stays so, for later runs too, until it is taken back.",
    )
    reason = await screen.ask(PromptDialog("Override a check", body, yes="Override", placeholder="Reason"))
    if reason:
        await session.override(event.id, reason)
