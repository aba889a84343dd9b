"""On the Migration screen: who is in the way and stopping them; maintenance on and off by hand."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.prerequisites import activity
from vagus_tui.database.connection import Connection
from vagus_tui.journal.lock import take_lock
from vagus_tui.migration.blockers import blockers, describe
from vagus_tui.migration.maintenance import read_maintenance
from vagus_tui.screens import blockers as blockers_screen
from vagus_tui.screens.blockers import BlockersScreen

HOSTILE = "/* [/red] \x1b[31m */ lock table exercises in access share mode"


@pytest.mark.parametrize("key", ["c", "e"])
async def test_a_session_in_the_way_is_stopped(
    key: str, clean_database: TestDatabase, connect: Connect, tmp_path: Path
) -> None:
    """Idle in its transaction, it runs nothing that could be cancelled: either way it is ended."""
    other = await connect(clean_database.url)
    await other.execute("begin")
    await other.execute(HOSTILE)
    async with walking(settings_for(clean_database.url, backup_dir=tmp_path), size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "m starts")
        await pilot.press("b")
        await until_text(pilot, "1 session with a lock", "idle in transaction", "share mode")
        await pilot.press(key)
        await until_text(pilot, "its client has to connect again")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Nobody holds a lock on")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, BlockersScreen))
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await other.execute("select 1")


async def test_a_running_query_is_cancelled_and_its_session_stays(
    clean_database: TestDatabase, connect: Connect, tmp_path: Path
) -> None:
    import asyncio

    other = await connect(clean_database.url)
    task = asyncio.create_task(other.execute("begin; lock table exercises in access share mode; select pg_sleep(100)"))
    async with walking(settings_for(clean_database.url, backup_dir=tmp_path)) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "m starts")
        await pilot.press("b")
        await until_text(pilot, "1 session with a lock", "pg_sleep")
        await pilot.press("c")
        await until_text(pilot, "it stays connected", "Leave it      Cancel the query of PID")
        await pilot.press("enter")
        await until_text(pilot, "1 session with a lock")
        assert not task.done(), "the harmless answer has the focus first"
        await pilot.press("c")
        await until_text(pilot, "it stays connected")
        await pilot.press("tab", "enter")
        await until(pilot, task.done)
    assert isinstance(task.exception(), asyncpg.QueryCanceledError)
    await other.execute("rollback")
    assert await other.fetchval("select 1") == 1


async def test_what_a_killed_cut_over_left_is_named_and_ended(
    clean_database: TestDatabase, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh wizard can read nothing for its locks: it says whose they are, and does not call the tables free."""
    monkeypatch.setattr(blockers_screen, "LINGERS_SECONDS", 0.3)
    left = await connect(clean_database.url)
    await left.execute("set application_name = 'vagus-tui migrate'")
    await take_lock(left)
    await left.execute("begin; lock table workout_plans in access exclusive mode")
    pid = await left.fetchval("select pg_backend_pid()")
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    async with walking(settings, size=LARGE, connected=False) as pilot:
        await until_text(pilot, "a table is locked. Who holds the", "migrate from", f"PID {pid}", "not at all")
        wizard(pilot).action_go("migration")
        await until_text(pilot, "not readable", "a table is locked. Who holds the")
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "Quick rollback", "a table is locked. Who holds the")
        wizard(pilot).action_go("migration")
        await pilot.press("b")
        await until_text(pilot, "1 session with a lock", str(pid), "what a killed one has left")
        await pilot.press("e")
        await until_text(pilot, "Ask whoever runs it before you end it", "Leave it")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Nobody holds a lock on")
        await pilot.press("escape")
        await until_text(pilot, "m starts")


async def test_a_prepared_transaction_is_named_and_rolled_back(
    clean_database: TestDatabase, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no session, and never ends by itself: the cut-over, the checks and the screen say so by its name."""
    other = await connect(clean_database.url)
    if await other.fetchval("show max_prepared_transactions") == "0":
        pytest.skip("this server takes no prepared transactions")
    gid = f"{clean_database.name}: [/red] it's"
    await other.execute("begin")
    await other.execute("update exercises set notes = notes where sets > 99")
    await other.execute(f"prepare transaction '{gid.replace(chr(39), chr(39) * 2)}'")
    monkeypatch.setattr(activity, "LONG_WARN_SECONDS", 0.0)
    try:
        described = describe(await blockers(other, ["public.exercises"]))
        assert described.startswith(f"prepared transaction {gid} (postgres, prepared, "), described
        async with walking(settings_for(clean_database.url, backup_dir=tmp_path), size=LARGE) as pilot:
            wizard(pilot).action_go("prerequisites")
            results = wizard(pilot).session.results
            await until(
                pilot, lambda: "long-transactions" in results and results["long-transactions"].message is not None
            )
            found = results["long-transactions"]
            for words in (
                f"prepared transaction {gid} of postgres since",
                "its owner or a superuser runs COMMIT PREPARED",
            ):
                assert words in (found.message or ""), found
            wizard(pilot).action_go("migration")
            await until_text(pilot, "m starts")
            await pilot.press("b")
            await until_text(
                pilot, "1 transaction with a lock", "Prepared transaction", "commit prepared", "holds its locks"
            )
            await pilot.press("e")
            await until_text(pilot, "ask its owner first")
            await pilot.press("tab", "enter")
            await until_text(pilot, "Nobody holds a lock on")
        assert await other.fetchval("select count(*) from pg_prepared_xacts where gid = $1", gid) == 0
    finally:
        if await other.fetchval("select exists(select from pg_prepared_xacts where gid = $1)", gid):
            await other.execute(f"rollback prepared '{gid.replace(chr(39), chr(39) * 2)}'")


async def test_maintenance_by_hand(clean_database: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    conn: Connection = await connect(clean_database.url)
    async with walking(settings_for(clean_database.url, backup_dir=tmp_path), size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "m starts")
        await pilot.press("f")
        await until_text(pilot, "Both are off", "Flag on, fence up")
        await pilot.press("tab", "tab", "enter")
        await until_text(pilot, "write fence up")
        now = await read_maintenance(conn)
        assert now.flag and now.fence and now.fenced == 4
        await pilot.press("f")
        await until_text(pilot, "up on 4 tables", "Lower the fence", "Both off")
        await pilot.press("tab", "tab", "enter")
        await until(pilot, lambda: not wizard(pilot).session.now.maintenance.on)
    assert not (await read_maintenance(conn)).on


async def test_maintenance_in_production_is_asked_twice(
    clean_database: TestDatabase, connect: Connect, tmp_path: Path
) -> None:
    conn: Connection = await connect(clean_database.url)
    settings = settings_for(clean_database.url, backup_dir=tmp_path, environment="production")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "PRODUCTION", "maintenance")
        await pilot.press("f")
        await until_text(pilot, "Both are off")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Maintenance on, in production", "to go on:")
        await pilot.press("escape")
        await until_text(pilot, "m starts")
    assert not (await read_maintenance(conn)).on
