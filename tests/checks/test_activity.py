"""The prerequisites about what else goes on at the server: sessions, transactions, timeouts, slots, the lock."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.checks.support import looking_at, measured, outcome
from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.checks.base import Context, offending_rows
from vagus_tui.checks.prerequisites import activity
from vagus_tui.checks.registry import check_by_id
from vagus_tui.events import Status
from vagus_tui.journal.lock import take_lock


@pytest.fixture
async def other(clean_database: TestDatabase, connect: Connect) -> AsyncIterator[Any]:
    """Somebody else's session in the same database."""
    yield await connect(clean_database.url)


async def test_active_connections(clean_database: TestDatabase, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    event = await measured("active-connections", clean_database)
    assert (event.status, event.measured) == (Status.PASS, 1)
    most = await other.fetchval(
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )
    said = re.match(r"(\d+) of the server's (\d+) connections are free", event.message or "")
    assert said is not None and int(said[1]) < int(said[2]) == most
    monkeypatch.setattr(activity, "CONNECTIONS", 1)
    assert (await measured("active-connections", clean_database)).status is Status.WARN
    monkeypatch.setattr(activity, "SPARE_CONNECTIONS", 1000)
    assert (await measured("active-connections", clean_database)).status is Status.FAIL


@pytest.mark.parametrize(("check_id", "prefix"), [("long-transactions", "LONG"), ("idle-in-transaction", "IDLE")])
async def test_whoever_holds_a_transaction_open_is_named(
    check_id: str, prefix: str, clean_database: TestDatabase, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await other.execute("set application_name = '[/x] app'")
    async with other.transaction():
        await other.execute("select 1 from workout_plans limit 1")
        assert (await measured(check_id, clean_database)).status is Status.PASS
        monkeypatch.setattr(activity, f"{prefix}_WARN_SECONDS", 0.0)
        async with looking_at(clean_database) as context:
            event = await outcome(check_id, context)
            page = await offending_rows(check_by_id(check_id), context)
        assert (event.status, event.rows) == (Status.WARN, 1)
        pid = other.get_server_pid()
        assert f"PID {pid} postgres [/x] app" in (event.message or "")
        assert page.rows[0][0] == str(pid)
        monkeypatch.setattr(activity, f"{prefix}_FAIL_SECONDS", 0.0)
        assert (await measured(check_id, clean_database)).status is Status.FAIL


@pytest.mark.parametrize("check_id", ["long-transactions", "idle-in-transaction", "active-connections"])
async def test_sessions_that_cannot_be_looked_into_are_not_taken_for_none(
    check_id: str, clean_database: TestDatabase, other: Any
) -> None:
    async with looking_at(clean_database) as context, other.transaction():
        await other.execute("select 1 from workout_plans limit 1")
        # A role that is no member of pg_monitor.
        await context.connection.execute("set role authenticated")
        event = await outcome(check_id, context)
    if check_id == "active-connections":
        assert event.measured == 1
    else:
        assert (event.status, event.measured) == (Status.WARN, "not all visible")
        assert "1 session of other roles" in (event.message or "") and "pg_monitor" in (event.message or "")


async def test_timeouts(clean_database: TestDatabase) -> None:
    event = await measured("timeouts", clean_database)
    assert event.status is Status.PASS and event.measured == "120 s, lock none"
    async with clean_database.as_admin() as admin:
        await admin.execute(
            f'alter role anon in database "{clean_database.name}" set statement_timeout = 0; '
            f"alter role authenticated in database \"{clean_database.name}\" set statement_timeout = '1s'"
        )
    async with looking_at(clean_database) as context:
        event = await outcome("timeouts", context)
    assert event.status is Status.WARN and "(authenticated 1s)" in (event.message or "")


async def test_replication_slots_of_any_database(clean_database: TestDatabase) -> None:
    assert (await measured("replication-slots", clean_database)).status is Status.PASS
    # Whichever database a slot is of, it keeps the log of the whole server.
    async with clean_database.server_connection() as admin:
        await admin.execute("select pg_create_logical_replication_slot('vagus_test_slot', 'pgoutput')")
        try:
            event = await measured("replication-slots", clean_database)
        finally:
            await admin.execute("select pg_drop_replication_slot('vagus_test_slot')")
    assert event.status is Status.WARN and "Nobody reads from vagus_test_slot" in (event.message or "")


async def test_a_slot_that_lags_is_named_with_what_it_holds_back(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "SLOT_LAG", 0)
    async with clean_database.as_admin() as admin:
        await admin.execute("select pg_create_logical_replication_slot('vagus_lagging_slot', 'pgoutput')")
        try:
            event = await measured("replication-slots", clean_database)
            async with looking_at(clean_database) as context:
                page = await offending_rows(check_by_id("replication-slots"), context)
        finally:
            await admin.execute("select pg_drop_replication_slot('vagus_lagging_slot')")
    assert event.status is Status.WARN and "Behind: vagus_lagging_slot (0.0 GB)" in (event.message or "")
    assert [row[0] for row in page.rows] == ["vagus_lagging_slot"]


async def test_the_lock(clean_database: TestDatabase, other: Any) -> None:
    assert (await measured("migration-lock", clean_database)).measured == "free"
    async with looking_at(clean_database) as context:
        await take_lock(context.connection)
        assert (await outcome("migration-lock", context)).measured == "ours"
        async with context.database.connection("monitor") as beside:
            of_a_run = Context(context.database, beside, context.settings, context.state)
            assert (await outcome("migration-lock", of_a_run)).measured == "ours"
        event = await measured("migration-lock", clean_database)
        assert event.status is Status.FAIL
        assert f"PID {context.connection.get_server_pid()}" in (event.message or "")
