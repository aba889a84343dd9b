"""`status`: what the database is, for scripts and for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

from tests.cli.program import vagus
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import LOCK_KEY
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


async def test_a_user_who_may_not_read_the_journal_is_told_who_may(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    role = f"looker_{moved_database.name}"
    await moved_conn.execute(f"create role {role} login password 'looks-and-no-more'")
    try:
        parts = urlsplit(moved_database.url)
        netloc = f"{role}:looks-and-no-more@{parts.hostname}:{parts.port}"
        for command in ("status", "sign"):
            ran = await vagus(command, "--json", url=urlunsplit(parts._replace(netloc=netloc)))
            assert ran.status == 2 and "permission denied for schema vagus_migration" in ran.result["message"]
            assert ran.result["next_step"].startswith("This user lacks a right: log in as the owner")
    finally:
        await moved_conn.execute(f"drop role {role}")


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


async def test_what_is_left_of_an_interrupted_migration_and_which_command_does_it(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    url = moved_database.url
    # As after a kill past the cut-over.
    await moved_conn.execute("update vagus_migration.runs set status = 'running', phase = 'settle', finished_at = null")
    ran = await vagus("status", "--json", url=url)
    (status,) = ran.of("status")
    assert status["state"] == "migrated" and status["run"]["interrupted"] is True
    assert status["possible"][0] == "finish migration" and "its last steps are owed" in status["message"]
    assert ran.result["next_step"] == "vagus-tui migrate --yes does the last steps."
    shown = await vagus("migrate", "--json", url=url)
    assert shown.status == 1 and shown.result["next_step"] == "vagus-tui migrate --yes does it."
    # While somebody is at it, that is said instead.
    await moved_conn.execute(f"select pg_advisory_lock({LOCK_KEY})")
    ran = await vagus("status", "--json", url=url)
    assert "interrupted" not in ran.of("status")[0]["message"]
    assert f"PID {moved_conn.get_server_pid()}" in ran.result["next_step"]
    # Nor is it said that there is nothing to clear away.
    assert "abandon --yes" in (await vagus("abandon", "--json", url=url)).result["next_step"]
    await moved_conn.execute(f"select pg_advisory_unlock({LOCK_KEY})")
    done = await vagus("migrate", "--yes", "--json", url=url)
    assert done.status == 0 and done.result["message"].startswith("Finished")
    ran = await vagus("status", url=url, COLUMNS="200")
    assert "interrupted" not in ran.out and "migration, done, by " in ran.out and ", taken up by " in ran.out
    # Before the cut-over there are two ways on.
    await vagus("rollback", "--yes", "--json", url=url)
    await moved_conn.execute("create schema workout_v2; comment on schema workout_v2 is 'vagus-tui'")
    await moved_conn.execute(
        "insert into vagus_migration.runs (kind, status, phase, operator, environment) "
        "values ('migrate', 'running', 'build', 'Ada', 'development')"
    )
    ran = await vagus("status", url=url, COLUMNS="200")
    assert "migration, interrupted in build, by Ada" in ran.out
    assert "vagus-tui migrate --yes goes on from there, and cuts over; vagus-tui abandon --yes drops it" in ran.out
