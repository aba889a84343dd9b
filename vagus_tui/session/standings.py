"""How the screens stand whose mark follows from the database alone, so that the rail is right before a visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vagus_tui.checks.base import Check, Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.events import CheckEvent, Status, StepState
from vagus_tui.format import ago, plural
from vagus_tui.journal.state import State
from vagus_tui.runbook import communications
from vagus_tui.runbook.model import Group as Items
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.job import BACKUP_JOBS
from vagus_tui.session.knowledge import Knowledge, Link
from vagus_tui.session.leftover import FINISHING, leftover

if TYPE_CHECKING:
    from vagus_tui.session.checking import Checking

BACKUP_GATE = "backup-verified"


WORDS = {Status.PASS: "pass", Status.WARN: "warn", Status.FAIL: "fail"}
PREREQUISITES, VERIFICATION = "prerequisites", "verification"
"""The names under which the two screens of checks run theirs."""


_WORST = (Status.PENDING, Status.SKIP, Status.PASS, Status.WARN, Status.FAIL, Status.ERROR, Status.RUNNING)


def worst(statuses: list[Status]) -> Status:
    """What a group of checks comes to: running while one runs, else the worst; pending when one never ran."""
    if not statuses:
        return Status.PENDING
    if Status.RUNNING in statuses:
        return Status.RUNNING
    if Status.PENDING in statuses and not any(status.blocks for status in statuses):
        return Status.PENDING
    return max(statuses, key=_WORST.index)


def display_status(event: CheckEvent) -> Status:
    """An overridden failure shows as a warning: it is still there, but it holds nothing up."""
    return Status.WARN if event.overridden and event.status.blocks else event.status


def checks_standing(session: Checking, checks: Sequence[Check]) -> tuple[Status, str]:
    """What a screen's checks come to: pending until all have an outcome, unless one fails already."""
    statuses = [display_status(event) for event in session.outcomes(checks)]
    fails = len(session.blocking(checks))
    status = worst(statuses) if fails or len(statuses) == len(checks) else Status.PENDING
    if fails and status is not Status.RUNNING:
        return status, plural(fails, "fails", "fail")
    return status, WORDS.get(status, "")


def stand_by_checks(session: Checking) -> None:
    """Set the marks of Prerequisites and Verification by what was found, whichever screen is open: a watch goes on."""
    before = (*checks_for(Group.PREREQUISITES), *checks_for(Group.DATA_QUALITY))
    if session.outcomes(before) and not session.checking(PREREQUISITES):
        session.set_standing(Step.PREREQUISITES, *checks_standing(session, before))
    after = (*checks_for(Group.VERIFICATION), *checks_for(Group.ACCESS), *checks_for(Group.PERFORMANCE))
    if session.state is None or session.state.state not in (State.MIGRATED, State.CLEANED):
        return
    stands = session.standings.get(Step.VERIFICATION)
    failed = stands is not None and stands.status.blocks
    # Where none fails, the lists that people tick have their say, on the screen itself.
    if (session.blocking(after) or failed) and not session.checking(VERIFICATION):
        session.set_standing(Step.VERIFICATION, *checks_standing(session, after))


def stand_by_state(session: Knowledge) -> None:
    """Set the marks of all screens but Prerequisites, Troubleshooting and Report; Verification's and Rollout's only
    without a v2."""
    job = session.job if session.job is not None and session.job.running else None
    running = job.name if job is not None else ""
    # While there is no connection, what was watched may have ended.
    elsewhere = session.watched.name if session.watched is not None and session.link is not Link.DOWN else ""
    state = session.state
    session.set_standing(Step.OVERVIEW, *overview_standing(session))
    session.set_standing(Step.COMMUNICATIONS, *_communications(session))
    if running == "migration" and job is not None:
        hold = job.steps.get("hold")
        waits = hold is not None and hold.state in (StepState.STARTED, StepState.PROGRESS) and not job.control.decided
        session.set_standing(Step.MIGRATION, Status.RUNNING, "holding" if waits else "running")
    elif running == "abandon":
        session.set_standing(Step.MIGRATION, Status.RUNNING, "cleaning up")
    elif state is not None and session.link is Link.DOWN and state.state in (State.BUILDING, State.READY):
        # Who is at work, if anybody still is, was known when the state was last read.
        session.set_standing(Step.MIGRATION, Status.WARN, "not known")
    elif elsewhere == "migrate":
        # Also of one that is past its cut-over and has its last steps to do.
        session.set_standing(Step.MIGRATION, Status.RUNNING, "elsewhere")
    elif state is not None:
        session.set_standing(
            Step.MIGRATION, *_migration(state.state, interrupted=state.interrupted, owed=state.owes_settling)
        )
    left = leftover(state)
    if running in ("rollback", "restore", FINISHING):
        session.set_standing(Step.ROLLBACK, Status.RUNNING, "running")
    elif elsewhere in ("rollback", "restore"):
        session.set_standing(Step.ROLLBACK, Status.RUNNING, "elsewhere")
    elif left is not None and left.screen is Step.ROLLBACK:
        session.set_standing(Step.ROLLBACK, Status.WARN, "interrupted")
    elif state is not None and state.state is State.ROLLED_BACK:
        session.set_standing(Step.ROLLBACK, Status.WARN, "done")
    elif (stands := session.standings.get(Step.ROLLBACK)) is not None and (
        state is None or state.state is not State.MIGRATED or stands.status is Status.RUNNING
    ):
        session.set_standing(Step.ROLLBACK, Status.PENDING)
    if left is not None and left.screen is Step.ROLLOUT:
        session.set_standing(Step.ROLLOUT, Status.WARN, "interrupted")
    elif state is not None and state.state not in (State.MIGRATED, State.CLEANED):
        # What was verified and rolled out is v2, which is not there, or not any more.
        for step in (Step.VERIFICATION, Step.ROLLOUT):
            if step in session.standings:
                session.set_standing(step, Status.PENDING)
    if running in BACKUP_JOBS:
        session.set_standing(Step.BACKUP, Status.RUNNING, "running")
    else:
        gate = next((event for event in session.own_gates if event.id == BACKUP_GATE), None)
        if gate is not None:
            session.set_standing(Step.BACKUP, *_backup(session, gate))
        elif state is not None and state.state in (State.MIGRATED, State.CLEANED) and session.now.backups:
            # Nothing waits for a backup any more: how the newest one was proved.
            newest = session.now.backups[0]
            proved = Status.PASS if newest.restored else Status.WARN if newest.verified else Status.PENDING
            session.set_standing(Step.BACKUP, proved, ago(newest.at))
        elif (stands := session.standings.get(Step.BACKUP)) is not None and stands.status is Status.RUNNING:
            # One that ended while nothing could be measured runs no more, all the same.
            session.set_standing(Step.BACKUP, Status.PENDING)


def overview_standing(session: Knowledge) -> tuple[Status, str]:
    """How the database stands as a whole, and that in words."""
    state = session.state
    if session.link is Link.DOWN:
        return Status.FAIL, session.down_words
    if state is None:
        return Status.RUNNING, "connecting" if session.link is Link.CONNECTING else "starting"
    if state.state is State.UNKNOWN:
        if state.empty:
            return Status.FAIL, "no workout tables"
        return Status.FAIL, "not a v1 database" if state.run is None else "not whole"
    if state.interrupted:
        return Status.WARN, "interrupted"
    return Status.PASS, state.state.words


def _communications(session: Knowledge) -> tuple[Status, str]:
    """What was due before the cut-over counts first."""

    def sent(*groups: Items) -> list[bool]:
        ticks = (session.now.sign_offs.get(item.id) for group in groups for item in group.items)
        return [tick is not None and tick.ticked for tick in ticks]

    everything = sent(*communications.GROUPS)
    if all(everything):
        return Status.PASS, "all sent"
    moved = session.state is not None and session.state.state in (State.MIGRATED, State.CLEANED)
    so_far = f"{sum(everything)} of {len(everything)}" if any(everything) else ""
    in_time = not moved and all(sent(communications.WEEK_BEFORE, communications.DAY_BEFORE))
    return Status.PASS if in_time else Status.PENDING, so_far


def _migration(state: State, *, interrupted: bool, owed: bool) -> tuple[Status, str]:
    if state in (State.MIGRATED, State.CLEANED):
        return (Status.WARN, "interrupted") if owed else (Status.PASS, "done")
    if state in (State.BUILDING, State.READY):
        return (Status.WARN, "interrupted") if interrupted else (Status.RUNNING, "elsewhere")
    return Status.PENDING, ""


def _backup(session: Knowledge, gate: CheckEvent) -> tuple[Status, str]:
    newest = session.now.backups[0] if session.now.backups else None
    if newest is None or gate.status.blocks:
        # What is not there yet is no failure until it is needed; the gate says so there.
        return Status.PENDING, ""
    if gate.status is Status.WARN and not newest.verified:
        return Status.PENDING, ""
    return gate.status, ago(newest.at)
