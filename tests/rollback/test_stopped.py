"""A rollback stopped by force at any step: the next to come knows, and finishes it or clears it away."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import (
    collected,
    do_abandon,
    do_roll_back,
    killed,
    migrated,
    rolled_back,
    settings_for,
    state_of,
    vanished,
)
from tests.oracle import catalog_fingerprint, changes, v1_rows
from tests.rollback.support import backed_up, do_roll_back_from, rolled_back_from
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import Event, StepEvent
from vagus_tui.journal.state import State
from vagus_tui.rollback.finish import finish
from vagus_tui.rollback.quick import roll_back
from vagus_tui.sandbox.options import SandboxOptions

SMALL = SandboxOptions(plans=20, clean=True)

DRIVER = dedent("""
    import asyncio, os, signal, sys
    from pathlib import Path
    from vagus_tui.control import Control
    from vagus_tui.database.connection import Database
    from vagus_tui.rollback.from_backup import roll_back_from
    from vagus_tui.rollback.quick import roll_back
    from vagus_tui.settings import Settings

    async def main():
        settings = Settings(_env_file=None, lock_timeout_ms=200, parallel_connections=2, operator="killed")
        step, state, path = sys.argv[1:]
        database, control = Database(settings), Control()
        events = roll_back_from(database, settings, control, Path(path)) if path else roll_back(
            database, settings, control)
        async for event in events:
            if getattr(event, "id", "") == step and event.state == state:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(f"never came to {step} {state}: {event}")

    asyncio.run(main())
""")


async def killed_at(database: TestDatabase, step: str, state: str, path: Path | None) -> None:
    """Roll back in a process of its own that is killed at a step."""
    await killed(database, DRIVER, step, state, "" if path is None else str(path))


async def _flag(conn: Connection) -> bool:
    found = await conn.fetchval("select to_regclass('public.system_maintenance') is not null")
    return bool(found and await conn.fetchval("select exists(select from public.system_maintenance where enabled)"))


BEFORE = [
    ("quick", "lock", "done"),
    ("quick", "compare-exercises", "started"),
    ("quick", "restore", "started"),
    ("backup", "verify-files", "started"),
    ("backup", "restore-load-exercises", "started"),
    ("backup", "restore-prove-workout_plans", "done"),
    ("backup", "place", "started"),
]


@pytest.mark.parametrize(("way", "step", "state"), BEFORE)
async def test_killed_before_the_commit(
    way: str, step: str, state: str, make_database: MakeDatabase, connect: Connect, tmp_path: Path
) -> None:
    """Nothing has happened to anybody; what was made aside goes, and the rollback can be done all the same."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    v1_catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    path = await backed_up(database, tmp_path) if way == "backup" else None
    await migrated(database)
    catalog = await catalog_fingerprint(conn)
    await killed_at(database, step, state, path)
    found = await state_of(database)
    if found.state is State.MIGRATED:
        assert found.interrupted and "interrupted, before it changed anything" in found.summary
        assert found.possible[0] == "clear rollback away"
        cleared = await do_abandon(database)
        assert cleared.result.ok and found.run is not None
        ended = await conn.fetchval(
            "select figures ->> 'ended_by' from vagus_migration.runs where id = $1", found.run.id
        )
        assert ended == settings_for(database).operator
        found = await state_of(database)
        assert found.state is State.MIGRATED and not found.interrupted
        assert changes(catalog, await catalog_fingerprint(conn)) == []
        assert await conn.fetchval("select to_regnamespace('workout_v1_restore') is null")
        for made in ("compare_keyed", "ahead_known_exercises", "ahead_before_exercises"):
            assert await conn.fetchval("select to_regclass($1) is null", f"vagus_migration.{made}")
        assert not await _flag(conn)
        await killed_at(database, step, state, path)
    if (await state_of(database)).state is State.MIGRATED:
        await (rolled_back(database) if path is None else rolled_back_from(database, path))
    else:
        # It was faster than its killer.
        await do_abandon(database)
    assert (await state_of(database)).state is State.ROLLED_BACK
    assert changes(v1_catalog, await catalog_fingerprint(conn)) == []
    assert changes(rows, await v1_rows(conn)) == []
    assert not await _flag(conn)


@pytest.mark.parametrize("way", ["quick", "backup"])
@pytest.mark.parametrize("then", ["finish", "again", "migrate"])
async def test_killed_after_the_commit(
    way: str, then: str, make_database: MakeDatabase, connect: Connect, tmp_path: Path
) -> None:
    """v1 is in place; what is owed is done by whoever comes next, whatever they came for."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    v1_catalog = await catalog_fingerprint(conn)
    path = await backed_up(database, tmp_path) if way == "backup" else None
    await migrated(database)
    first = "settle-1" if way == "quick" else "settle-plan_favourites-plan_favourites_plan_id_fkey"
    await killed_at(database, first, "started", path)
    # Had it been faster than its killer, this is what it would have left undone.
    await conn.execute("delete from vagus_migration.steps where phase = 'settle'")
    await conn.execute(
        "update vagus_migration.runs set finished_at = null, phase = 'rollback' where kind in ('rollback', 'restore')"
    )
    await conn.execute("update public.system_maintenance set enabled = true")
    found = await state_of(database)
    assert found.state is State.ROLLED_BACK and found.interrupted, found
    assert "its last steps are owed" in found.summary
    if then == "finish":
        settings = settings_for(database)
        ran = await collected(finish(Database(settings), settings), Control())
    elif then == "again":
        ran = await do_roll_back(database)
    else:
        ran = await migrated(database)
    assert ran.result.ok, ran.result
    assert not await _flag(conn)
    found = await state_of(database)
    assert not found.interrupted
    if then != "migrate":
        assert found.state is State.ROLLED_BACK
        assert changes(v1_catalog, await catalog_fingerprint(conn)) == []


@pytest.mark.parametrize(
    ("way", "step"), [("quick", "collect"), ("backup", "restore-load-exercises"), ("backup", "place")]
)
async def test_disconnected(way: str, step: str, make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """An administrator ends our sessions: said so, and the rollback can be done all the same."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    rows = await v1_rows(conn)
    path = await backed_up(database, tmp_path) if way == "backup" else None
    await migrated(database)
    cut = False

    async def disconnect(event: Event, _: Control) -> None:
        nonlocal cut
        if not cut and isinstance(event, StepEvent) and event.id == step:
            cut = True
            async with database.as_admin() as admin:
                await admin.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'vagus-tui%'"
                )

    if path is None:
        settings, control = settings_for(database), Control()
        ran = await collected(roll_back(Database(settings), settings, control), control, disconnect)
    else:
        ran = await do_roll_back_from(database, path, on_event=disconnect)
    await vanished(database)
    if not ran.result.ok:
        assert ran.result.exit_status in (3, 4), ran.result
        found = await state_of(database)
        if found.state is State.ROLLED_BACK:
            # The sessions were ended a moment later, after the commit: what is left is to be finished.
            assert found.interrupted and changes(rows, await v1_rows(conn)) == []
            return
        assert found.state is State.MIGRATED
        # In words, where the journal and the report show them.
        errors = await conn.fetch("select error from vagus_migration.runs where status = 'failed'")
        assert {row["error"] for row in errors} == {"The connection to the database was lost."}
        await (rolled_back(database) if path is None else rolled_back_from(database, path))
    assert (await state_of(database)).state is State.ROLLED_BACK
    assert changes(rows, await v1_rows(conn)) == []
    assert not await _flag(conn)


@pytest.mark.parametrize("step", ["verify-files", "restore-tables-data", "restore-keys", "restore-prove-exercises"])
async def test_cancelled(step: str, make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """Stopped by the operator on the way: as it was, at once."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    path = await backed_up(database, tmp_path)
    await migrated(database)
    catalog = await catalog_fingerprint(conn)

    async def cancel(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == step:
            control.cancel()

    ran = await do_roll_back_from(database, path, on_event=cancel)
    assert not ran.result.ok and ran.result.exit_status == 3, ran.result
    found = await state_of(database)
    assert found.state is State.MIGRATED and not found.interrupted
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert await conn.fetchval("select to_regnamespace('workout_v1_restore') is null")
    assert not await _flag(conn)


async def test_a_stop_before_anything_began_says_that_v2_is_in_place(moved_database: TestDatabase) -> None:
    settings, control = settings_for(moved_database), Control()
    control.cancel()
    ran = await collected(roll_back(Database(settings), settings, control), control)
    assert ran.result.exit_status == 3 and ran.result.message.endswith("Nothing was changed: v2 is in place.")
