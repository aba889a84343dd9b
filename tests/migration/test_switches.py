"""Maintenance by hand: flag and fence by themselves, before, during and after a migration, and after a crash."""

from __future__ import annotations

import asyncpg
import pytest

from tests.cli.program import vagus
from tests.conftest import Connect, MakeDatabase
from tests.migration.support import as_user, do_migrate, migrated, settings_for
from tests.oracle import catalog_fingerprint, changes
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, NoteEvent, StepEvent
from vagus_tui.journal.state import STAGING, read_state
from vagus_tui.migration import maintenance
from vagus_tui.migration.switches import switch_off, switch_on
from vagus_tui.report.story import tell
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.helpers import made

SMALL = SandboxOptions(plans=12, clean=True)


def unheard(event: Event) -> None:
    """Notes may come, and nothing else."""
    assert isinstance(event, NoteEvent)


async def _refused(database: object, conn: Connection) -> bool:
    """Whether the app's writes are refused."""
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    try:
        async with as_user(database, user) as app:  # type: ignore[arg-type]
            await app.execute("update workout_plans set description = 'mine' where user_id = $1", user)
    except asyncpg.PostgresError as error:
        assert error.sqlstate == "PT503"
        return True
    return False


async def test_on_and_off_without_a_run(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    shown = await vagus("maintenance", "on", "--fence", "--message", "Back at noon", "--json", url=database.url)
    (said,) = shown.of("maintenance")
    assert shown.status == 0 and said["flag"] and said["fence"] and said["fenced_tables"] == 4
    assert said["message"] == "Back at noon"
    assert await _refused(database, conn)
    status = await vagus("status", "--json", url=database.url)
    assert status.of("status")[0]["maintenance"]["fence"]
    assert "write fence is up" in status.result["message"]
    for_people = await vagus("maintenance", url=database.url, VAGUS_TIMEZONE="Asia/Kolkata")
    assert " IST" in for_people.out and " UTC" not in for_people.out
    ran = await vagus("maintenance", "off", "--fence", "--json", url=database.url)
    assert ran.of("maintenance")[0]["flag"] and not ran.of("maintenance")[0]["fence"]
    assert not await _refused(database, conn)
    # Nothing is left for that to do, and nothing is told of it.
    await switch_off(conn, settings_for(database), await read_state(conn), unheard, fence_only=True)
    ran = await vagus("maintenance", "off", url=database.url)
    assert ran.status == 0 and "Maintenance is off" in ran.out
    assert [line.what for line in await tell(conn)] == [
        "Switched maintenance and the write fence on by hand",
        "Switched the write fence off by hand",
        "Switched maintenance off by hand",
    ]
    left = changes(catalog, await catalog_fingerprint(conn))
    assert all("system_maintenance" in line for line in left), left


async def test_production_is_asked(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    ran = await vagus("maintenance", "on", "--json", url=database.url, VAGUS_ENVIRONMENT="production")
    assert ran.status == 2 and not (await maintenance.read_maintenance(conn)).flag
    ran = await vagus("maintenance", "on", "--yes", "--json", url=database.url, VAGUS_ENVIRONMENT="production")
    assert ran.status == 0 and (await maintenance.read_maintenance(conn)).flag
    ran = await vagus("maintenance", "off", "--json", url=database.url, VAGUS_ENVIRONMENT="production")
    assert ran.status == 0 and not (await maintenance.read_maintenance(conn)).flag


@pytest.mark.parametrize("stopped", [True, False])
async def test_what_the_operator_switched_on_stays_on(
    stopped: bool, make_database: MakeDatabase, connect: Connect
) -> None:
    """Through a run that is stopped, and through one that goes to its end: the fence stands on v2 then."""
    database = await make_database(SMALL)
    conn = await connect(database.url)

    state = await read_state(conn)
    await switch_on(conn, settings_for(database), state, unheard, fence=True, message="by hand")

    async def stop(event: Event, control: Control) -> None:
        if stopped and isinstance(event, StepEvent) and event.id == "align":
            control.cancel()

    ran = await do_migrate(database, on_event=stop)
    assert ran.result.ok is not stopped
    now = await maintenance.read_maintenance(conn)
    assert now.flag and now.fence and now.message == "by hand"
    assert await _refused(database, conn)
    now = await switch_off(conn, settings_for(database), await read_state(conn), unheard)
    assert not now.on
    assert not await _refused(database, conn)


async def test_off_waits_for_nobody(make_database: MakeDatabase, connect: Connect) -> None:
    """Somebody sits on the table: the fence is down at once all the same."""
    database = await make_database(SMALL)
    conn, other = await connect(database.url), await connect(database.url)
    notes: list[Event] = []
    settings = settings_for(database, lock_attempts=1)
    await switch_on(conn, settings, await read_state(conn), notes.append, fence=True)
    async with other.transaction():
        await other.execute("lock table workout_plans in access share mode")
        now = await switch_off(conn, settings, await read_state(conn), notes.append)
        assert not now.on and notes
        assert not await _refused(database, conn)


async def test_an_interrupted_run_is_abandoned_from_the_command_line(
    make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    await conn.execute("; ".join(made(STAGING)))
    assert (await vagus("abandon", "--json", url=database.url)).status == 2
    ran = await vagus("abandon", "--yes", "--json", url=database.url)
    assert ran.status == 0 and ran.result["state"] == "v1", ran.result
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    await migrated(database)
