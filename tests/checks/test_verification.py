"""Every verification check: passes after a migration, turns red where v2 is damaged, is quiet about users' work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.checks.support import looking_at, outcome, settings_for
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import as_user, rolled_back
from vagus_tui.checks.base import Group, offending_rows, run_check, run_checks
from vagus_tui.checks.registry import check_by_id, checks_for, default_group
from vagus_tui.checks.verification import access
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.impersonation import Asked, answers_of
from vagus_tui.events import CheckEvent, ResultEvent, Status
from vagus_tui.migration.runner import migrate
from vagus_tui.sandbox.options import SandboxOptions


async def migrated(database: TestDatabase, **values: object) -> TestDatabase:
    """Migrate a database; it is then in state migrated."""
    settings = settings_for(database.url, **values)
    async for event in migrate(Database(settings), settings, Control(), hold=False):
        last = event
    assert isinstance(last, ResultEvent) and last.ok, last
    return database


async def outcomes(database: TestDatabase) -> dict[str, CheckEvent]:
    """Every verification check's outcome."""
    async with looking_at(database) as context:
        events = [event async for event in run_checks(checks_for(Group.VERIFICATION), context)]
    return {event.id: event for event in events if event.status not in (Status.PENDING, Status.RUNNING)}


def troubled(found: dict[str, CheckEvent]) -> dict[str, str | None]:
    """What did not pass, with its message."""
    return {event.id: event.message for event in found.values() if event.status is not Status.PASS}


@pytest.mark.parametrize(
    "options",
    [
        SandboxOptions(plans=40, clean=True),
        SandboxOptions(plans=40, clean=True, bigint_ids=True, default_privileges=False),
        SandboxOptions(plans=40, clean=True, renamed=True, notification_preferences="jsonb"),
        SandboxOptions(empty=True),
    ],
    ids=["uuid", "bigint", "renamed", "empty"],
)
async def test_all_pass_after_a_migration(options: SandboxOptions, make_database: MakeDatabase) -> None:
    found = await outcomes(await make_database(options, moved=True))
    assert not [event for event in found.values() if event.status not in (Status.PASS, Status.SKIP)], troubled(found)
    assert [event.id for event in found.values() if event.status is Status.SKIP] in ([], ["cascade-deletes"])


async def test_all_pass_with_exercises_repeated(clean_database: TestDatabase) -> None:
    found = await outcomes(await migrated(clean_database, repeat_exercises=True))
    assert troubled(found) == {}
    assert found["exercises-migrated"].measured == found["exercises-migrated"].expected == 400
    # Measured says what expected says, in words that compare.
    assert found["grants"].measured == found["grants"].expected == "as v1's"


async def test_all_are_skipped_before_a_migration(clean_database: TestDatabase) -> None:
    assert {event.status for event in (await outcomes(clean_database)).values()} == {Status.SKIP}
    async with looking_at(clean_database) as context:
        assert default_group(context.state) is Group.DATA_QUALITY


async def test_what_needs_v1_is_skipped_once_it_is_gone(moved_database: TestDatabase) -> None:
    async with moved_database.as_admin() as admin:
        await admin.execute("drop table exercise_logs_v1, workout_sessions_v1, exercises_v1, workout_plans_v1 cascade")
    found = await outcomes(moved_database)
    assert set(troubled(found)) == {
        "plans-migrated",
        "exercises-migrated",
        "sessions-migrated",
        "logs-migrated",
        "row-proof",
        "sessions-linked",
        "grants",
        "preferences-intact",
        "writes-noted",
    }
    assert {found[name].status for name in troubled(found)} == {Status.SKIP}


@pytest.mark.parametrize("shape", ["jsonb", "rows"])
async def test_preferences_are_those_that_everybody_had(shape: str, make_database: MakeDatabase) -> None:
    """Both shapes of v1's table: lost and changed behind users' backs is red, what they chose since is told apart."""
    options = SandboxOptions(plans=15, clean=True, notification_preferences=shape)  # type: ignore[arg-type]
    database = await make_database(options)
    chose = {
        "jsonb": "values ((select id from auth.users order by id limit 1), '{\"workout_reminders_enabled\": true}')",
        "rows": "(user_id, category, enabled) select id, 'workout', true from auth.users order by id limit 1",
    }
    async with database.as_admin() as admin:
        await admin.execute("delete from notification_preferences")
        await admin.execute(f"insert into notification_preferences {chose[shape]}")
    await migrated(database)
    check = check_by_id("preferences-intact")

    async def found() -> CheckEvent:
        async with looking_at(database) as context:
            return await run_check(check, context)

    assert (await found()).status is Status.PASS
    async with database.as_admin() as admin:
        first = await admin.fetchval("select id from auth.users order by id limit 1")
        others = "update notification_preferences set preferences = '{}' where user_id = $1"
        await admin.execute(others, first)
        event = await found()
        assert (event.status, event.measured) == (Status.FAIL, 1)
        told = f"1 user has others than in v1, and it was not the app that changed them: {first}."
        assert told in (event.message or "")
        await admin.execute("delete from notification_preferences where user_id = $1", first)
        assert "1 user lost theirs: " in ((await found()).message or "")
        # The app's own changes are noted, though it sets no time: neither changed nor taken out is a loss.
        row = "insert into notification_preferences values ($1, '{}', '2020-01-01', '2020-01-01')"
        async with as_user(database, first) as app:
            await app.execute(row, first)
        event = await found()
        assert event.status is Status.PASS and "1 user changed theirs" in (event.message or "")
        async with as_user(database, first) as app:
            await app.execute("delete from notification_preferences where user_id = $1", first)
        assert (await found()).status is Status.PASS
        # An older migration did not note it: what has no time is a question then, and no failure.
        await admin.execute("drop trigger vagus_capture on notification_preferences")
        await admin.execute(row, first)
        event = await found()
        assert event.status is Status.WARN and "did not note" in (event.message or "")
        await admin.execute("update notification_preferences set updated_at = now() where user_id = $1", first)
        assert (await found()).status is Status.PASS


async def test_preferences_that_may_not_be_watched(make_database: MakeDatabase) -> None:
    """Somebody else's table: the migration is settled all the same, and the check says what was not noted."""
    database = await make_database(SandboxOptions(plans=15, clean=True, notification_preferences="jsonb"))
    async with database.as_admin() as admin:
        await admin.execute(
            "alter table notification_preferences owner to supabase_admin;"
            "grant all on notification_preferences to postgres"
        )
    await migrated(database)
    async with database.as_admin() as admin:
        await admin.execute("update notification_preferences set preferences = '{\"mine\": true}'")
    async with looking_at(database) as context:
        event = await run_check(check_by_id("preferences-intact"), context)
    assert event.status is Status.WARN and "did not note" in (event.message or "")
    await rolled_back(database)


@dataclass(frozen=True, slots=True)
class Damage:
    """SQL that damages v2 behind everybody's back, and what must then be red.

    The checks' own faults, which an operator can plant, are tried in test_selftest; these show the offending rows too.
    """

    check_id: str
    statements: str
    rows: bool = True


ONE = "(select id from {table} order by id limit 1)"

DAMAGES = (
    Damage("plans-migrated", "delete from workout_plans where id = (select id from workout_plans limit 1)"),
    Damage("exercises-migrated", "delete from exercises where id = (select id from exercises limit 1)"),
    Damage(
        "exercises-migrated",
        "update exercises set id = gen_random_uuid() where id = (select id from exercises limit 1)",
    ),
    Damage("sessions-migrated", "delete from workout_sessions where id = (select id from workout_sessions limit 1)"),
    Damage("logs-migrated", "delete from exercise_logs where id = (select id from exercise_logs limit 1)"),
    Damage(
        "logs-migrated",
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
        "select session_id, exercise_id, 998, 1, 1 from exercise_logs limit 1",
    ),
    Damage("row-proof", "update exercises set name = name || ' ' where id = (select id from exercises limit 1)"),
    Damage("row-proof", "update exercise_logs set reps = reps + 1 where id = (select id from exercise_logs limit 1)"),
    Damage(
        "row-proof",
        "update workout_sessions set day_id = (select id from workout_days where id <> workout_sessions.day_id limit 1)"
        " where id = (select id from workout_sessions where day_id is not null limit 1)",
    ),
    Damage("weeks-complete", "delete from workout_weeks where id = (select id from workout_weeks limit 1)"),
    Damage(
        "weeks-complete",
        "insert into workout_weeks (plan_id, week_number) select id, total_weeks + 1 from workout_plans limit 1",
    ),
    Damage(
        "weeks-complete",
        "alter table workout_weeks drop constraint workout_weeks_plan_id_week_number_key; "
        "insert into workout_weeks (plan_id, week_number) select plan_id, week_number from workout_weeks limit 1",
    ),
    Damage(
        "orphaned-weeks",
        "update workout_weeks set plan_id = gen_random_uuid() where id = (select id from workout_weeks limit 1)",
    ),
    Damage(
        "orphaned-days",
        "update workout_days set week_id = gen_random_uuid() where id = (select id from workout_days limit 1)",
    ),
    Damage(
        "orphaned-exercises-v2",
        "update exercises set day_id = gen_random_uuid() where id = (select id from exercises limit 1)",
    ),
    Damage(
        "orphaned-groups",
        "insert into exercise_groups (day_id, type, order_index) values (gen_random_uuid(), 'circuit', 1)",
    ),
    Damage(
        "orphaned-sessions-v2",
        "update workout_sessions set day_id = gen_random_uuid() where id = (select id from workout_sessions limit 1)",
    ),
    Damage(
        "sessions-linked",
        "update workout_sessions set day_id = null where id = (select id from workout_sessions_v1 where "
        "plan_id is not null limit 1)",
    ),
    Damage("writes-noted", "drop table vagus_migration.v2_changes", rows=False),
    Damage(
        "v2-indexes",
        "update pg_index set indisvalid = false where indexrelid = 'idx_exercises_name'::regclass",
        rows=False,
    ),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.check_id)
async def test_damage_turns_its_check_red(damage: Damage, moved_database: TestDatabase) -> None:
    async with moved_database.planting() as admin:
        await admin.execute(damage.statements)
    async with looking_at(moved_database) as context:
        found = await outcome(damage.check_id, context)
        assert found.status is Status.FAIL, found
        assert found.message
        page = await offending_rows(check_by_id(damage.check_id), context)
        assert bool(page.rows) == damage.rows


async def test_cascades_that_refuse_are_found(moved_database: TestDatabase) -> None:
    async with moved_database.as_admin() as admin:
        await admin.execute(
            "alter table workout_weeks drop constraint workout_weeks_plan_id_fkey; alter table workout_weeks add "
            "constraint workout_weeks_plan_id_fkey foreign key (plan_id) references workout_plans (id)"
        )
    async with looking_at(moved_database) as context:
        event = await outcome("cascade-deletes", context)
        assert (event.status, event.measured) == (Status.FAIL, "refused")
        assert "workout_weeks_plan_id_fkey of workout_weeks" in (event.message or "")


async def test_what_users_write_while_it_is_measured_is_no_gap(
    moved_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what a user may see and what the user sees, the app goes on."""
    async with moved_database.as_admin() as admin:

        async def a_moment_later(connection: Connection, asked: Sequence[Asked]) -> list[list[str | None]]:
            await admin.execute(
                "insert into workout_sessions (user_id, started_at) select distinct user_id, now() from workout_plans"
            )
            return await answers_of(connection, asked)

        monkeypatch.setattr(access, "answers_of", a_moment_later)
        async with looking_at(moved_database) as context:
            event = await outcome("rls-enforced", context)
    assert event.status is Status.PASS, event.message


async def test_what_users_write_after_the_cut_over_is_told_and_not_held_against_them(
    moved_database: TestDatabase,
) -> None:
    async with moved_database.planting() as admin:
        # One that never had a plan.
        free = await admin.fetchval("select id from workout_sessions_v1 where plan_id is not null order by id limit 1")
        await admin.execute("update workout_sessions_v1 set plan_id = null where id = $1", free)
        await admin.execute("update workout_sessions set day_id = null where id = $1", free)
    async with moved_database.connect() as conn:
        await conn.execute("update exercises set name = 'renamed' where id = (select id from exercises limit 1)")
        await conn.execute("delete from workout_plans where id = (select id from workout_plans order by id limit 1)")
        await conn.execute("delete from workout_weeks where id = (select id from workout_weeks order by id limit 1)")
        await conn.execute(
            "insert into workout_plans (user_id, name, goal, total_weeks) "
            "select user_id, 'new', 'strength', 2 from workout_plans limit 1"
        )
        await conn.execute(
            "update workout_sessions set day_id = null where id = (select id from workout_sessions where "
            "day_id is not null limit 1)"
        )
    found = await outcomes(moved_database)
    assert troubled(found) == {}
    plans = found["plans-migrated"]
    assert plans.message == f"Since the cut-over: 1 plan removed, 1 plan added. v1 has {plans.measured}."
    sessions = found["sessions-migrated"]
    assert sessions.measured == sessions.expected, "as many as there are have to be there"
    assert "written to since the cut-over" in (found["row-proof"].message or "")
    told = "1 session of no plan, kept without a day. 1 session unlinked since the cut-over."
    assert found["sessions-linked"].message == told
    # Nor does it hide what nobody has written.
    unwritten = "{}::text not in (select row_id from vagus_migration.v2_changes)"
    async with moved_database.planting() as admin:
        gone, *others = await admin.fetch(
            "select p.id, p.total_weeks from workout_plans p join workout_weeks w on w.plan_id = p.id and "
            f"w.week_number = 1 where {unwritten.format('p.id')} and {unwritten.format('w.id')} order by p.id limit 2"
        )
        await admin.execute("delete from workout_plans where id = $1", gone["id"])
        await admin.execute("delete from workout_weeks where plan_id = $1 and week_number = 1", others[0]["id"])
        await admin.execute(
            "update exercises set name = name || ' ' where id = "
            f"(select e.id from exercises e where {unwritten.format('e.id')} limit 1)"
        )
    found = await outcomes(moved_database)
    plans, weeks, proof = (found[name] for name in ("plans-migrated", "weeks-complete", "row-proof"))
    assert (plans.status, plans.rows) == (Status.FAIL, 1)
    assert (plans.message or "").startswith(f"1 plan missing in v2: {gone['id']}. Since the cut-over: 1 plan removed,")
    assert (weeks.status, weeks.rows) == (Status.FAIL, gone["total_weeks"] + 1)
    assert f"{others[0]['id']} week 1 missing" in (weeks.message or "") and "week 1 beyond" in (weeks.message or "")
    assert "changed since the cut-over" in (weeks.message or "")
    assert (proof.status, proof.measured) == (Status.FAIL, 3)
    for words in ("1 plan: ", "1 week: ", "1 exercise: "):
        assert words in (proof.message or "")
    assert "written to since the cut-over" in (proof.message or "")


async def test_looking_leaves_nothing_behind(moved_database: TestDatabase) -> None:
    async def everything() -> list[object]:
        async with moved_database.as_admin() as admin:
            return [
                await admin.fetchval(f"select md5(string_agg(t::text, ',' order by t::text)) from {table} t")
                for table in (
                    "workout_plans",
                    "workout_weeks",
                    "exercises",
                    "exercise_logs",
                    "vagus_migration.v2_changes",
                    "pg_policy",
                )
            ]

    before = await everything()
    async with looking_at(moved_database) as context:
        async for _ in run_checks(checks_for(Group.VERIFICATION), context):
            pass
        assert await context.connection.fetchval("select current_user") == "postgres"
        assert await context.connection.fetchval("select auth.uid()") is None
    assert await everything() == before


async def test_a_plan_that_is_locked_does_not_hold_the_checks_up(moved_database: TestDatabase) -> None:
    async with moved_database.connect() as other, other.transaction():
        await other.execute("select from workout_plans for update")
        found = await asyncio.wait_for(outcomes(moved_database), 20)
    assert troubled(found) == {}
