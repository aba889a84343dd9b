"""What is said of the database while there is no connection to it: what was read last, and that it may hold no more."""

from __future__ import annotations

from textual.content import Content

from vagus_tui.session.knowledge import Knowledge, Link
from vagus_tui.widgets.text import safe_block


def cut_off(session: Knowledge) -> bool:
    """Whether the connection that once stood is gone, so that what was read before may hold no more."""
    return session.link is Link.DOWN and session.state is not None


def cut_off_text(session: Knowledge) -> Content:
    """What is not known now, what was read last, and that nobody has to do anything for it to be read again."""
    state = session.state
    last = f"When it was last read: {state.summary} " if state is not None else ""
    return safe_block(
        f"{last}What has become of it since cannot be read now. It is tried again by itself every few "
        "seconds; then this says how things stand and what is possible."
    )
