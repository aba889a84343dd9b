"""Signing items off, wherever they are listed: with a note, or against criteria with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from vagus_tui.format import plural
from vagus_tui.runbook.criteria import Criterion
from vagus_tui.runbook.model import Fulfilment, Item
from vagus_tui.screens.dialogs import ConfirmDialog, PromptDialog
from vagus_tui.screens.item_facts import holds, item_entry, standing_override, standing_sign, unmet, unmet_lines
from vagus_tui.widgets.checklist import Entry
from vagus_tui.widgets.text import safe

if TYPE_CHECKING:
    from vagus_tui.screens.base import WizardScreen


class NoteDialog(PromptDialog):
    """Asks for a note, which may be empty where none is required."""

    def problem(self, text: str) -> str:
        """Anything will do, where anything is needed at all."""
        return "Please say what it rests on." if self.required and not text else ""


async def tick_item(screen: WizardScreen, item: Item, *, with_note: bool) -> None:
    """Tick an item in the operator's name, or take that back; what is measured is not signed."""
    session = screen.session
    if item.fulfilment is not Fulfilment.SIGN_OFF:
        screen.notify("This one is measured, not signed off.", markup=False)
        return
    signed = standing_sign(session, item)
    ticked = not (signed is not None and signed.ticked)
    against = unmet(session, item) if ticked else []
    if against:
        reason = await screen.ask(
            PromptDialog(
                f"{item.title}: {plural(len(against), 'criterion', 'criteria')} not met",
                _listed(against),
                yes="Sign off against them",
                placeholder="Reason",
            )
        )
        if reason:
            await session.sign_in_spite(item.id, [one.id for one, _ in against], reason)
        return
    required = ticked and isinstance(item, Criterion)
    note = ""
    if with_note or required:
        words = item.why if required else "A note, to be kept with it."
        yes = "Sign off" if ticked else "Take back"
        answer = await screen.ask(NoteDialog(item.title, words, yes=yes, required=required, placeholder="Note"))
        if answer is None:
            return
        note = answer
    await session.sign(item.id, ticked=ticked, note=note)


def _listed(against: list[tuple[Item, Entry]]) -> Content:
    closing = "Each is let pass by name, with your reason, in the journal and the report. o takes that back."
    return Content("\n").join([*unmet_lines(against), Content(""), Content(closing)])


async def let_criterion_pass(screen: WizardScreen, item: Criterion) -> None:
    """Let a criterion pass with a reason; on one that was, take that back."""
    session = screen.session
    if (standing := standing_override(session, item)) is not None:
        body = Content.assemble(
            safe(standing.operator, "bold"), " let this pass: ", safe(standing.reason), "\n\nBoth stay on record."
        )
        if await screen.ask(ConfirmDialog(item.title, body, yes="Take it back")):
            await session.withdraw_override(item.id)
        return
    if holds(item_entry(session, item)):
        screen.notify("It is met; there is nothing to let pass.", markup=False)
        return
    words = "The phase can go on without it. Your name and the reason go into the journal and the report."
    reason = await screen.ask(PromptDialog(item.title, words, yes="Let it pass", placeholder="Reason"))
    if reason:
        await session.override(item.id, reason)
