"""Rounds of catching up: what little was touched is looked up, whatever the server believes about its tables."""

from __future__ import annotations

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_migrate, state_of
from tests.oracle import v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, StepEvent
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import catch_up
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.mapping import WorkoutMapping

SCANS = """
select n.nspname || '.' || c.relname, x.seq_scan from pg_stat_xact_all_tables x
join pg_class c on c.oid = x.relid join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'workout_v2')
"""

MISLED = "alter table {0} alter column session_id set (n_distinct = -0.004); analyze {0}"
"""As a sample of a large table misleads the server: it takes a session for many times as long as it is."""

FEW = """
update exercise_logs set reps = reps + 1 where id = (select id from exercise_logs limit 1);
update exercises set name = name || '!' where id = (select id from exercises limit 1);
delete from workout_sessions where id = (select id from workout_sessions order by id limit 1)
"""


async def test_a_small_round_reads_no_table_from_end_to_end(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=100, clean=True))
    conn = await connect(database.url)
    await conn.execute("analyze")
    read: dict[str, set[str]] = {}

    async def look(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "hold" and not read:
            read["few"] = await _read_whole(database, conn, FEW)
            # Where a large part is touched, or an index is not there to be counted on, it is the server's choice.
            read["many"] = await _read_whole(database, conn, "update workout_plans set description = 'any'")
            read["no index"] = await _read_whole(database, conn, f"{FEW}; drop index idx_exercise_logs_session_id")
            control.go()

    ran = await do_migrate(database, hold=True, on_event=look)
    assert ran.result.ok, ran.result
    assert read["few"] == set()
    assert {"public.exercise_logs", "workout_v2.workout_days"} <= read["many"]
    assert "public.exercise_logs" in read["no index"]
    assert await v2_differences(conn) == []


async def _read_whole(database: TestDatabase, conn: Connection, meanwhile: str) -> set[str]:
    """The tables that a round reads from end to end, whose changes and notes are taken back."""
    shape = (await state_of(database)).shape
    assert shape is not None
    mapping = WorkoutMapping(shape)
    transaction = conn.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await conn.execute("set local timezone = 'UTC'")
        for logs in ("public.exercise_logs", f"{STAGING}.exercise_logs"):
            await conn.execute(MISLED.format(logs))
        await conn.execute(meanwhile)
        for statement in catch_up.collect(mapping, STAGING):
            await conn.execute(statement)
        assert await conn.fetchval("select count(*) from pg_temp.vagus_touched")
        before = {row[0]: row[1] for row in await conn.fetch(SCANS)}
        for statement in catch_up.apply(mapping, STAGING, ()):
            await conn.execute(statement)
        for query in catch_up.delta_differences(mapping, STAGING).values():
            assert await conn.fetch(query) == []
        return {name for name, scans in await conn.fetch(SCANS) if scans > before.get(name, 0)}
    finally:
        await transaction.rollback()
