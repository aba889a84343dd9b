"""The texts that go to users, as they are to be sent: with the operator's wording, people and dates."""

from __future__ import annotations

from datetime import datetime

from vagus_tui.runbook.messages import MessageContext, MessageError, RenderedMessage, render
from vagus_tui.session.session import Session
from vagus_tui.zones import zone

GAPS = MessageContext(date="[date]", time="[time]", window="[from] to [to]")


def to_send(session: Session, message_id: str, at: datetime | None) -> RenderedMessage:
    """A message with the dates of what happens at that moment; None leaves gaps in their place."""
    book = session.settings.book
    context = GAPS
    if at is not None:
        moment = at.astimezone(zone(session.settings.timezone))
        context = MessageContext.planned(moment, book.thresholds.window, **book.people.fields())
    message = book.message(message_id)
    try:
        return render(message, context, session.now.texts.get(message.id))
    except MessageError:
        # Rewritten for another version of the program, whose fields this one does not have.
        return render(message, context)
