"""Taking a run back before its cut-over: capture off, staging gone, v1 as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import OPEN, STAGING, DatabaseState, State, read_state
from vagus_tui.migration import capture, maintenance
from vagus_tui.migration.work import open_session, read_state_shortly, with_short_locks
from vagus_tui.rollback.finish import take_up
from vagus_tui.schema.helpers import dropped
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.settings import Settings

LEFT = "v1 is untouched and in use; some of our triggers are still on its tables."

TAKES_AWAY = {"default_transaction_read_only": "off"}
"""Settings for a session that only takes our own things away: where a full disk has closed the database to writes, what
was built aside is what fills it."""


async def take_back(connection: Connection, shape: V1Shape, settings: Settings, emit: Emit) -> None:
    """Remove everything a run made before its cut-over. Safe to repeat.

    Raises:
        RefusedError: somebody holds a lock on a v1 table and would not let go.
    """
    marked = await _marked(connection, shape)
    # A fence that the operator raised by hand is theirs to lower.
    fenced = (await maintenance.read_maintenance(connection)).fence
    for schema, name in marked:
        relation = qualified(schema, name)
        statements = capture.remove_triggers(relation)
        if not fenced:
            statements.append(maintenance.remove_fence(relation))
        doing = f"Taking change capture off {name}"
        await with_short_locks(connection, settings, [relation], statements, emit=emit, doing=doing, state=LEFT)
    if await connection.fetchval("select to_regclass($1) is not null", capture.CHANGE_LOG):
        await connection.execute(f"truncate {capture.CHANGE_LOG}")
    for schema in (COMPAT, KEPT, STAGING):
        await connection.execute(dropped(schema))
    await maintenance.lower_flag_of_run(connection)


async def _marked(connection: Connection, shape: V1Shape) -> list[tuple[str, str]]:
    """Schema and name of every table that has triggers of ours: v1's, and one that somebody has given another name.

    Where a run never came that far, whoever was in its way may be in the way still: such a table is not touched.
    """
    names = [table.name for table in shape.tables.values()]
    rows = await connection.fetch(
        "select distinct n.nspname::text, c.relname::text, array_position($4::text[], c.relname::text) as place\n"
        "from pg_trigger t join pg_proc f on f.oid = t.tgfoid join pg_class c on c.oid = t.tgrelid\n"
        "join pg_namespace n on n.oid = c.relnamespace\n"
        "where not t.tgisinternal and f.pronamespace = to_regnamespace('vagus_migration')\n"
        "  and (f.proname = any($1::text[]) or t.tgname = $2 and n.nspname = $3 and c.relname = any($4::text[]))\n"
        "order by place, 1, 2",
        list(capture.V1_FUNCTIONS),
        maintenance.FENCE_TRIGGER,
        shape.schema,
        names,
    )
    return [(row["nspname"], row["relname"]) for row in rows]


async def anything_left(connection: Connection, state: DatabaseState) -> bool:
    """Whether a run left anything that `abandon` would remove.

    Raises:
        RefusedError: this is no state in which there could be.
    """
    run, shape = state.run, state.shape
    if shape is None or state.state in (State.MIGRATED, State.CLEANED, State.UNKNOWN):
        raise RefusedError(
            f"There is no run to clean up: {state.summary}", next_step="A finished migration is rolled back."
        )
    if run is not None and (run.status in OPEN or run.catalog.get(maintenance.FLAG_RAISED)):
        return True
    schemas = "select exists (select from pg_namespace where nspname = any($1::text[]))"
    if await connection.fetchval(schemas, [COMPAT, KEPT, STAGING]):
        return True
    return await _captured(connection)


async def _captured(connection: Connection) -> bool:
    """Whether any table notes its changes for a run. A fence alone may have been raised by hand."""
    return bool(
        await connection.fetchval(
            "select exists (select from pg_trigger t join pg_proc f on f.oid = t.tgfoid "
            "where not t.tgisinternal and f.pronamespace = to_regnamespace('vagus_migration') "
            "and f.proname = any($1::text[]))",
            list(capture.V1_FUNCTIONS),
        )
    )


def nothing_left(state: DatabaseState) -> ResultEvent:
    """The answer to whoever wants to clean up where no run left anything."""
    words = f"There was nothing to clean up: {state.summary}"
    return ResultEvent(ok=True, message=words, state=state.state.value, exit_status=0)


def abandon(database: Database, settings: Settings) -> AsyncIterator[Event]:
    """Clean up an interrupted or held run: v1 stays exactly as it is, v2's staging is dropped."""

    async def job(emit: Emit) -> ResultEvent:
        async with open_session(database, "clean up", **TAKES_AWAY) as connection:
            await take_lock(connection)
            if said := await take_up(connection, emit, settings.operator):
                after = await read_state(connection)
                return ResultEvent(ok=True, message=f"{said} {after.summary}", state=after.state.value, exit_status=0)
            state = await read_state_shortly(
                connection, settings, emit=emit, state="v1 is in use; what a run left is still there."
            )
            if not await anything_left(connection, state):
                return nothing_left(state)
            assert state.shape is not None
            step = {"id": "clean-up", "phase": Phase.CLEAN_UP, "title": "take change capture off, drop the staging"}
            emit(StepEvent(state=StepState.STARTED, **step))  # type: ignore[arg-type]
            await take_back(connection, state.shape, settings, emit)
            if state.run is not None and state.run.status in OPEN:
                await store.update_run(
                    connection,
                    state.run.id,
                    status="abandoned",
                    finished=True,
                    phase="clean-up",
                    figures=store.ended_by(settings.operator),
                )
            emit(StepEvent(state=StepState.DONE, **step))  # type: ignore[arg-type]
            after = await read_state(connection)
            return ResultEvent(ok=True, message="Cleaned up: v1 is as it was.", state=after.state.value, exit_status=0)

    return streamed(job)
