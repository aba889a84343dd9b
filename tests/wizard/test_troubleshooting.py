"""Troubleshooting: each trouble planted, found, repaired; nothing is changed that was not shown."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase, tell_statistics
from tests.wizard.walk import LARGE, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Context
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import RefusedError
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal import store
from vagus_tui.journal.state import read_state
from vagus_tui.remedies.repairs import REPAIRS, apply, look
from vagus_tui.remedies.sessions import cancel, in_the_way
from vagus_tui.runbook.troubleshooting import ISSUES
from vagus_tui.screens.troubleshooting_words import results_text

BY_ID = {repair.id: repair for repair in REPAIRS}


async def _context(url: str, conn: Connection) -> Context:
    settings = settings_for(url)
    return Context(Database(settings), conn, settings, await read_state(conn))


async def test_before_the_migration_there_is_nothing_to_repair(
    clean_database: TestDatabase, clean_conn: Connection
) -> None:
    context = await _context(clean_database.url, clean_conn)
    for repair in REPAIRS:
        with pytest.raises(RefusedError):
            await look(repair, context)


async def test_a_healthy_database_needs_no_repair(moved_database: TestDatabase, moved_conn: Connection) -> None:
    context = await _context(moved_database.url, moved_conn)
    for name in ("exercises-to-their-day", "missing-indexes", "quiet-preferences"):
        assert (await look(BY_ID[name], context)).count == 0
        with pytest.raises(RefusedError):
            await apply(BY_ID[name], context)


async def test_a_missing_index_is_created(moved_database: TestDatabase, moved_conn: Connection) -> None:
    index = "select to_regclass('public.idx_exercises_day_id') is not null"
    assert await moved_conn.fetchval(index)
    await moved_conn.execute("drop index idx_exercises_day_id")
    context = await _context(moved_database.url, moved_conn)
    found = await look(BY_ID["missing-indexes"], context)
    assert found.count == 1 and "concurrently" in found.statements[0]
    await apply(BY_ID["missing-indexes"], context)
    assert await moved_conn.fetchval(index)


async def test_statistics_left_behind_are_a_sign(moved_database: TestDatabase, moved_conn: Connection) -> None:
    context = await _context(moved_database.url, moved_conn)
    fresh = await look(BY_ID["analyze-v2"], context)
    assert fresh.count and not fresh.trouble, "it can always be made, which is no sign"
    await moved_conn.execute("alter table exercise_logs set (autovacuum_enabled = off)")
    while not (stale := await look(BY_ID["analyze-v2"], context)).trouble:
        await moved_conn.execute("update exercise_logs set notes = notes")
        await tell_statistics(moved_conn)
    assert stale.trouble == 1
    assert stale.lines[0].startswith("exercise_logs: ") and stale.lines[0].endswith(": stale")
    await apply(BY_ID["analyze-v2"], context)
    await tell_statistics(moved_conn)
    assert not (await look(BY_ID["analyze-v2"], context)).trouble


async def test_an_exercise_in_another_plan_comes_back(
    moved_database: TestDatabase, moved_conn: Connection, connect: Connect
) -> None:
    row = await moved_conn.fetchrow(
        "select e.id, e.day_id, (select d.id from workout_days d join workout_weeks w on w.id = d.week_id "
        "where w.plan_id <> o.plan_id order by d.id limit 1) as elsewhere "
        "from exercises e join exercises_v1 o on o.id = e.id order by e.id limit 1"
    )
    assert row is not None
    await moved_conn.execute("update exercises set day_id = $1 where id = $2", row["elsewhere"], row["id"])
    context = await _context(moved_database.url, moved_conn)
    found = await look(BY_ID["exercises-to-their-day"], context)
    wrong, own = [
        await moved_conn.fetchval(
            "select format('“%s” week %s %s', left(p.name, 40), w.week_number, d.day_label) from workout_days d "
            "join workout_weeks w on w.id = d.week_id join workout_plans p on p.id = w.plan_id where d.id = $1",
            row[column],
        )
        for column in ("elsewhere", "day_id")
    ]
    assert found.count == 1 and found.lines[0].endswith(f": from {wrong} to {own}")
    await apply(BY_ID["exercises-to-their-day"], context)
    assert await moved_conn.fetchval("select day_id from exercises where id = $1", row["id"]) == row["day_id"]
    kept = await moved_conn.fetch("select row_id, before, after from vagus_migration.repaired")
    assert [tuple(one) for one in kept] == [(str(row["id"]), str(row["elsewhere"]), str(row["day_id"]))]


async def test_a_day_within_the_same_plan_is_the_users_own_choice(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    moved = await moved_conn.execute(
        "update exercises e set day_id = t.other from (select x.id, (select d2.id from workout_days d2 "
        "join workout_weeks w2 on w2.id = d2.week_id where w2.plan_id = w.plan_id and d2.id <> x.day_id limit 1) "
        "as other from exercises x join workout_days d on d.id = x.day_id join workout_weeks w on w.id = d.week_id "
        "order by x.id limit 5) t where e.id = t.id and t.other is not null"
    )
    assert moved != "UPDATE 0"
    context = await _context(moved_database.url, moved_conn)
    assert (await look(BY_ID["exercises-to-their-day"], context)).count == 0


async def test_policies_come_back_as_defined(moved_database: TestDatabase, moved_conn: Connection) -> None:
    query = (
        "select tablename, policyname, cmd, roles, qual, with_check from pg_policies where schemaname = 'public' "
        "and tablename in ('workout_plans', 'workout_weeks', 'exercises') order by 1, 2"
    )
    before = [tuple(row) for row in await moved_conn.fetch(query)]
    name = before[0][1]
    context = await _context(moved_database.url, moved_conn)
    healthy = await look(BY_ID["policies-as-defined"], context)
    assert healthy.count and not healthy.trouble, "it can always be made, which is no sign"
    await moved_conn.execute(f'drop policy "{name}" on {before[0][0]}')
    await moved_conn.execute("create policy everybody on workout_plans for select using (true)")
    await moved_conn.execute("alter table workout_weeks disable row level security")
    found = await look(BY_ID["policies-as-defined"], context)
    assert found.trouble == 3
    assert found.lines[:3] == (
        "workout_weeks: row level security is off; it is switched on",
        f"{name} on {before[0][0]}: missing; it is written again",
        "everybody on workout_plans: not one of v2's; it goes",
    )
    await apply(BY_ID["policies-as-defined"], context)
    assert [tuple(row) for row in await moved_conn.fetch(query)] == before
    assert await moved_conn.fetchval("select relrowsecurity from pg_class where oid = 'workout_weeks'::regclass")
    note = await store.latest_note(moved_conn, "repair")
    assert "everybody" in {policy["name"] for policy in note["before"]["policies"]}
    assert note["before"]["off"] == ["workout_weeks"]


async def test_users_without_preferences_get_quiet_ones(
    moved_database: TestDatabase, moved_conn: Connection, connect: Connect
) -> None:
    total = await moved_conn.fetchval("select count(*) from notification_preferences")
    await moved_conn.execute(
        "delete from notification_preferences where user_id in (select user_id from notification_preferences limit 3)"
    )
    context = await _context(moved_database.url, moved_conn)
    assert (await look(BY_ID["quiet-preferences"], context)).count == 3
    await apply(BY_ID["quiet-preferences"], context)
    assert await moved_conn.fetchval("select count(*) from notification_preferences") == total
    loud = await moved_conn.fetchval(
        "select count(*) from notification_preferences where preferences::text like '%true%'"
    )
    assert loud == 0


async def test_a_session_in_the_way_is_cancelled_by_its_id(
    clean_database: TestDatabase, clean_conn: Connection, connect: Connect
) -> None:
    other = await connect(clean_database.url)
    await other.execute("begin")
    await other.execute("lock table exercise_logs in share mode")
    (found,) = await in_the_way(clean_conn)
    assert await cancel(clean_conn, found)
    for _ in range(50):
        if not await in_the_way(clean_conn):
            break
        await asyncio.sleep(0.05)
    assert await in_the_way(clean_conn) == []
    with pytest.raises(RefusedError):
        await cancel(clean_conn, found)


async def test_the_screen_finds_and_repairs(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    await moved_conn.execute("drop index idx_workout_days_week_id")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("troubleshooting")
        await until_text(pilot, "The migration stopped midway", "r looks for all five")
        await pilot.press("r", "down", "down")
        await until_text(pilot, "idx_workout_days_week_id on workout_days: missing")
        await pilot.press("f")
        await until_text(pilot, "Which repair")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Do it")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Create missing indexes without blocking writes: nothing to do")
        assert await moved_conn.fetchval("select to_regclass('public.idx_workout_days_week_id') is not null")
        await until_text(pilot, "✓ repaired", "u undo a repair")
        await pilot.press("u")
        await until_text(pilot, "idx_workout_days_week_id is dropped while users go on", "Take it back")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Taken back")
        assert await moved_conn.fetchval("select to_regclass('public.idx_workout_days_week_id') is null")
        await until_text(pilot, "idx_workout_days_week_id on workout_days: missing")


async def test_before_the_migration_the_screen_says_so(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        wizard(pilot).action_go("troubleshooting")
        await until_text(pilot, "The migration stopped midway")
        await pilot.press("down", "down", "r")
        await until_text(pilot, "only once v2 is in place")
        await until(pilot, lambda: "no trouble" in str(pilot.app.screen.query_one("TitleLine").render()))
        # How each stands is on its own line.
        await until(pilot, lambda: re.search(r"The migration stopped midway +pass$", screen_text(pilot), re.M))
        assert pilot.app.screen.query_one("#issues").virtual_size.height == len(ISSUES)


def test_counts_are_written_as_everywhere() -> None:
    events = [
        CheckEvent(id="a", group="access", title="Access of owners", status=Status.FAIL, measured=6492),
        CheckEvent(id="b", group="access", title="Access of coaches", status=Status.PENDING),
    ]
    assert [line.plain.split(": ")[1] for line in results_text(events)] == ["6,492", "…"]
