"""What is done of the timeline, and since when: by evidence where there is some, else by whoever signed it off."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from vagus_tui.events import Phase, Status
from vagus_tui.journal.progress import StepTimes
from vagus_tui.journal.state import State
from vagus_tui.runbook.acceptance import TEST_SCRIPT
from vagus_tui.runbook.check_ids import VERIFICATION
from vagus_tui.runbook.communications import DAY_BEFORE, WEEK_BEFORE
from vagus_tui.runbook.model import Group, Job
from vagus_tui.session.knowledge import Knowledge

Done = dict[str, datetime | None]


def _signed(session: Knowledge, group: Group) -> tuple[bool, datetime | None]:
    signs = [session.now.sign_offs.get(item.id) for item in group.items]
    if not signs or not all(sign is not None and sign.ticked for sign in signs):
        return False, None
    return True, max(sign.at for sign in signs if sign is not None)


def phase_times(steps: Iterable[StepTimes], phase: Phase) -> tuple[datetime, datetime | None] | None:
    """When a phase of the run began and ended; no end while it goes on, None when it has not begun."""
    found = [step for step in steps if step.event.phase is phase]
    if not found:
        return None
    ends = [step.ended_at for step in found]
    last = None if None in ends else max(end for end in ends if end is not None)
    return min(step.started_at for step in found), last


def _measured(session: Knowledge, check: str) -> tuple[Status | None, datetime | None]:
    """The latest outcome of a check and when, by whoever measured it."""
    other = session.now.measured.get(check)
    own = session.results.get(check)
    return own.status if own is not None else other.status if other is not None else None, other.at if other else None


def done_entries(session: Knowledge) -> Done:
    """The rows of the timeline that are done, with the time at which they were, where that is known."""
    done: Done = {item: sign.at for item, sign in session.now.sign_offs.items() if sign.ticked}
    for entry, group in (
        ("timeline.announce", WEEK_BEFORE),
        ("timeline.reminder", DAY_BEFORE),
        ("timeline.acceptance-test", TEST_SCRIPT),
    ):
        complete, at = _signed(session, group)
        if complete:
            done.setdefault(entry, at)
    if (rehearsed := session.now.evidence.get(Job.REHEARSE)) is not None:
        done.setdefault("timeline.rehearsal", rehearsed)
    for backup in session.now.backups:
        if not backup.restored:
            continue
        planned = session.now.planned_at
        if planned is not None and backup.at >= planned - session.settings.book.thresholds.final_backup_max_age:
            done.setdefault("timeline.final-backup", backup.at)
    state = session.state
    if state is None:
        return done
    proved = phase_times(session.now.steps, Phase.PROVE)
    moved = state.state in (State.MIGRATED, State.CLEANED)
    if moved or state.state is State.READY:
        done.setdefault("timeline.build", proved[1] if proved is not None else None)
    if moved:
        swapped = phase_times(session.now.steps, Phase.CUT_OVER)
        finished = state.moved_at
        done.setdefault("timeline.cut-over", swapped[1] if swapped is not None else finished)
        if finished is not None:
            done.setdefault("timeline.reopen", finished)
        statuses = [_measured(session, check) for check in VERIFICATION]
        if all(status is not None and not status.blocks for status, _ in statuses):
            done.setdefault("timeline.verify", max((at for _, at in statuses if at is not None), default=None))
    if state.state is State.CLEANED:
        done.setdefault("timeline.clean-up", state.run.finished_at if state.run is not None else None)
    return done
