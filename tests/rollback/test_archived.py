"""The archive of v2 that a rollback leaves: out of the app's reach, and read on by what others have made since."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import as_user, migrated, rolled_back
from tests.oracle import v2_differences
from vagus_tui.journal.state import read_state
from vagus_tui.report.story import tell
from vagus_tui.rollback.preview import preview


async def test_the_archive_is_out_of_the_apps_reach(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    await migrated(moved)
    ran = await rolled_back(moved)
    assert ran.result.figures is not None
    archive = ran.result.figures["archive"]
    for role in ("anon", "authenticated", "service_role"):
        assert not await conn.fetchval("select has_schema_privilege($1, $2, 'usage')", role, archive)
        assert not await conn.fetchval("select has_schema_privilege($1, 'vagus_migration', 'usage')", role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with as_user(moved, UUID(int=1), role) as app:
                await app.fetch(f"select * from {archive}.workout_plans")
    assert await conn.fetchval(f"select count(*) from {archive}.workout_weeks") > 0


MADE_SINCE = """
create table things (id bigint generated always as identity primary key, plan_id uuid);
alter table things enable row level security;
create policy by_hand on things using (exists (
  select from workout_v1_compat.workout_plans p where p.id = things.plan_id and p.is_active));
create view lengths as select id, duration_weeks from workout_v1_compat.workout_plans;
create table day_notes (day_id uuid constraint noted references workout_days on delete cascade);
insert into day_notes select id from workout_days limit 1;
create publication by_hand for table workout_days;
"""


async def test_what_others_made_since_stays_and_is_named(moved_database: TestDatabase, connect: Connect) -> None:
    """It goes on reading v2, in the archive, and so do views of v1's columns; the next run has its names."""
    conn = await connect(moved_database.url)
    await conn.execute(MADE_SINCE)
    await conn.execute("alter table workout_days add column weather text; update workout_days set weather = 'sun'")
    words = "Columns that v2 has beyond the migration's: workout_days.weather. v1 has no place for what they hold"
    assert words in " ".join((await preview(conn, await read_state(conn))).told)
    ran = await rolled_back(moved_database)
    assert any(words in note.message for note in ran.notes), ran.notes
    told = " ".join(line.what for line in await tell(conn))
    assert "in the archive alone: workout_days.weather" in told
    bound = ["constraint noted on table day_notes", "policy by_hand on table things", "view lengths"]
    bound.append("publication by_hand of workout_days")
    assert ran.result.figures is not None and ran.result.figures["bound_to_archive"] == bound
    assert any(f"and not to v1: {'; '.join(bound)}. References refuse" in note.message for note in ran.notes)
    assert await conn.fetchval("select count(*) from lengths") > 0
    await migrated(moved_database)
    assert await v2_differences(conn) == []
    await conn.execute("drop table day_notes, things; drop view lengths; drop publication by_hand")
    ran = await rolled_back(moved_database)
    assert ran.result.figures is not None and "bound_to_archive" not in ran.result.figures
    assert not await conn.fetchval("select exists(select from pg_namespace where nspname = 'workout_v1_compat')")
