"""What a group of checks comes to, and how one is shown that was let pass."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.wizard.walk import settings_for
from vagus_tui.control import Control
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal.decisions import SignOff
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.runbook import communications
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.job import Job
from vagus_tui.session.knowledge import Knowledge, Link, Snapshot
from vagus_tui.session.standings import display_status, stand_by_state, worst


@pytest.mark.parametrize(
    ("status", "overridden", "shown"),
    [
        (Status.FAIL, None, Status.FAIL),
        # It is still there, but holds nothing up.
        (Status.FAIL, "a drill", Status.WARN),
        (Status.ERROR, "a drill", Status.WARN),
        (Status.PASS, "a drill", Status.PASS),
        (Status.RUNNING, "a drill", Status.RUNNING),
    ],
)
def test_what_was_let_pass_warns(status: Status, overridden: str | None, shown: Status) -> None:
    event = CheckEvent(id="tls", group="prerequisites", title="TLS", status=status, overridden=overridden)
    assert display_status(event) is shown


@pytest.mark.parametrize(
    ("statuses", "sum_up"),
    [
        ([], Status.PENDING),
        ([Status.PASS, Status.SKIP], Status.PASS),
        ([Status.PASS, Status.WARN, Status.PASS], Status.WARN),
        ([Status.WARN, Status.FAIL], Status.FAIL),
        ([Status.FAIL, Status.ERROR], Status.ERROR),
        # One that never ran is no pass, and hides no failure.
        ([Status.PASS, Status.PENDING], Status.PENDING),
        ([Status.FAIL, Status.PENDING], Status.FAIL),
        ([Status.FAIL, Status.RUNNING], Status.RUNNING),
    ],
)
def test_the_worst_counts(statuses: list[Status], sum_up: Status) -> None:
    assert worst(statuses) is sum_up


async def test_what_somebody_else_does_is_not_done_yet() -> None:
    """A migration past its cut-over has last steps to do; and what was watched may have ended while nothing is read."""
    session = Knowledge(settings_for(""), lambda *_: None)
    session.link, session.now = Link.UP, Snapshot(state=DatabaseState(State.MIGRATED))

    def stands(watched: str) -> list[tuple[Status, str]]:
        session.watched = Job(watched, "Marie on laptop", "", Control()) if watched else None
        stand_by_state(session)
        found = (session.standings.get(step) for step in (Step.MIGRATION, Step.ROLLBACK))
        return [(one.status, one.word) for one in found if one is not None]

    done, pending, theirs = (Status.PASS, "done"), (Status.PENDING, ""), (Status.RUNNING, "elsewhere")
    assert stands("migrate") == [theirs]
    assert stands("rollback") == [done, theirs]
    assert stands("") == [done, pending]
    session.link = Link.DOWN
    assert stands("migrate") == [done, pending]


async def test_messages_that_are_out_stand_on_the_rail_before_anybody_looks() -> None:
    session = Knowledge(settings_for(""), lambda *_: None)
    names = [item.id for group in communications.GROUPS for item in group.items]
    before = [item.id for group in (communications.WEEK_BEFORE, communications.DAY_BEFORE) for item in group.items]

    def stands(state: State, *sent: str) -> tuple[Status, str]:
        ticks = {name: SignOff(name, name in sent, "Ada", "", datetime.now(UTC)) for name in names}
        session.link, session.now = Link.UP, Snapshot(state=DatabaseState(state), sign_offs=ticks)
        stand_by_state(session)
        found = session.standings[Step.COMMUNICATIONS]
        return found.status, found.word

    assert stands(State.V1) == (Status.PENDING, "")
    assert stands(State.V1, before[0]) == (Status.PENDING, f"1 of {len(names)}")
    assert stands(State.V1, *before) == (Status.PASS, f"{len(before)} of {len(names)}")
    # After the cut-over the others are due.
    assert stands(State.MIGRATED, *before) == (Status.PENDING, f"{len(before)} of {len(names)}")
    assert stands(State.MIGRATED, *names) == (Status.PASS, "all sent")
