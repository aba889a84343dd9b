"""The traffic is the app's: through the API's login, row level security and all, with honest figures."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.sandbox.app_requests import Write
from vagus_tui.sandbox.binaries import SandboxError
from vagus_tui.sandbox.defects import DEFECTS
from vagus_tui.sandbox.traffic import Outcome, Traffic
from vagus_tui.schema import v1


async def at_least(traffic: Traffic, requests: int) -> None:
    """Wait until so many requests have been made."""
    async with asyncio.timeout(30):
        while traffic.all.requests < requests:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_it_writes_to_all_four_tables_in_every_way_without_errors(clean_database: TestDatabase) -> None:
    async with Traffic(clean_database.authenticator_url, 400, write_share=0.8, record_writes=True) as traffic:
        await at_least(traffic, 800)
    assert not traffic.running
    assert traffic.all.errors == Counter()
    kinds = {(write.table, write.kind) for write in traffic.committed}
    assert kinds == {(table, kind) for table in v1.TABLES for kind in ("insert", "update", "delete")}
    assert set(traffic.by_operation) > {"read_plans", "read_history", "log_set"}
    assert traffic.all.requests == sum(figures.requests for figures in traffic.by_operation.values())
    assert traffic.all.longest == max(figures.longest for figures in traffic.by_operation.values()) > 0


async def test_what_it_says_is_committed_is_there_and_nothing_faulty_is_made(clean_database: TestDatabase) -> None:
    async with Traffic(clean_database.authenticator_url, 400, write_share=1, record_writes=True) as traffic:
        await at_least(traffic, 500)
    deleted = {(write.table, write.id) for write in traffic.committed if write.kind == "delete"}
    # Deleting a plan takes its exercises with it, and these their logs.
    inserted = [w for w in traffic.committed if w.kind == "insert" and w.table in ("workout_plans", "workout_sessions")]
    async with clean_database.connect() as conn:

        async def exists(write: Write) -> bool:
            return bool(await conn.fetchval(f"SELECT EXISTS (SELECT FROM {write.table} WHERE id = $1)", write.id))

        assert inserted and deleted
        for write in inserted:
            assert await exists(write) is ((write.table, write.id) not in deleted)
        for defect in DEFECTS:
            # A session that is still going on is no fault.
            if defect.id in ("session-abandoned", "session-outside-weeks"):
                continue
            assert not await conn.fetchval(f"SELECT count(*) FROM {defect.table} AS t WHERE {defect.found}"), defect.id


async def test_it_acts_as_the_apps_role(clean_database: TestDatabase, connect: Connect) -> None:
    admin = await connect(clean_database.admin_url)
    await admin.execute("REVOKE SELECT ON workout_sessions FROM authenticated")
    async with Traffic(clean_database.authenticator_url, 200, write_share=0) as traffic:
        await at_least(traffic, 40)
        logins = await admin.fetch(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'sandbox traffic'"
        )
    assert [row["usename"] for row in logins] == ["authenticator"]
    assert set(traffic.by_operation["read_history"].errors) == {"42501"}
    assert traffic.by_operation["read_plans"].failed == 0


async def test_it_tells_when_statements_fail_and_goes_on(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    seen: list[Outcome] = []
    async with Traffic(clean_database.authenticator_url, 200, on_outcome=seen.append) as traffic:
        await at_least(traffic, 20)
        await conn.execute("ALTER TABLE exercise_logs RENAME TO elsewhere")
        await at_least(traffic, traffic.all.requests + 40)
        await conn.execute("ALTER TABLE elsewhere RENAME TO exercise_logs")
        failed = traffic.all.failed
        await at_least(traffic, traffic.all.requests + 40)
    assert failed > 0
    # At most those that were under way.
    assert traffic.all.failed <= failed + 4
    assert set(traffic.all.errors) == {"42P01"}
    assert "exercise_logs" in traffic.last_errors[0].message
    assert len(seen) == traffic.all.requests


async def test_it_survives_losing_its_connections(clean_database: TestDatabase, connect: Connect) -> None:
    admin = await connect(clean_database.admin_url)
    async with Traffic(clean_database.authenticator_url, 200) as traffic:
        await at_least(traffic, 20)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'sandbox traffic' AND datname = current_database()"
        )
        failed = traffic.all.failed
        await at_least(traffic, traffic.all.requests + 60)
    assert traffic.all.failed <= failed + 4


async def test_it_measures_waiting_for_a_lock(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    async with Traffic(clean_database.authenticator_url, 100) as traffic:
        await at_least(traffic, 10)
        async with conn.transaction():
            # One table: of several, a request may have one already and wait for another, which is a deadlock.
            await conn.execute("LOCK TABLE workout_sessions")
            await asyncio.sleep(0.6)
        await at_least(traffic, traffic.all.requests + 10)
    assert traffic.all.longest > 0.4
    assert traffic.all.failed == 0


async def test_an_empty_database_has_no_users(empty_database: TestDatabase) -> None:
    with pytest.raises(SandboxError, match="no user"):
        await Traffic(empty_database.authenticator_url).start()
