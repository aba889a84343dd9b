"""The plan is data, and what it prints is what is run: a DBA with psql gets the same database."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_migrate, migrated, settings_for, state_of
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.database.connection import Database
from vagus_tui.database.tools import bundled_tools
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration.plan import plan_migration
from vagus_tui.migration.rollback_script import journalled
from vagus_tui.migration.trial import trial
from vagus_tui.report.contents import make_report
from vagus_tui.rollback.quick_plan import plan_rollback
from vagus_tui.sandbox.options import SandboxOptions


async def psql(database: TestDatabase, script: str, folder: Path) -> None:
    """Run a script as a DBA would; it must go through."""
    tools = bundled_tools()
    assert tools is not None and tools.psql is not None
    file = folder / "plan.sql"
    file.write_text(script)
    process = await asyncio.create_subprocess_exec(
        str(tools.psql),
        *("-X", "-q", "-o", os.devnull, "-f", str(file)),
        database.url,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()[-2000:]


@pytest.mark.parametrize("kind", ["none", "rows", "jsonb"])
async def test_psql_gets_the_same(kind: str, make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    options = SandboxOptions(plans=20, clean=True, notification_preferences=kind)  # type: ignore[arg-type]
    by_hand, by_us = await make_database(options), await make_database(options)
    conn, ours = await connect(by_hand.url), await connect(by_us.url)
    plan = await plan_migration(conn, settings_for(by_hand), await read_state(conn))
    assert len({step.id for step in plan.steps}) == len(plan.steps)
    # Writers wait for a trigger's transaction, so nothing else is done in it.
    assert [len(step.statements) for step in plan.steps if step.id == "settle-preferences-noted"] == [1] * (
        kind == "jsonb"
    )
    await psql(by_hand, plan.sql_text(), tmp_path)
    await migrated(by_us)
    assert await v2_differences(conn) == []
    assert changes(await catalog_fingerprint(ours), await catalog_fingerprint(conn)) == []


async def test_two_who_plan_at_once_wait_for_each_other(clean_database: TestDatabase, connect: Connect) -> None:
    """Both try what hangs on v1 on tables of the same name: the second one did not wait for the first, and failed."""
    first, second, look = [await connect(clean_database.url) for _ in range(3)]
    state = await read_state(first)
    assert state.shape is not None
    async with trial(first, state.shape):
        planning = asyncio.create_task(plan_migration(second, settings_for(clean_database), state))
        waits = "select wait_event from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'"
        while not planning.done() and not await look.fetchval(waits, second.get_server_pid()):
            await asyncio.wait([planning], timeout=0.05)
        # Longer than a trial itself waits for anybody.
        await asyncio.wait([planning], timeout=1.2)
        assert not planning.done(), planning
    assert (await planning).steps


async def test_psql_stops_at_a_difference(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    plan = await plan_migration(conn, settings_for(database), await read_state(conn))
    before, mark, after = plan.sql_text().partition("\n-- ═══ prove")
    planted = "\nupdate workout_v2.exercises set sets = sets + 1;"
    with pytest.raises(AssertionError, match="rows of exercises differ"):
        await psql(database, before + planted + mark + after, tmp_path)
    assert await conn.fetchval("select to_regclass('public.workout_plans_v1') is null")


async def test_psql_stops_at_another_v1(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """What came after the script was printed: it stops with v1 untouched, and goes on when that is gone."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    plan = await plan_migration(conn, settings_for(database), await read_state(conn))
    before, mark, rest = plan.sql_text().partition("\n-- ═══ cut-over")
    await psql(database, before, tmp_path)
    rest = "\\set ON_ERROR_STOP on\nset search_path = public, pg_temp;" + mark + rest
    for change, back in (
        ("alter table exercises add column late text", "alter table exercises drop column late"),
        ("create table likes (plan_id uuid references workout_plans)", "drop table likes"),
        ("create view late as select id from exercise_logs", "drop view late"),
        (
            "create trigger late after insert on exercises execute function vagus_migration.capture_truncate()",
            "drop trigger late on exercises",
        ),
    ):
        await conn.execute(change)
        with pytest.raises(AssertionError, match="1: things of v1 are not what this script was printed for"):
            await psql(database, rest, tmp_path)
        await conn.execute(back)
    await psql(database, rest, tmp_path)
    assert await v2_differences(conn) == []


async def test_psql_takes_it_back(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    await migrated(database)
    await conn.execute("update workout_plans set name = 'written since'")
    await conn.execute(
        "update exercise_logs set form_rating = 4 where id = (select min(id::text)::uuid from exercise_logs)"
    )
    settings = settings_for(database)
    plan = journalled(await plan_rollback(conn, settings, await read_state(conn)), settings)
    await psql(database, plan.sql_text(), tmp_path)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert await conn.fetchval("select bool_and(name = 'written since') from workout_plans")
    assert len(rows["workout_plans"]) == await conn.fetchval("select count(*) from workout_plans")
    # The journal knows of it as of any other, so that migrating again takes up what v1 had no place for.
    found = await state_of(database)
    assert found.state is State.ROLLED_BACK and not found.interrupted
    report = await make_report(conn, Database(settings), settings, found)
    assert any("nobody counted what was carried back" in line.what for line in report.story)
    assert (await do_migrate(database)).result.ok
    assert await conn.fetchval("select count(*) from exercise_logs where form_rating = 4") == 1


async def test_values_without_end_are_not_counted_to_the_end(make_database: MakeDatabase, connect: Connect) -> None:
    """A plan for a billion weeks takes no longer to plan with, and to refuse; what cannot be counted at all is said."""
    database = await make_database(SandboxOptions(plans=6, clean=True))
    conn = await connect(database.url)
    await conn.execute("update workout_plans set duration_weeks = 1000000000")
    plan = await plan_migration(conn, settings_for(database), await read_state(conn))
    assert {step.id: step.rows for step in plan.steps}["build-workout_weeks"] == 6_000_000_000
    ran = await do_migrate(database)
    assert not ran.result.ok and "workout_plans_total_weeks_check" in (ran.result.message or "")
    assert (await state_of(database)).state is State.V1
    await conn.execute("update exercises set order_index = case when order_index = 1 then 2147483647 end")
    with pytest.raises(RefusedError, match="v1 holds values that v2 has no place for"):
        await plan_migration(conn, settings_for(database), await read_state(conn))
    await conn.execute(
        "update exercises set order_index = null; alter table exercises alter sets type interval using null"
    )
    with pytest.raises(RefusedError, match=r"exercises\.sets is interval; a number is needed\."):
        await plan_migration(conn, settings_for(database), await read_state(conn))


async def test_planning_changes_nothing_and_says_the_same_twice(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    settings = settings_for(clean_database)
    first = await plan_migration(conn, settings, await read_state(conn))
    assert first == await plan_migration(conn, settings, await read_state(conn))
    assert (await state_of(clean_database)).state is State.V1
    assert not await conn.fetchval("select to_regnamespace('vagus_migration') is not null")
    assert any("cover_color (text)" in note for note in first.notes)
    assert any(note.startswith("view active_plans") for note in first.notes)
    # What pg_safeupdate, which a project may have switched on, would refuse.
    assert re.findall(r"(?i)\bdelete from \S+(?: \w+)?\s*(?:;|\)|returning|$)", first.sql_text()) == []


async def test_nothing_runs_that_the_plan_does_not_show(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    plan = await plan_migration(conn, settings_for(clean_database), await read_state(conn))
    ran = await do_migrate(clean_database)
    assert ran.result.ok
    assert ran.steps_done == {step.id for step in plan.steps}


async def test_migrating_twice_is_refused(clean_database: TestDatabase) -> None:
    await migrated(clean_database)
    again = await do_migrate(clean_database)
    assert not again.result.ok and again.result.exit_status == 1
