"""Every data-quality check: silent about sound data, speaks up where its fault is, shows the rows untouched."""

from __future__ import annotations

import asyncpg
import pytest

from tests.checks.faults import FAULTS, FURTHER, Fault
from tests.checks.support import looking_at, offending_ids, outcome
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.checks.base import Context, Group, offending_rows, reading, run_checks
from vagus_tui.checks.data_quality import logs
from vagus_tui.checks.registry import check_by_id, checks_for
from vagus_tui.errors import beyond_a_limit
from vagus_tui.events import CheckEvent, Status
from vagus_tui.migration.gates import gates
from vagus_tui.sandbox.options import SandboxOptions

HOSTILE_START = "[/red] ';drop table x;--\x1b[31m\u202e"


async def outcomes(context: Context) -> dict[str, CheckEvent]:
    """Every data-quality check's outcome, in one run."""
    events = [event async for event in run_checks(checks_for(Group.DATA_QUALITY), context)]
    return {event.id: event for event in events if event.status not in (Status.PENDING, Status.RUNNING)}


def test_every_rule_has_a_fault() -> None:
    assert {fault.check_id for fault in FAULTS} == {
        check.id for check in checks_for(Group.DATA_QUALITY) if check.id not in ("column-types", "exercises-repeat-ids")
    }


async def test_sound_data_passes_without_a_warning(clean_database: TestDatabase) -> None:
    async with looking_at(clean_database) as context:
        found = await outcomes(context)
        assert {event.id: event.message for event in found.values() if event.status is not Status.PASS} == {}
        # The detail of a check that passes shows no rows, and no error either.
        for check in checks_for(Group.DATA_QUALITY):
            assert (await offending_rows(check, context)).rows == ()


async def test_empty_and_renamed_tables_pass(make_database: MakeDatabase) -> None:
    for options in (SandboxOptions(empty=True), SandboxOptions(plans=40, clean=True, renamed=True)):
        async with looking_at(await make_database(options)) as context:
            found = await outcomes(context)
        assert {event.status for event in found.values()} == {Status.PASS}


async def test_bigint_ids_are_measured_too(make_database: MakeDatabase) -> None:
    async with looking_at(await make_database(SandboxOptions(plans=40, bigint_ids=True))) as context:
        found = await outcomes(context)
    assert not [event.id for event in found.values() if event.status is Status.ERROR]
    assert found["orphaned-exercises"].status is Status.FAIL


async def test_ids_that_copies_of_repeated_exercises_would_take(make_database: MakeDatabase) -> None:
    """The exercise 1 is copied into week 2 as -66: v1 may not have that one."""
    database = await make_database(SandboxOptions(plans=10, clean=True, bigint_ids=True))
    check = check_by_id("exercises-repeat-ids")
    async with looking_at(database, repeat_exercises=True) as context:
        assert (await outcome(check.id, context)).status is Status.PASS
        await context.connection.execute(
            "create temp table chosen as select plan_id from exercises limit 1; "
            f"insert into exercises (id, plan_id, name, sets) select id, plan_id, 'x', 3 from chosen, "
            f"unnest(array[-66, {2**58}]) id"
        )
        found = await outcome(check.id, context)
        assert found.status is Status.FAIL and found.rows == 2 and "VAGUS_REPEAT_EXERCISES" in (found.message or "")
        assert sorted(await offending_ids(check, context), key=str) == ["-66", str(2**58)]
    async with looking_at(database) as context:
        assert (await outcome(check.id, context)).status is Status.PASS


async def test_every_planted_defect_is_found(database: TestDatabase) -> None:
    async with looking_at(database) as context:
        found = await outcomes(context)
        expected = {
            "plans-null-owner": 3,
            "plans-unknown-owner": 2,
            "plans-weeks": 3,
            "orphaned-exercises": 4,
            "logs-duplicate-sets": 2,
        }
        for check_id, rows in expected.items():
            assert (found[check_id].status, found[check_id].rows) == (Status.FAIL, rows)
            assert len(await offending_ids(check_by_id(check_id), context)) == rows


@pytest.mark.parametrize("fault", [*FAULTS, *FURTHER], ids=lambda fault: fault.check_id)
async def test_a_fault_is_found_and_shown(fault: Fault, clean_database: TestDatabase) -> None:
    async with clean_database.planting() as admin:
        await admin.execute(fault.plant)
    async with looking_at(clean_database) as context:
        event = await outcome(fault.check_id, context)
        assert (event.status.value, event.rows) == (fault.status, fault.rows), event.message
        assert fault.says in (event.message or "")
        check = check_by_id(fault.check_id)
        page = await offending_rows(check, context)
        assert len(page.rows) == fault.rows
        assert page.columns[0] == "id"
        assert not page.more
        # The statement that the detail view shows is one that can be run as it is.
        assert check.sql is not None
        counted = await context.connection.fetchrow(check.sql(context))
        assert counted is not None and sum(counted.values()) == fault.rows


async def test_a_roles_timeout_is_not_for_what_reads_whole_tables(clean_database: TestDatabase) -> None:
    """A gate that is cut off could be neither met nor let pass. The session has its own again afterwards."""
    async with looking_at(clean_database) as context:
        await context.connection.execute("set statement_timeout = 20")
        async with reading(context.connection):
            await context.connection.execute("select pg_sleep(0.04)")
        with pytest.raises(asyncpg.QueryCanceledError) as caught:
            await context.connection.execute("select pg_sleep(0.04)")
    assert "set statement_timeout" in beyond_a_limit(caught.value)
    # A server speaks the language that it was given.
    assert "set statement_timeout" in beyond_a_limit(asyncpg.QueryCanceledError("se canceló la sentencia"))


@pytest.mark.parametrize("blocks", [1, logs.BLOCKS])
async def test_sets_logged_twice_are_found_wherever_they_lie(
    blocks: int, clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside each other, and as far apart as the table goes."""
    monkeypatch.setattr(logs, "BLOCKS", blocks)
    async with clean_database.planting() as admin:
        for which in ("", "desc"):
            await admin.execute(
                "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
                f"select session_id, exercise_id, set_number, 1, 1 from exercise_logs order by ctid {which} limit 1"
            )
        assert await admin.fetchval("select max(ctid) > '(9,0)' from exercise_logs")
    async with looking_at(clean_database) as context:
        # One that is there three times is two too many: the last was put beside the first's copy.
        assert (await outcome("logs-duplicate-sets", context)).rows == 2


@pytest.mark.parametrize(
    "check_id", ["plans-null-owner", "orphaned-exercises", "exercises-sets", "sessions-null-start", "orphaned-logs"]
)
async def test_hostile_text_is_shown_as_it_is(check_id: str, clean_database: TestDatabase) -> None:
    fault = next(fault for fault in FAULTS if fault.check_id == check_id)
    async with clean_database.planting() as admin:
        await admin.execute(fault.plant)
    async with looking_at(clean_database) as context:
        page = await offending_rows(check_by_id(check_id), context)
    assert HOSTILE_START in page.rows[0]


async def test_values_are_named_but_not_without_end(clean_database: TestDatabase) -> None:
    async with clean_database.planting() as admin:
        await admin.execute("update workout_plans set goal = 'goal ' || id || repeat('x', 100000)")
    async with looking_at(clean_database) as context:
        event = await outcome("plans-goal", context)
        page = await offending_rows(check_by_id("plans-goal"), context, offset=10, limit=5)
    assert event.message is not None
    assert "“goal " in event.message and "and 32 more" in event.message
    assert len(event.message) < 2000
    assert len(page.rows) == 5 and page.more and page.offset == 10
    assert max(len(cell or "") for row in page.rows for cell in row) <= 500


async def test_missing_columns_are_skipped_and_said(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute(
            "alter table exercises drop column sets cascade, drop column week_number, drop column reps_max;"
            "alter table workout_plans drop column goal cascade, drop column duration_weeks cascade"
        )
        await conn.execute("update exercises set reps_min = 0")
    async with looking_at(clean_database) as context:
        found = await outcomes(context)
        assert await offending_ids(check_by_id("exercises-sets"), context) == []
    skipped = {event.id for event in found.values() if event.status is Status.SKIP}
    assert skipped == {"exercises-sets", "exercises-week", "plans-goal", "plans-weeks"}
    assert found["plans-goal"].message == "workout_plans has no column goal."
    assert found["exercises-reps"].status is Status.FAIL


async def test_columns_of_another_type_fail_and_the_rules_on_them_say_so(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute("alter table exercises alter sets type text")
    async with looking_at(clean_database) as context:
        found = await outcomes(context)
        held = [event async for event in gates(context) if event.id == "dependent-views"][-1]
    assert held.status is Status.ERROR and "See the check column-types" in (held.message or "")
    assert found["column-types"].status is Status.FAIL
    assert "exercises.sets is text; a number is needed." in (found["column-types"].message or "")
    assert found["exercises-sets"].status is Status.ERROR
    assert found["exercises-rest"].status is Status.PASS


async def test_references_of_another_type_fail(clean_database: TestDatabase) -> None:
    async with clean_database.planting() as admin:
        await admin.execute(
            "do $$ declare p record; begin for p in select * from pg_policies where schemaname = 'public' loop "
            "execute format('drop policy %I on %I', p.policyname, p.tablename); end loop; end $$;"
            "alter table exercises drop constraint exercises_plan_id_fkey;"
            "alter table exercises alter plan_id type text"
        )
    async with looking_at(clean_database) as context:
        found = await outcomes(context)
    assert "exercises.plan_id is text, but workout_plans.id is uuid." in (found["column-types"].message or "")
    assert found["orphaned-exercises"].status is Status.ERROR


@pytest.mark.parametrize("type_", ["timestamp", "timestamptz", "timestamp(3) with time zone", "date"])
async def test_every_kind_of_time_fits(type_: str, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute("drop view if exists active_plans cascade")
        await conn.execute(f"alter table workout_sessions alter completed_at type {type_}")
    async with looking_at(clean_database) as context:
        assert (await outcome("column-types", context)).status is Status.PASS


async def test_other_schemas_and_settings_of_the_role_do_not_matter(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute("create schema decoy; create table decoy.workout_plans (id int)")
        await conn.execute("alter role postgres set search_path = decoy, public")
    try:
        async with looking_at(clean_database) as context:
            found = await outcomes(context)
    finally:
        async with clean_database.connect() as conn:
            await conn.execute("alter role postgres reset search_path")
    assert {event.status for event in found.values()} == {Status.PASS}
