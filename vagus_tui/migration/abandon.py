"""Taking a run back before its cut-over: capture off, staging gone, v1 as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import STAGING, State, read_state
from vagus_tui.migration import capture, maintenance
from vagus_tui.migration.work import open_session, with_short_locks
from vagus_tui.rollback.finish import take_up
from vagus_tui.schema.helpers import dropped
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.settings import Settings

LEFT = "v1 is untouched and in use; some of our triggers are still on its tables."


async def take_back(connection: Connection, shape: V1Shape, settings: Settings, emit: Emit) -> None:
    """Remove everything a run made before its cut-over. Safe to repeat.

    Raises:
        RefusedError: somebody holds a lock on a v1 table and would not let go.
    """
    ours = await connection.fetch(
        "select distinct c.relname as name from pg_trigger t join pg_class c on c.oid = t.tgrelid "
        "join pg_namespace n on n.oid = c.relnamespace "
        "where not t.tgisinternal and t.tgname = any($1::text[]) and n.nspname = $2",
        [capture.CAPTURE_TRIGGER, f"{capture.CAPTURE_TRIGGER}_truncate", maintenance.FENCE_TRIGGER],
        shape.schema,
    )
    marked = {row["name"] for row in ours}
    # A fence that the operator raised by hand is theirs to lower.
    fenced = (await maintenance.read_maintenance(connection)).fence
    for table in shape.tables.values():
        if table.name not in marked:
            # Never came that far; whoever was in our way there may be in the way still.
            continue
        relation = qualified(shape.schema, table.name)
        statements = capture.remove_triggers(relation)
        if not fenced:
            statements.append(maintenance.remove_fence(relation))
        doing = f"Taking change capture off {table.name}"
        await with_short_locks(connection, settings, [relation], statements, emit=emit, doing=doing, state=LEFT)
    if await connection.fetchval("select to_regclass($1) is not null", capture.CHANGE_LOG):
        await connection.execute(f"truncate {capture.CHANGE_LOG}")
    for schema in (COMPAT, KEPT, STAGING):
        await connection.execute(dropped(schema))
    await maintenance.lower_flag_of_run(connection)


def abandon(database: Database, settings: Settings) -> AsyncIterator[Event]:
    """Clean up an interrupted or held run: v1 stays exactly as it is, v2's staging is dropped."""

    async def job(emit: Emit) -> ResultEvent:
        async with open_session(database, "clean up") as connection:
            await take_lock(connection)
            if said := await take_up(connection, emit):
                after = await read_state(connection)
                return ResultEvent(ok=True, message=f"{said} {after.summary}", state=after.state.value, exit_status=0)
            state = await read_state(connection)
            if state.shape is None or state.state in (State.MIGRATED, State.CLEANED, State.UNKNOWN):
                raise RefusedError(
                    f"There is no run to clean up: {state.summary}", next_step="A finished migration is rolled back."
                )
            step = {"id": "clean-up", "phase": Phase.CLEAN_UP, "title": "take change capture off, drop the staging"}
            emit(StepEvent(state=StepState.STARTED, **step))  # type: ignore[arg-type]
            await take_back(connection, state.shape, settings, emit)
            if state.run is not None and state.run.status in ("running", "ready", "interrupted"):
                await store.update_run(
                    connection, state.run.id, status="abandoned", finished_at=datetime.now(UTC), phase="clean-up"
                )
            emit(StepEvent(state=StepState.DONE, **step))  # type: ignore[arg-type]
            after = await read_state(connection)
            return ResultEvent(ok=True, message="Cleaned up: v1 is as it was.", state=after.state.value, exit_status=0)

    return streamed(job)
