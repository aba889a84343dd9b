"""Sets, volume and day of a session are right wherever in the file its logs lie, and however little memory there is."""

from __future__ import annotations

import pytest

from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import migrated
from tests.oracle import v2_differences
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import session_totals

SCATTERED = """
update exercise_logs set reps = reps + 1 where random() < 0.4;
update exercise_logs set weight = weight + 0.5 where random() < 0.3;
delete from exercise_logs where random() < 0.1;
-- Logs of exercises of another plan.
update exercise_logs l set exercise_id = (select id from exercises order by id limit 1),
  set_number = 100 + (('x' || left(md5(id::text), 6))::bit(24)::integer) where random() < 0.1;
"""


async def _scattered(make_database: MakeDatabase) -> TestDatabase:
    database = await make_database(SandboxOptions(plans=25, clean=True))
    async with database.connect() as conn:
        await conn.execute("select setseed(0.5)")
        await conn.execute(SCATTERED)
        assert await conn.fetchval("select pg_relation_size('exercise_logs') / 8192") > 20
        spread = await conn.fetchval(
            "select count(*) from (select from exercise_logs group by session_id "
            "having count(distinct (ctid::text::point)[0]) > 1) x"
        )
        assert spread > 50, "sessions whose logs lie in several blocks"
    return database


async def test_whatever_strips_the_logs_are_cut_into(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_totals, "BLOCKS", 1)
    database = await _scattered(make_database)
    await migrated(database)
    async with database.connect() as conn:
        assert await v2_differences(conn) == []


async def test_where_the_exercises_do_not_fit_into_memory(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logs are one strip then, up to whatever the table holds."""
    monkeypatch.setattr(session_totals, "BLOCKS", 1)
    monkeypatch.setattr(session_totals, "SIZE_IN_MEMORY", 1_000_000)
    database = await _scattered(make_database)
    await migrated(database)
    async with database.connect() as conn:
        assert await v2_differences(conn) == []
