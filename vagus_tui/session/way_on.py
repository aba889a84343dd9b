"""Which screen the next act is on: Overview's button and the rail's last lines say it, so that nobody has to guess."""

from __future__ import annotations

from vagus_tui.events import Status
from vagus_tui.journal.state import State
from vagus_tui.migration.gates import GateId
from vagus_tui.runbook import aftermath
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.knowledge import Knowledge, Link
from vagus_tui.session.leftover import leftover

FORWARD = (Step.PREREQUISITES, Step.COMMUNICATIONS, Step.BACKUP, Step.MIGRATION)
AFTER = (Step.VERIFICATION, Step.ROLLOUT, Step.REPORT)
FINISHED = (Status.PASS, Status.WARN)
"""A warning asks for a look and not for more: it holds nobody back."""


def next_screen(session: Knowledge) -> Step | None:
    """The screen that the next act is on; None where none of the ten helps, such as without a connection."""
    state = session.state
    if session.link is Link.DOWN or state is None or state.state is State.UNKNOWN:
        return None
    if (left := leftover(state)) is not None:
        return left.screen
    if state.state in (State.BUILDING, State.READY):
        return Step.MIGRATION
    if state.state is State.ROLLED_BACK and not _seen_to(session):
        return Step.ROLLBACK
    order = AFTER if state.state in (State.MIGRATED, State.CLEANED) else FORWARD
    return next((step for step in order if not _finished(session, step)), order[-1])


def next_words(step: Step, state: State) -> str:
    """The next act in a word or two: the screen's name, but for what follows a rollback, which is not to roll back."""
    return "follow-up" if step is Step.ROLLBACK and state is State.ROLLED_BACK else step.label


def _finished(session: Knowledge, step: Step) -> bool:
    standing = session.standings.get(step)
    if standing is not None and standing.status in FINISHED:
        return True
    # Where messages are not insisted on, whoever has gone on to the backup has decided against them.
    return step is Step.COMMUNICATIONS and _optional(session) and _finished(session, Step.BACKUP)


def _optional(session: Knowledge) -> bool:
    gate = next((event for event in session.own_gates if event.id == GateId.COMMUNICATIONS), None)
    return gate is not None and not gate.status.blocks


def _seen_to(session: Knowledge) -> bool:
    """Whether somebody has signed off any of what follows a rollback: then its list is known, and found again."""
    ids = [item.id for group in aftermath.GROUPS for item in group.items]
    return any(sign.ticked for key in ids if (sign := session.now.sign_offs.get(key)) is not None)
