"""Every guided fix: the preview says what happens, the check passes after it, and undoing it restores every byte."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.faults import FAULTS, FURTHER, Fault
from tests.checks.support import looking_at, outcome
from tests.databases import TestDatabase
from vagus_tui.checks.base import Context, Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.events import Status
from vagus_tui.remedies import REMEDIES, Remedy, batches, remedies_for, undo
from vagus_tui.schema import v1

ALL = (*FAULTS, *FURTHER)
TABLES = (*v1.TABLES, "plan_favourites", "coach_clients")

PLANTS = {
    "plans-null-owner-trainee": "update workout_plans set user_id = null where id = (select plan_id from "
    "workout_sessions where plan_id is not null group by plan_id having count(distinct user_id) = 1 limit 1)",
    "exercises-weight-round": "update exercises set weight = 20.125 where id = (select id from exercises limit 1)",
    "logs-weight-round": "update exercise_logs set weight = 20.125 where id = (select id from exercise_logs limit 1)",
    "logs-rpe-round": "update exercise_logs set rpe = 7.25 where id = (select id from exercise_logs limit 1)",
    "sessions-null-user-owner": "update workout_sessions set user_id = null where id = (select id from "
    "workout_sessions where plan_id is not null limit 1)",
    "coach-clients-user": "create table relation (coach_id text, client_id text, status text, "
    "primary key (coach_id, client_id)); insert into relation select coach_id, client_id, status from coach_clients; "
    "drop table coach_clients cascade; alter table relation rename to coach_clients; "
    "alter table coach_clients owner to postgres; "
    "update coach_clients c set client_id = (select upper(email) from auth.users u "
    "where u.id::text = c.client_id) where client_id = (select min(client_id) from coach_clients); "
    "update coach_clients set client_id = ' ' || client_id "
    "where client_id = (select max(client_id) from coach_clients where client_id not like '%@%')",
}
"""Faults that suit a fix better than the first one of its check."""


def plant_for(remedy: Remedy) -> str:
    """SQL that makes a row which the fix mends."""
    return PLANTS.get(remedy.id) or next(fault.plant for fault in FAULTS if fault.check_id == remedy.check_id)


LOOSEN = """
do $$ declare k record; begin
for k in select conrelid::regclass as rel, conname, pg_get_constraintdef(oid) as def from pg_constraint
  where contype = 'f' and connamespace = 'public'::regnamespace and convalidated loop
  execute format('alter table %s drop constraint %I', k.rel, k.conname);
  execute format('alter table %s add constraint %I %s not valid', k.rel, k.conname, k.def);
end loop; end $$
"""
"""Keys that came after the first rows: rows that break them exist, new ones cannot be made."""


async def plant(database: TestDatabase, statements: str) -> dict[str, list[Any]]:
    """Plant a fault beside keys that were never proved; what everything is then."""
    async with database.planting() as admin:
        await admin.execute(LOOSEN)
        await admin.execute(statements)
        return await everything(admin)


async def everything(conn: Connection) -> dict[str, list[Any]]:
    """Every row of every table as the server writes it, and every trigger and constraint."""
    found = {
        table: [row[0] for row in await conn.fetch(f"select t::text from public.{table} t order by 1")]
        for table in TABLES
    }
    found["triggers"] = await conn.fetch(
        "select tgrelid::regclass::text, tgname, tgenabled from pg_trigger where not tgisinternal order by 1, 2"
    )
    found["constraints"] = await conn.fetch(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated from pg_constraint "
        "where connamespace = 'public'::regnamespace order by 1, 2"
    )
    return found


BY_HAND = ("notification-preferences", "exercises-repeat-ids")
"""What no fix can mend: the check says what to do."""


def test_every_failing_check_has_a_fix() -> None:
    for check in checks_for(Group.DATA_QUALITY):
        if check.id != "column-types" and not check.overridable:
            assert any(remedy.action == "set-aside" for remedy in remedies_for(check.id)) or check.id in (
                "plans-unknown-creator",
                "plans-null-name",
                "plans-start-date",
                "exercises-null-name",
                *BY_HAND,
            ), check.id
    assert len({remedy.id for remedy in REMEDIES}) == len(REMEDIES)


def test_no_safe_fix_takes_rows_away() -> None:
    assert {remedy.action for remedy in REMEDIES if remedy.safe} == {"changed"}


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.id)
async def test_the_check_passes_after_it_and_undo_restores_every_byte(
    remedy: Remedy, clean_database: TestDatabase
) -> None:
    before = await plant(clean_database, plant_for(remedy))
    async with looking_at(clean_database) as context:
        await _applied_and_undone(remedy, context, before)


async def _applied_and_undone(remedy: Remedy, context: Context, before: dict[str, list[Any]]) -> None:
    assert (await outcome(remedy.check_id, context)).status in (Status.FAIL, Status.WARN)
    preview = await remedy.preview(context)
    assert preview.rows == len(preview.page.rows) >= 1
    if remedy.action == "changed":
        # What changes is seen without scrolling sideways.
        arrow = next(place for place, name in enumerate(preview.page.columns) if name.endswith(" →"))
        differing = any(row[arrow - 1] != row[arrow] for row in preview.page.rows)
        # Of megabytes the page has the beginning, which shortening leaves as it is.
        assert differing or remedy.id == "exercises-long-text-shorten"
    assert "vagus_migration.quarantine" in preview.sql
    assert await everything(context.connection) == before
    applied = await remedy.apply(context, expected=preview)
    assert (applied.rows, applied.below) == (preview.rows, preview.below)
    found = await outcome(remedy.check_id, context)
    assert found.status is Status.PASS or remedy.id == "exercises-order-clear", found.message
    during = await everything(context.connection)
    assert during["triggers"] == before["triggers"]
    assert during["constraints"] == before["constraints"]
    (batch,) = await batches(context.connection)
    assert (batch.id, batch.remedy, batch.operator) == (applied.batch, remedy.id, "tester")
    assert batch.rows == applied.rows + sum(applied.below.values())
    assert batch.restored_at is None
    if remedy.action == "changed":
        # No row moved on in time: that nobody edited it is the truth.
        for table in TABLES:
            assert len(during[table]) == len(before[table])
        times = await context.connection.fetchval(
            "select count(*) from vagus_migration.quarantine where original ->> 'updated_at' <> result ->> 'updated_at'"
        )
        assert times == 0
    undone = await undo(context.connection, applied.batch, "undoer")
    assert undone.rows + sum(undone.below.values()) == batch.rows
    assert await everything(context.connection) == before
    (batch,) = await batches(context.connection)
    assert batch.restored_by == "undoer"
    with pytest.raises(RefusedError, match="undone already"):
        await undo(context.connection, applied.batch, "undoer")


REFUSED = [fault for fault in ALL if fault.status == "fail" and fault.check_id not in BY_HAND]


@pytest.mark.parametrize("fault", REFUSED, ids=lambda fault: fault.check_id)
async def test_some_fix_helps_against_every_refused_row(fault: Fault, clean_database: TestDatabase) -> None:
    await plant(clean_database, fault.plant)
    async with looking_at(clean_database) as context:
        for remedy in remedies_for(fault.check_id):
            try:
                await remedy.apply(context)
            except RefusedError:
                continue
            assert not (await outcome(fault.check_id, context)).status.blocks, remedy.id
            return
    pytest.fail("no fix had a row to mend")


async def test_all_of_a_dirty_database_can_be_mended_and_given_back(database: TestDatabase) -> None:
    async with looking_at(database) as context:
        before = await everything(context.connection)
        for remedy in REMEDIES:
            if (await outcome(remedy.check_id, context)).status is Status.FAIL:
                preview = await remedy.preview(context)
                if preview.rows:
                    await remedy.apply(context, expected=preview)
        for check in checks_for(Group.DATA_QUALITY):
            found = await outcome(check.id, context)
            assert not found.status.blocks, (found.id, found.message)
        done = await batches(context.connection)
        assert len(done) > 15
        for batch in done:
            await undo(context.connection, batch.id, "undoer")
        assert await everything(context.connection) == before
