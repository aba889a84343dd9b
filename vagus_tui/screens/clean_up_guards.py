"""How the conditions of the clean-up stand on Rollout's list: what is measured, and what somebody has let pass.

The gates themselves are measured by the clean-up (`cleanup.gates`), with the same overrides: the list must not say that
something holds it up that no longer does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from textual.content import Content

from vagus_tui.checks.base import Group as CheckGroup
from vagus_tui.checks.registry import checks_for
from vagus_tui.cleanup.gates import GateId
from vagus_tui.events import Status
from vagus_tui.format import moment, plural
from vagus_tui.journal.decisions import Override
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Fulfilment, Item
from vagus_tui.runbook.rollout import CLEAN_UP
from vagus_tui.session.session import Session
from vagus_tui.session.standings import display_status, worst
from vagus_tui.widgets.checklist import Entry
from vagus_tui.widgets.marks import STYLES
from vagus_tui.widgets.text import safe, short

FRESH = timedelta(days=1)
WAITED = f"{CLEAN_UP.id}.waited"
IN_SERVICE = f"{CLEAN_UP.id}.in-service"
PROVED = f"{CLEAN_UP.id}.proved"
DUMP = f"{CLEAN_UP.id}.final-dump"


def guards(session: Session) -> dict[str, Entry]:
    """What can be measured of the clean-up's conditions, by item."""
    state = session.state
    if state is not None and state.state is State.CLEANED:
        # What it waited for is behind it, whatever could be measured of that now.
        over = (item for item in CLEAN_UP.items if item.fulfilment is Fulfilment.JOB)
        return {item.id: Entry(Status.PASS, "cleaned up") for item in over}
    return {
        WAITED: _waited(session),
        IN_SERVICE: Entry(Status.PASS, "in service")
        if _moved(session)
        else Entry(Status.PENDING, "v2 is not in place"),
        PROVED: _proved(session),
        DUMP: _dumped(session),
    }


def guard_lines(session: Session, item: Item, entry: Entry) -> list[Content]:
    """More about a condition: how it stands, and where it was let pass by whom, when and why, and what that allows."""
    lines = []
    allowed = _let_pass(session, item)
    left = _days_left(session)
    if item.id == WAITED and allowed and left:
        lines.append(safe(f"Now: {left}, and let pass all the same."))
    else:
        lines.append(safe(f"Now: {entry.words}"))
    for override in allowed:
        at = moment(override.at, session.settings.timezone)
        words = f"Overridden by {override.operator}, {at}: {override.reason.rstrip('.')}. Gate: {override.check_id}."
        lines.append(safe(words, STYLES[Status.WARN], limit=1200))
    if allowed:
        lines.append(Content("It holds nothing up any more: c measures the other gates; o takes it back there."))
    return lines


def since_cut_over(session: Session) -> timedelta | None:
    """How long ago the migration was done, if v2 is in place."""
    state = session.state
    if state is None or not _moved(session) or state.moved_at is None:
        return None
    return datetime.now(UTC) - state.moved_at


def _moved(session: Session) -> bool:
    return session.state is not None and session.state.state in (State.MIGRATED, State.CLEANED)


def _let_pass(session: Session, item: Item) -> list[Override]:
    """The overrides by which a condition is met that is not met by itself."""
    overrides = session.now.overrides
    if item.id == WAITED:
        return [overrides[GateId.WAITED]] if GateId.WAITED in overrides and _days_left(session) else []
    if item.id == PROVED:
        checks = session.outcomes(checks_for(CheckGroup.VERIFICATION))
        return [overrides[event.id] for event in checks if event.overridden and event.id in overrides]
    return []


def _days_left(session: Session) -> str:
    """`14 days to go`; "" when the waiting period is over, or nobody knows when it began."""
    since = since_cut_over(session)
    period = session.settings.book.thresholds.clean_up_earliest
    if since is None or since >= period:
        return ""
    return f"{plural((period - since).days + 1, 'day')} to go"


def _waited(session: Session) -> Entry:
    left = _days_left(session)
    override = session.now.overrides.get(GateId.WAITED)
    if override is not None and left:
        return Entry(Status.WARN, f"overridden, {short(override.operator, 12)}")
    if since_cut_over(session) is None:
        return Entry(Status.PENDING, "–")
    return Entry(Status.PENDING, left) if left else Entry(Status.PASS, "waited")


def _proved(session: Session) -> Entry:
    checks = session.outcomes(checks_for(CheckGroup.VERIFICATION))
    if not checks:
        return Entry(Status.PENDING, "run Verification")
    if any(event.overridden for event in checks) and not session.blocking(checks_for(CheckGroup.VERIFICATION)):
        return Entry(Status.WARN, "overridden")
    proved = worst([display_status(event) for event in checks])
    missing = len(checks_for(CheckGroup.VERIFICATION)) - len(checks)
    if missing and not proved.blocks:
        return Entry(Status.PENDING, f"{missing} not measured")
    return Entry(Status.PASS if proved is Status.WARN else proved, "this session")


def _dumped(session: Session) -> Entry:
    restored = next((one for one in session.now.backups if one.restored), None)
    # One that was made before the cut-over may lack what was written until then.
    age = None if restored is None else datetime.now(UTC) - restored.at
    since = since_cut_over(session)
    fresh = age is not None and since is not None and age <= min(FRESH, since)
    return Entry(Status.PASS, "restored") if fresh else Entry(Status.PENDING, "none within a day")
