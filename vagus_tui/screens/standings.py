"""How the screens stand whose mark follows from the database alone, so that the rail is right before a visit."""

from __future__ import annotations

from vagus_tui.events import CheckEvent, Status, StepState
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.knowledge import Knowledge, Link
from vagus_tui.widgets.format import ago

BACKUP_GATE = "backup-verified"
BACKUP_JOBS = ("backup", "verify", "restore-test", "upload", "rehearse")


def stand_by_state(session: Knowledge) -> None:
    """Set the marks of Overview, Backup, Migration and Rollback."""
    job = session.job if session.job is not None and session.job.running else None
    running = job.name if job is not None else ""
    state = session.state
    session.set_standing(Step.OVERVIEW, *overview_standing(session))
    if running == "migration" and job is not None:
        hold = job.steps.get("hold")
        waits = hold is not None and hold.state in (StepState.STARTED, StepState.PROGRESS) and not job.control.decided
        session.set_standing(Step.MIGRATION, Status.RUNNING, "holding" if waits else "running")
    elif state is not None:
        session.set_standing(Step.MIGRATION, *_migration(state.state, interrupted=state.interrupted))
    if running in ("rollback", "restore"):
        session.set_standing(Step.ROLLBACK, Status.RUNNING, "running")
    elif state is not None and state.state is State.ROLLED_BACK:
        session.set_standing(Step.ROLLBACK, Status.WARN, "done")
    elif session.standings.get(Step.ROLLBACK) is not None and (state is None or state.state is not State.MIGRATED):
        session.set_standing(Step.ROLLBACK, Status.PENDING)
    if running in BACKUP_JOBS:
        session.set_standing(Step.BACKUP, Status.RUNNING, "running")
    else:
        gate = next((event for event in session.own_gates if event.id == BACKUP_GATE), None)
        if gate is not None:
            session.set_standing(Step.BACKUP, *_backup(session, gate))


def overview_standing(session: Knowledge) -> tuple[Status, str]:
    """How the database stands as a whole, and that in words."""
    state = session.state
    if session.link is Link.DOWN:
        return Status.FAIL, "no connection"
    if state is None:
        return Status.RUNNING, "connecting" if session.link is Link.CONNECTING else "starting"
    if state.state is State.UNKNOWN:
        return Status.FAIL, "empty database" if state.empty else "not a v1 database"
    if state.interrupted:
        return Status.WARN, "interrupted"
    return Status.PASS, state.state.value


def _migration(state: State, *, interrupted: bool) -> tuple[Status, str]:
    if state in (State.MIGRATED, State.CLEANED):
        return Status.PASS, "done"
    if state in (State.BUILDING, State.READY):
        return (Status.WARN, "interrupted") if interrupted else (Status.RUNNING, "elsewhere")
    return Status.PENDING, ""


def _backup(session: Knowledge, gate: CheckEvent) -> tuple[Status, str]:
    newest = session.now.backups[0] if session.now.backups else None
    if newest is None or gate.status.blocks:
        # What is not there yet is no failure until it is needed; the gate says so there.
        return Status.PENDING, ""
    if gate.status is Status.WARN and newest.verified_at is None:
        return Status.PENDING, ""
    return gate.status, ago(newest.at)
