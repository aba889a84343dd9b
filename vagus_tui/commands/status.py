"""The command that says where the database stands: status."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import DONE, finish
from vagus_tui.commands.session import opened, patiently
from vagus_tui.events import Event, NoteEvent, ResultEvent, StatusEvent
from vagus_tui.format import ago

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context

ELSEWHERE = (
    "Is this the database that VAGUS_DATABASE_URL was meant to name? "
    "v1 comes back from a backup with vagus-tui rollback --from BACKUP."
)
KEEP = "vagus-tui backup keeps what is there, whatever it is."


class StatusCommand(Command):
    """Shows where the database stands between v1 and v2, what v1 looks like, row counts and the last run."""

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda _: _status(), as_json=self.as_json)


async def _status() -> AsyncGenerator[Event, None]:
    from vagus_tui.migration.gates import signing_note

    async with opened("status") as context:
        event = await _status_event(context)
        yield event
        if signing := await signing_note(context):
            yield NoteEvent(message=signing)
        async for note in _let_pass(context):
            yield note
        yield ResultEvent(
            ok=True,
            message=event.message or "",
            state=event.state,
            next_step=await _next_step(context),
            exit_status=DONE,
        )


async def _let_pass(context: Context) -> AsyncGenerator[Event, None]:
    """The overrides in force, the oldest first: each stays so until somebody takes it back in the wizard."""
    from vagus_tui.checks.overrides import words
    from vagus_tui.journal import decisions

    found = await decisions.overrides(context.connection)
    for one in sorted(found.values(), key=lambda one: one.at):
        detail = {"check": one.check_id, "reason": one.reason, "operator": one.operator, "at": one.at}
        yield NoteEvent(
            message=f"Let pass by name, {ago(one.at)}: {one.check_id}, because: "
            f"{words(one, context.settings.timezone)}.",
            level="warning",
            detail=detail,
        )


async def _next_step(context: Context) -> str | None:
    """What a script can do where something is out of order; None where all is as it should be."""
    from vagus_tui.journal.lock import at_work, lock_holder
    from vagus_tui.journal.state import State

    state = context.state
    kind = state.run.kind if state.run is not None else ""
    if state.state is State.UNKNOWN:
        return ELSEWHERE if state.empty else f"{KEEP} {ELSEWHERE}"
    if (holder := await lock_holder(context.connection)) is not None:
        return f"At work now: {await at_work(context.connection, holder)}."
    if not state.interrupted:
        return None
    if state.owes_settling:
        return "vagus-tui migrate --yes does the last steps."
    if kind in ("rollback", "restore", "clean-up"):
        return "vagus-tui rollback --finish finishes it, or clears away what it had made aside."
    return "vagus-tui migrate --yes goes on from there, and cuts over; vagus-tui abandon --yes drops it, v1 untouched."


async def _status_event(context: Context) -> StatusEvent:
    """The database's state with counts of the rows that matter, v1's shape and the last run."""
    from vagus_tui.commands.maintain import maintenance_event
    from vagus_tui.migration.maintenance import read_maintenance
    from vagus_tui.migration.switches import maintenance_words

    state = context.state
    run = state.run
    now = await read_maintenance(context.connection)
    left_on = maintenance_words(now, state, context.settings.timezone)
    return StatusEvent(
        state=state.state.value,
        server=await context.connection.fetchval("select current_setting('server_version')"),
        database=context.database.label,
        environment=context.settings.environment.value,
        counts=await patiently(context.database, context.connection, context.settings, _counts(context)),
        message=" ".join(filter(None, (state.summary, *state.reasons, await _noting(context), left_on))),
        possible=(*state.possible, *(("maintenance off",) if now.on else ())),
        run=None
        if run is None
        else {
            "id": run.id,
            "kind": run.kind,
            "status": run.status,
            "phase": run.phase,
            "operator": run.operator,
            "taken_up_by": run.taken_up_by or None,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "interrupted": state.interrupted,
        },
        shape=_shape(context),
        maintenance=maintenance_event(now).to_json(),
    )


async def _noting(context: Context) -> str:
    """What is wrong with the noting of what users write to v2, which a rollback rests on; "" where nothing is."""
    from vagus_tui.journal.state import State
    from vagus_tui.migration.noting import read_noting

    state = context.state
    if state.state is not State.MIGRATED or state.shape is None or "rollback" not in state.possible:
        return ""
    return (await read_noting(context.connection, state.shape.schema)).words


def _shape(context: Context) -> dict[str, Any] | None:
    """v1 as found: its names, the optional columns that are missing, the ones carried over."""
    from vagus_tui.schema.v1 import OPTIONAL

    shape = context.state.shape
    if shape is None:
        return None
    tables: dict[str, Any] = {}
    notes = ["v1's tables carry their own names." if not shape.renamed else "v1's tables are named *_v1."]
    for base, table in shape.tables.items():
        absent = [name for name in OPTIONAL[base] if not table.has(name)]
        carried = [column.name for column in table.carried]
        tables[base] = {"name": table.name, "id_type": table.id_type, "absent": absent, "carried": carried}
        if carried:
            notes.append(f"{table.name}: carried over as they are: {', '.join(carried)}.")
    return {
        "renamed": shape.renamed,
        "tables": tables,
        "coach_clients": shape.coach_clients is not None,
        "notification_preferences": shape.preferences is not None,
        "notes": notes,
    }


async def _counts(context: Context) -> dict[str, int]:
    """Rows per table, v1's and v2's, counted exactly, in one statement and so from one snapshot."""
    from vagus_tui.database.identifiers import qualified
    from vagus_tui.journal.state import State
    from vagus_tui.schema import v1

    state = context.state
    names = [table.name for table in state.shape.tables.values()] if state.shape else []
    if state.state in (State.MIGRATED, State.CLEANED):
        names = [v1.PLANS, *v1.HIERARCHY, v1.EXERCISES, v1.SESSIONS, v1.LOGS, *names]
    # Of a v2 that was not made here, or was damaged since, there may be less.
    there = (
        "select name from unnest($1::text[]) name where to_regclass(pg_catalog.format('public.%I', name)) is not null"
    )
    found = {row["name"] for row in await context.connection.fetch(there, names)}
    if not (names := [name for name in names if name in found]):
        return {}
    columns = ", ".join(f"(select count(*) from {qualified('public', name)})" for name in names)
    row = await context.connection.fetchrow(f"select {columns}")
    return dict(zip(names, row or (), strict=True))
