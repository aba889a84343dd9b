"""Maintenance by hand: the flag and the write fence, on and off by themselves, whatever a run is doing or has left.

Switching off never waits for anybody: it writes one row. What else there is to tidy is tidied if it can be had.
"""

from __future__ import annotations

from datetime import datetime

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.format import plural
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.migration import maintenance
from vagus_tui.migration.announcement import maintenance_page
from vagus_tui.migration.maintenance import Maintenance
from vagus_tui.migration.work import with_short_locks
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings
from vagus_tui.zones import zone


def fenced_relations(state: DatabaseState) -> list[str]:
    """The tables that the app writes workouts to now: v2's after the cut-over, v1's before."""
    if state.state in (State.MIGRATED, State.CLEANED):
        return [qualified("public", table) for table in v2.TABLES]
    if state.shape is None:
        return []
    return [qualified(state.shape.schema, table.name) for table in state.shape.tables.values()]


async def switch_on(
    connection: Connection,
    settings: Settings,
    state: DatabaseState,
    emit: Emit,
    *,
    fence: bool,
    message: str = "",
) -> Maintenance:
    """Switch the flag on and, if wanted, raise the fence. Without a message, the page that the operator keeps shows.

    Raises:
        RefusedError: there is no workout table to fence, or somebody stayed in the way of putting the fence on one.
    """
    relations = fenced_relations(state)
    if fence and not relations:
        raise RefusedError(f"There is no workout table to fence: {state.summary}")
    shown = message or await maintenance_page(connection)
    await maintenance.switch_flag(connection, enabled=True, message=shown)
    if fence:
        await maintenance.ensure_fence(connection)
        for relation in relations:
            await _change(connection, settings, emit, relation, maintenance.fence_trigger(relation), "Fencing")
        await maintenance.switch_fence(connection, raised=True, operator=settings.operator)
    await _note(connection, settings, on=True, flag=True, fence=fence, message=shown)
    return await maintenance.read_maintenance(connection)


async def switch_off(
    connection: Connection, settings: Settings, state: DatabaseState, emit: Emit, *, fence_only: bool = False
) -> Maintenance:
    """Lower the fence and switch the flag off, or the fence alone. Never refused."""
    before = await maintenance.read_maintenance(connection)
    flag = before.flag and not fence_only
    if before.fence:
        await maintenance.switch_fence(connection, raised=False, operator=settings.operator)
    if flag:
        await maintenance.switch_flag(connection, enabled=False)
    if before.fence or flag:
        await _note(connection, settings, on=False, flag=flag, fence=before.fence, message="")
    if before.fence and state.state in (State.V1, State.V1_RENAMED, State.ROLLED_BACK):
        # Without a run nothing needs the triggers; lowered they let everything through, so they may as well stay.
        for relation in fenced_relations(state):
            try:
                await _change(connection, settings, emit, relation, maintenance.remove_fence(relation), "Unfencing")
            except RefusedError:
                break
    return await maintenance.read_maintenance(connection)


async def _change(
    connection: Connection, settings: Settings, emit: Emit, relation: str, statement: str, doing: str
) -> None:
    await with_short_locks(
        connection,
        settings,
        [relation],
        [statement],
        emit=emit,
        doing=f"{doing} {relation}",
        state="The fence is down: writes go through.",
    )


async def _note(connection: Connection, settings: Settings, *, on: bool, flag: bool, fence: bool, message: str) -> None:
    """Keep which of the two was switched; what was off already is not said to have been switched off."""
    body = {"on": on, "flag": flag, "fence": fence, "message": message}
    await store.note(connection, "maintenance", body, operator=settings.operator)


def _since(at: datetime | None, timezone: str) -> str:
    return f" since {at.astimezone(zone(timezone)):%Y-%m-%d %H:%M %Z}" if at else ""


def maintenance_words(now: Maintenance, state: DatabaseState, timezone: str) -> str:
    """How maintenance stands in one line, and what left it on where nobody did it on purpose; empty when all is off.

    Args:
        timezone: the zone in which its times are given.
    """
    parts = []
    if now.flag:
        parts.append(f"The maintenance flag is on{_since(now.since, timezone)}")
        run = state.run
        if state.interrupted or (state.state is State.MIGRATED and run is not None and run.status == "running"):
            mine = run is not None and run.catalog.get(maintenance.FLAG_RAISED)
            parts[-1] += ", left on by the interrupted cut-over" if mine else ""
    if now.fence:
        who = f" by {now.fence_operator}" if now.fence_operator else ""
        on = f"on {plural(now.fenced, 'table')}" if now.fenced else "but on no table"
        parts.append(f"The write fence is up {on}{_since(now.fence_since, timezone)}{who}")
    return ". ".join(parts) + "." if parts else ""
