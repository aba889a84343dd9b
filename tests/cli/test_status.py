"""`status`: what the database is, for scripts and for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.cli.program import vagus
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions

Connect = Callable[[str], Awaitable[Connection]]


async def test_v1(database: TestDatabase, conn: Connection) -> None:
    ran = await vagus("status", "--json", url=database.url)
    assert ran.status == 0
    (status,) = ran.of("status")
    assert status["state"] == "v1"
    assert status["counts"]["workout_plans"] == await conn.fetchval("select count(*) from workout_plans")
    assert status["shape"]["tables"]["exercises"]["name"] == "exercises"
    assert "migrate" in status["possible"]
    assert ran.result == {**ran.result, "ok": True, "state": "v1"}


async def test_looking_leaves_no_trace(database: TestDatabase, conn: Connection) -> None:
    await vagus("status", "--json", url=database.url)
    assert await conn.fetchval("select to_regnamespace('vagus_migration')") is None


async def test_renamed_by_hand(make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(plans=3, renamed=True))
    ran = await vagus("status", "--json", url=database.url)
    (status,) = ran.of("status")
    assert status["state"] == "v1-renamed"
    assert status["shape"]["renamed"] is True
    assert "workout_plans_v1" in status["counts"]


async def test_an_empty_database(database: TestDatabase, conn: Connection) -> None:
    await conn.execute("drop table workout_plans, exercises, workout_sessions, exercise_logs cascade")
    ran = await vagus("status", "--json", url=database.url)
    assert ran.status == 0
    (status,) = ran.of("status")
    assert status["state"] == "unknown"
    assert status["possible"] == ["rollback from a backup"]


async def test_v2_damaged_after_v1_was_removed(moved_database: TestDatabase) -> None:
    """What is there is counted."""
    async with moved_database.as_admin() as admin:
        await admin.execute(
            "drop table workout_plans_v1, exercises_v1, workout_sessions_v1, exercise_logs_v1, exercise_logs cascade"
        )
    (status,) = (await vagus("status", "--json", url=moved_database.url)).of("status")
    assert status["state"] == "cleaned" and status["counts"]["workout_plans"] == 40
    assert "exercise_logs" not in status["counts"]


async def test_for_people(database: TestDatabase) -> None:
    ran = await vagus("status", url=database.url)
    assert ran.status == 0
    assert "State" in ran.out and "v1" in ran.out and "40 rows" in ran.out
    assert "\x1b" not in ran.out


async def test_hostile_names_reach_no_terminal(database: TestDatabase, conn: Connection) -> None:
    await conn.execute('alter table workout_plans add column "\x1b]0;x\x07[bold red]\u202e" text')
    ran = await vagus("status", url=database.url)
    assert ran.status == 0
    assert "\x1b" not in ran.out and "\x07" not in ran.out and "\u202e" not in ran.out
    assert "[bold red]" in ran.out
