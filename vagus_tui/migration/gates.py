"""The gates before a migration: every check that must hold, by name, each overridable only by name and with a reason.

A gate is a check (`CheckEvent`): all prerequisites and data-quality checks, three of its own, and those about
everything that points at v1. In development a missing backup or sign-off only warns, so that a trial run needs no
paperwork; staging and production insist.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from enum import StrEnum

from vagus_tui.backup.gate import backup_outcome
from vagus_tui.checks import overrides
from vagus_tui.checks.base import Check, Context, Group, Outcome, run_checks
from vagus_tui.checks.overrides import overridden, record_overrides
from vagus_tui.checks.registry import checks_for
from vagus_tui.database.connection import Connection
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal import decisions
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.migration.dependent_gates import DEPENDENT_GATES
from vagus_tui.migration.outside_gates import OUTSIDE_GATES
from vagus_tui.migration.phases.settle import owes_settling
from vagus_tui.runbook.communications import GROUPS as COMMUNICATIONS
from vagus_tui.runbook.model import T_ZERO, Item
from vagus_tui.settings import Environment

MOVABLE = frozenset({State.V1, State.V1_RENAMED, State.ROLLED_BACK, State.BUILDING, State.READY})
"""The states from which a migration can be started or taken up again."""

GATES = "gates"
"""The group that the gates of their own carry in their events."""


class GateId(StrEnum):
    """The gates that are no check of another group."""

    STATE = "state-allows"
    BACKUP = "backup-verified"
    COMMUNICATIONS = "communications-signed"


def due_before_start() -> tuple[Item, ...]:
    """The messages to users that must be out before T-0 (guide, User Communication)."""
    return tuple(item for group in COMMUNICATIONS for item in group.items if item.due is not None and item.due < T_ZERO)


def movable(state: DatabaseState) -> bool:
    """Whether a migration can be started, taken up again or finished from here."""
    if state.run is not None and state.state is State.MIGRATED and owes_settling(state.run):
        return True
    return state.state in MOVABLE and state.shape is not None


async def _state_allows(context: Context) -> Outcome:
    state = context.state
    allowed = movable(state)
    return Outcome(
        Status.PASS if allowed else Status.FAIL, state.state.words, " ".join((state.summary, *state.reasons))
    )


def _insists(context: Context) -> bool:
    return context.settings.environment is not Environment.DEVELOPMENT


async def _backup_verified(context: Context) -> Outcome:
    outcome = await backup_outcome(context)
    if outcome.status is Status.FAIL and not _insists(context):
        return dataclasses.replace(
            outcome, status=Status.WARN, message=f"{outcome.message} Only a warning, because this is development."
        )
    return outcome


SIGNING = (
    "Sign them off once they are sent: in the wizard, key 3, space on each; or with vagus-tui sign, which lists them. "
    'Or let the gate pass by name, with a reason: --override communications-signed="why"'
)


async def _unsigned(connection: Connection) -> list[Item]:
    signed = await decisions.sign_offs(connection)
    return [item for item in due_before_start() if item.id not in signed or not signed[item.id].ticked]


async def signing_note(context: Context) -> str | None:
    """How many messages to users are not signed off before a migration, and what to do about it.

    None when all are, or where it holds nothing up: after the cut-over, and in development.
    """
    if not _insists(context) or not movable(context.state) or context.state.state is State.MIGRATED:
        return None
    if not (missing := await _unsigned(context.connection)):
        return None
    every = len(due_before_start())
    return f"Messages to users: {every - len(missing)} of {every} are signed off. {SIGNING}"


async def _communications_signed(context: Context) -> Outcome:
    items = due_before_start()
    missing = await _unsigned(context.connection)
    measured = f"{len(items) - len(missing)} of {len(items)}"
    if not missing:
        return Outcome(Status.PASS, measured, "Every message that was due has been signed off.")
    return Outcome(
        Status.FAIL if _insists(context) else Status.WARN,
        measured,
        "Not signed off yet:",
        detail=(*(f"{item.title} ({item.owner})" for item in missing), SIGNING),
        expected=f"{len(items)} of {len(items)}",
    )


OWN_GATES: tuple[Check, ...] = (
    Check(
        id=GateId.STATE,
        group=Group.PREREQUISITES,
        title="The database can be migrated",
        why="A migration starts from v1, under its own names or renamed to *_v1, or takes up an interrupted run.",
        expected="v1",
        probe=_state_allows,
        overridable=False,
    ),
    Check(
        id=GateId.BACKUP,
        group=Group.PREREQUISITES,
        title="A backup is verified",
        why="A backup is what has been read back. Without one, a mistake that nobody notices for a day has no remedy.",
        expected="verified",
        probe=_backup_verified,
        guide="Backup Verification",
    ),
    Check(
        id=GateId.COMMUNICATIONS,
        group=Group.PREREQUISITES,
        title="Users have been told",
        why="Writes wait for a moment and the app changes afterwards: whoever was told does not call support.",
        expected="all that is due before T-0",
        probe=_communications_signed,
        guide="User Communication",
    ),
    *DEPENDENT_GATES,
    *OUTSIDE_GATES,
)
"""The gates that are no check of another group, as checks."""


_OWN_IDS = frozenset(check.id for check in OWN_GATES)


def before_migration() -> tuple[Check, ...]:
    """The checks of other groups that are gates."""
    return (*checks_for(Group.PREREQUISITES), *checks_for(Group.DATA_QUALITY))


def gate_checks() -> tuple[Check, ...]:
    """Every gate before a migration, in the order in which they are shown."""
    return (*before_migration(), *OWN_GATES)


async def gates(context: Context) -> AsyncIterator[CheckEvent]:
    """Measure every gate: first all as pending, then each with its outcome and the override in force, if any.

    A run that was interrupted after its cut-over only owes its last steps: then the state alone is a gate.
    """
    allowed = await decisions.overrides(context.connection)
    finishing = context.state.state is State.MIGRATED
    async for event in run_checks(OWN_GATES[:1] if finishing else gate_checks(), context):
        event = overridden(event, allowed)
        if event.id in _OWN_IDS:
            event = dataclasses.replace(event, group=GATES)
        yield event


async def override_gates(connection: Connection, reasons: Mapping[str, str], *, operator: str) -> None:
    """Record overrides by name, all or none.

    Raises:
        ConfigurationError: a name is no gate, the gate cannot be overridden, or a reason is empty; nothing is recorded.
    """
    await record_overrides(connection, gate_checks(), reasons, operator=operator)


def refusal(outcomes: Iterable[CheckEvent]) -> str | None:
    """Why the migration may not start, in one sentence; None when nothing is in the way."""
    return overrides.refusal(outcomes, "a migration")
