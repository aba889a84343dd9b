"""Performance: every check passes on a sound database and turns red where something is slow, missing or in excess."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.checks.support import looking_at, outcome
from tests.checks.test_verification import migrated
from tests.cli.program import vagus
from tests.conftest import MakeDatabase
from tests.databases import Databases, TestDatabase
from vagus_tui.checks.base import Group, run_checks
from vagus_tui.checks.performance import indexes, server, speed, statements
from vagus_tui.checks.performance.pages import PAGES, Page
from vagus_tui.checks.performance.speed import people, slower
from vagus_tui.checks.performance.timing import Measured, Timing
from vagus_tui.checks.registry import check_by_id, checks_for
from vagus_tui.events import CheckEvent, Status
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.server import EmbeddedServer

TIMED = {page.id for page in PAGES}
NOTICEABLE = 0.05
"""Seconds: as it is outside the tests."""


async def outcomes(database: TestDatabase | str, **values: object) -> dict[str, CheckEvent]:
    """Every performance check's outcome."""
    async with looking_at(database, **values) as context:
        events = [event async for event in run_checks(checks_for(Group.PERFORMANCE), context)]
    return {event.id: event for event in events if event.status not in (Status.PENDING, Status.RUNNING)}


@pytest.mark.parametrize(
    "options",
    [SandboxOptions(plans=40, clean=True), SandboxOptions(plans=40, clean=True, bigint_ids=True, renamed=True)],
    ids=["uuid", "bigint, renamed"],
)
async def test_before_and_after_a_migration(options: SandboxOptions, make_database: MakeDatabase) -> None:
    database = await make_database(options)
    before = await outcomes(database)
    after = await outcomes(await migrated(database))
    for found in (before, after):
        assert {one.id: one.message for one in found.values() if one.status not in (Status.PASS, Status.SKIP)} == {}
        assert all(found[page].status is Status.PASS and found[page].value for page in TIMED)
    assert before["slowdown"].status is Status.SKIP and "×" not in str(before["plan-loading"].measured)
    assert after["slowdown"].status is Status.PASS and "×" in str(after["plan-loading"].measured)
    message = after["history"].message or ""
    # Whom it was measured with, and what the figures are worth.
    assert "Longest history" in message and "Busiest coach" in message
    assert "first run" in message and "median of up to 5 warm runs" in message and "cannot be emptied" in message


async def test_nobody_to_measure_with(empty_database: TestDatabase) -> None:
    found = await outcomes(empty_database)
    assert {found[page].status for page in TIMED} == {Status.SKIP}


async def test_both_versions_show_the_same(moved_database: TestDatabase) -> None:
    async with looking_at(moved_database) as context:
        there = (await speed.versions(context)).there
        for page in PAGES:
            if page.id in ("plan-loading", "current-week", "session-tracking"):
                continue
            subjects = await people(context)
            assert subjects
            for subject in subjects:
                arguments = page.arguments(subject)
                assert arguments is not None
                old = await context.connection.fetch(page.v1(there[1]), *arguments)
                inside = await context.connection.fetch(page.explained(there[2]), *arguments)
                both = set(old[0].keys()) & set(inside[0].keys())
                assert len(both) >= len(old[0]) - 1, page.id
                shown = [[{name: row[name] for name in both} for row in rows] for rows in (old, inside)]
                assert shown[0] == shown[1], page.id
                called = await context.connection.fetch(page.v2(there[2]), *arguments)
                assert [tuple(row) for row in called] == [tuple(row) for row in inside], page.id


async def test_a_page_over_its_limit_fails(moved_database: TestDatabase) -> None:
    found = await outcomes(moved_database, page_limit_seconds=0.00001)
    assert "Over the limit" in (found["plan-loading"].message or "")
    analytics = {page.id for page in PAGES if page.analytics}
    assert {page for page in TIMED if found[page].status is Status.FAIL} == TIMED - analytics
    found = await outcomes(moved_database, analytics_limit_seconds=0.00001)
    assert {page for page in TIMED if found[page].status is Status.FAIL} == analytics


async def test_v1_over_the_limit_is_no_fault_of_the_migration(clean_database: TestDatabase) -> None:
    # Records go by when a set was done, where v1 says it.
    await clean_database.execute("alter table exercise_logs drop column completed_at cascade")
    found = await outcomes(clean_database, page_limit_seconds=0.00001)
    assert found["plan-loading"].status is Status.WARN and "v1 itself" in (found["plan-loading"].message or "")
    assert found["personal-records"].value


async def test_a_slow_policy_is_seen(moved_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "NOTICEABLE_SECONDS", NOTICEABLE)
    async with moved_database.connect() as conn:
        qual = await conn.fetchval(
            "select pg_get_expr(polqual, polrelid) from pg_policy where polname = 'workout_plans_select'"
        )
        await conn.execute(
            f"alter policy workout_plans_select on workout_plans using (({qual}) and pg_sleep(0.15)::text = '')"
        )
    async with looking_at(moved_database, page_limit_seconds=60) as context:
        one = await outcome("plan-loading", context)
        assert one.status is Status.FAIL and "rollback" in (one.message or "")
    found = await outcomes(moved_database, page_limit_seconds=0.02)
    assert found["slowdown"].status is found["current-week"].status is Status.FAIL
    assert str(found["plan-loading"].measured).startswith("over ")
    assert "broken off" in (found["plan-loading"].message or "")


def test_what_a_slowdown_comes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "NOTICEABLE_SECONDS", NOTICEABLE)
    assert slower(50.0, 0.001) is Status.PASS
    assert slower(1.9, 1.0) is Status.PASS
    assert slower(3.0, 1.0) is Status.WARN
    assert slower(5.1, 1.0) is Status.FAIL
    assert slower(None, 1.0) is Status.PASS


async def test_pages_that_nobody_waits_for_are_no_slowdown_together(
    moved_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "NOTICEABLE_SECONDS", NOTICEABLE)
    slow = {page.id: 0.012 for page in PAGES}

    async with looking_at(moved_database) as context:
        (somebody, *_) = await people(context)

        async def timed(page: Page, _: object) -> list[Measured]:
            now = slow[page.id]
            return [Measured(somebody, Timing(0.001, 0.001, 5), Timing(now, now, 5))]

        monkeypatch.setattr(speed, "timings", timed)
        event = await outcome("slowdown", context)
        assert (event.status, event.measured) == (Status.PASS, "12.0×")
        assert "None takes longer than 12 ms" in (event.message or "")
        slow["history"] = 0.06
        assert (await outcome("slowdown", context)).status is Status.FAIL


async def test_a_missing_index_is_named_with_its_statement(moved_database: TestDatabase) -> None:
    async with moved_database.connect() as conn:
        await conn.execute("drop index idx_exercise_logs_session_id")
        await conn.execute("drop index idx_workout_days_week_id")
    async with looking_at(moved_database) as context:
        event = await outcome("missing-indexes", context)
    assert (event.status, event.measured) == (Status.FAIL, "2 missing")
    for statement in (
        "create index concurrently idx_exercise_logs_session_id on public.exercise_logs (session_id)",
        "create index concurrently idx_workout_days_week_id on public.workout_days (week_id)",
    ):
        assert statement in (event.message or "").replace('"', "")


async def test_whole_tables_read_slowly_are_named(
    moved_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a table this small the server always reads everything, which nobody notices.
    monkeypatch.setattr(indexes, "LARGE", 1)
    async with looking_at(moved_database) as context:
        assert (await outcome("missing-indexes", context)).status is Status.PASS
        monkeypatch.setattr(speed, "NOTICEABLE_SECONDS", 0.0)
        await context.connection.execute("analyze")
        event = await outcome("missing-indexes", context)
    assert event.status is Status.WARN and "reads all" in (event.message or "")


async def test_the_account_holds_the_plans_of_both_versions(moved_database: TestDatabase) -> None:
    async with looking_at(moved_database) as context:
        for page in PAGES:
            check = check_by_id(page.id)
            assert check.account is not None
            text = await check.account(context)
            assert "v2 as authenticated" in text and "v1 as authenticated" in text
            assert "Execution Time" in text and "Buffers" in text
            assert "Function Scan on detect_prs" not in text


async def test_measuring_changes_nothing(moved_database: TestDatabase) -> None:
    async with moved_database.connect() as conn:
        digest = "select md5(string_agg(t::text, '' order by t.id)) from exercise_logs t"
        captured = "select count(*) from vagus_migration.v2_changes"
        before = [await conn.fetchval(digest), await conn.fetchval(captured)]
        await outcomes(moved_database)
        assert [await conn.fetchval(digest), await conn.fetchval(captured)] == before


# The server


async def test_processor_and_memory_are_told_or_said_to_be_hidden(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with looking_at(clean_database) as context:
        for check in ("database-cpu", "database-memory"):
            event = await outcome(check, context)
            assert (event.status, event.measured) == (Status.SKIP, "not visible")
            assert "Not visible from here" in (event.message or "") and "Supabase shows it" in (event.message or "")
    async with looking_at(clean_database.admin_url) as context:
        monkeypatch.setattr(server, "CPU_PERCENT", 101.0)
        monkeypatch.setattr(server, "MEMORY_PERCENT", 101.0)
        assert (await outcome("database-cpu", context)).status is Status.PASS
        assert (await outcome("database-memory", context)).status is Status.PASS
        monkeypatch.setattr(server, "CPU_PERCENT", -1.0)
        monkeypatch.setattr(server, "MEMORY_PERCENT", -1.0)
        assert (await outcome("database-cpu", context)).status is Status.FAIL
        assert (await outcome("database-memory", context)).status is Status.FAIL


def test_shares_of_processor_and_memory() -> None:
    assert server.busy_share("cpu  100 0 100 700 100 0 0 0 0 0\n", "cpu  150 0 150 750 150 0 0 0 0 0\n") == 50.0
    assert server.busy_share("cpu  1 2 3 4 5 6 7 8", "cpu  1 2 3 4 5 6 7 8") is None
    assert server.busy_share("", "") is None
    assert server.used_share("MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  250 kB\n") == 75.0
    assert server.used_share("nothing") is None


# Statements per page


@pytest.fixture
async def counting_database() -> AsyncIterator[TestDatabase]:
    """A migrated database on a server that keeps count of its statements."""
    embedded = await EmbeddedServer.start(
        settings={"shared_preload_libraries": "pg_stat_statements", "autovacuum": "off"}
    )
    try:
        database = await Databases(embedded).clone(SandboxOptions(plans=12, clean=True))
        async with database.as_admin() as admin:
            await admin.execute("create extension pg_stat_statements schema extensions")
        yield await migrated(database)
    finally:
        await embedded.stop()


async def test_one_query_per_row_is_found(counting_database: TestDatabase) -> None:
    async with counting_database.as_admin() as admin, looking_at(counting_database) as context:
        days = [row["id"] for row in await admin.fetch("select id from workout_days limit 40")]
        plan = await admin.fetchval("select id from workout_plans limit 1")
        await admin.execute("set role authenticated")
        assert (await outcome("statements-per-page", context)).status is Status.SKIP

        embedded = (
            "select p.*, (select json_agg(w) from workout_weeks w join workout_days d on d.week_id = w.id "
            "where w.plan_id = p.id) from workout_plans p where p.id = $1"
        )
        for _ in range(statements.ENOUGH_CALLS):
            await admin.fetch(embedded, plan)
        event = await outcome("statements-per-page", context)
        assert (event.status, event.measured) == (Status.PASS, "1.0 per plan")

        for _ in range(15):
            for day in days:
                await admin.fetch('select "e".* from public.exercises e where "e"."day_id" = $1', day)
        event = await outcome("statements-per-page", context)
        assert event.status is Status.WARN and "exercises: 600 statements" in (event.message or "")


async def test_without_the_extension_it_is_not_visible(moved_database: TestDatabase) -> None:
    async with looking_at(moved_database) as context:
        event = await outcome("statements-per-page", context)
    assert (event.status, event.measured) == (Status.SKIP, "not visible")


# The command line


async def test_the_command(moved_database: TestDatabase) -> None:
    ran = await vagus("check", "performance", "--json", url=moved_database.url)
    assert ran.status == 0
    lines = {line["id"]: line for line in ran.of("check")}
    assert lines.keys() > TIMED
    assert all(lines[page]["value"] > 0 for page in TIMED)
    ran = await vagus("check", "performance", "--json", url=moved_database.url, VAGUS_PAGE_LIMIT_SECONDS="0.00001")
    assert ran.status == 1 and "plan-loading" in ran.result["message"]
