"""What is said of the database while there is no connection to it, and what came of a job once it is back."""

from __future__ import annotations

from textual.content import Content

from vagus_tui.screens.base import error_text
from vagus_tui.session.job import Job
from vagus_tui.session.knowledge import Knowledge, Link
from vagus_tui.widgets.text import safe_block


def cut_off(session: Knowledge) -> bool:
    """Whether the connection that once stood is gone, so that what was read before may hold no more."""
    return session.link is Link.DOWN and session.state is not None


def unread_text(session: Knowledge) -> Content:
    """That nothing is known of the database, and why, as long as its state was never read."""
    return Content("The database has not been read yet.") if session.error is None else error_text(session.error)


def cut_off_text(session: Knowledge) -> Content:
    """What is not known now, what was read last, and that nobody has to do anything for it to be read again."""
    state = session.state
    last = f"When it was last read: {state.summary} " if state is not None else ""
    return safe_block(
        f"{last}What has become of it since cannot be read now. It is tried again by itself every few "
        "seconds; then this says how things stand and what is possible."
    )


def read_again(session: Knowledge, job: Job | None, *, here: bool = False) -> str:
    """What became of a job that a lost connection cut off, as the database says now; empty unless it was asked since.

    The job itself could at best guess: the server that would have known was gone.

    Args:
        here: it is told on Migration itself, where the key is at hand for what it may have left on.
    """
    if job is None or job.ended is None or not job.lost:
        return ""
    if session.state is None or session.link is not Link.UP or session.read_at < job.ended:
        return ""
    now = session.now.maintenance
    switched = "The write fence is up" if now.fence else "The maintenance flag is on" if now.on else ""
    left = f" {switched}. {'' if here else 'Migration (5): '}f switches it off." if switched else ""
    return f"The connection is back, and the state was read again. {session.state.summary}{left}"
