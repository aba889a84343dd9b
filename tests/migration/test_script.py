"""The printed SQL, run by a DBA with psql: it moves, proves, and leaves what a rollback needs."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from uuid import UUID

import pytest

from tests.cli.program import vagus
from tests.conftest import Connect, MakeDatabase
from tests.databases import Server, TestDatabase
from tests.migration.support import do_abandon, do_migrate, migrated, rolled_back, state_of
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.journal.state import State
from vagus_tui.sandbox.binaries import client_bin_dir
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.server import EmbeddedServer


def psql_of(server: Server) -> str:
    """The server's own psql, or the one on the PATH."""
    if isinstance(server, EmbeddedServer) and (client_bin_dir() / "psql").exists():
        return str(client_bin_dir() / "psql")
    found = shutil.which("psql")
    if found is None:
        pytest.skip("there is no psql here")
    return found


async def run_script(server: Server, database: TestDatabase, script: str) -> tuple[int, str]:
    """Feed a script to psql; its exit status and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *(psql_of(server), "-X", "-q", "-d", database.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"},
    )
    _, errors = await process.communicate(script.encode())
    return process.returncode or 0, errors.decode()


async def printed(database: TestDatabase) -> str:
    """What `vagus-tui sql migrate` prints."""
    ran = await vagus("sql", "migrate", url=database.url)
    assert ran.status == 0, ran.err
    return ran.out


async def test_run_with_psql_and_rolled_back(
    server: Server, make_database: MakeDatabase, connect: Connect, tmp_path: Path
) -> None:
    database = await make_database(SandboxOptions(plans=15, clean=True, notification_preferences="rows"))
    conn = await connect(database.url)
    # Names that a careless script trips over.
    await conn.execute("""alter table exercises add column "odd \\ 'name'" text default 'a\\b''c'""")
    await conn.execute("""update exercises set name = e'\\\\o''Brien :x $$'""")
    await conn.execute("comment on column exercises.name is 'called'; comment on table workout_plans is 'all plans'")
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    script = await printed(database)
    # What is set meanwhile a script cannot take over: it says so.
    await conn.execute("comment on table exercises is 'since'; alter table exercise_logs alter reps set statistics 7")
    status, errors = await run_script(server, database, script)
    assert status == 0, errors
    warned = [line.partition("not taken over by it: ")[2] for line in errors.splitlines() if "WARNING" in line]
    assert warned == ["statistics targets on exercise_logs (reps)", "comment on exercises"], errors
    found = await state_of(database)
    assert found.state is State.MIGRATED and found.run is not None and found.run.status == "done"
    assert await v2_differences(conn) == []
    plan = await conn.fetchval("select id from workout_plans order by id limit 1")
    await conn.execute("update workout_plans set name = 'written since' where id = $1", plan)
    await rolled_back(database)
    await conn.execute("comment on table exercises is null; alter table exercise_logs alter reps set statistics -1")
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    after = await v1_rows(conn)
    assert "written since" in after["workout_plans"].pop(str(plan))
    rows["workout_plans"].pop(str(plan))
    assert changes(rows, after) == []


async def test_a_script_that_stops_half_way(server: Server, make_database: MakeDatabase, connect: Connect) -> None:
    """Its run shows as an open one: to be cleaned up, or started over by `migrate`."""
    database = await make_database(SandboxOptions(plans=10, clean=True))
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    script = await printed(database)
    half = script[: script.index("-- prove-exercises")]
    wrong = script.replace("-- prove-exercises", "delete from workout_v2.exercise_logs;\n-- prove-exercises", 1)
    imported = (
        "alter table exercise_logs disable trigger user; update exercise_logs set reps = reps + 1;\n"
        "alter table exercise_logs enable trigger user;\n\n-- ═══ cut-over"
    )
    unnoted = script.replace("\n-- ═══ cut-over", imported, 1)
    by_hand = "drop index workout_v2.idx_exercises_name; alter table workout_v2.exercises alter notes set default '';"
    altered = script.replace("\n-- ═══ prove", f"{by_hand}\n\n-- ═══ prove", 1)
    opened = script.replace(
        "\n-- ═══ cut-over", "alter table workout_v2.exercises disable row level security;\n\n-- ═══ cut-over", 1
    )
    for text, expected in (
        (half, ""),
        (wrong, "rows of exercise_logs differ"),
        (unnoted, "not every change of v1"),
        # The index that is gone, the column and its default: what is the same of one table counts once.
        (altered, "2: alterations by hand of what this script built"),
        (opened, "1: alterations by hand of what this script built"),
    ):
        status, errors = await run_script(server, database, text)
        assert status == (3 if expected else 0), errors
        assert expected in errors
        assert (await state_of(database)).state is State.BUILDING
        assert (await do_abandon(database)).result.ok
        assert changes(catalog, await catalog_fingerprint(conn)) == []
    await run_script(server, database, half)
    await migrated(database)
    assert await v2_differences(conn) == []


async def test_two_at_once_are_refused(server: Server, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=10, clean=True))
    conn = await connect(database.url)
    script = await printed(database)
    await conn.fetchval("select pg_advisory_lock(7364182251)")
    status, errors = await run_script(server, database, script)
    assert status == 3 and "another operator" in errors
    assert not (await do_migrate(database)).result.ok
    assert (await state_of(database)).state is State.V1


async def test_written_to_while_it_runs(server: Server, make_database: MakeDatabase, connect: Connect) -> None:
    """The app goes on: what it wrote before the cut-over is in v2, and excuses no proof."""
    database = await make_database(SandboxOptions(plans=15, clean=True))
    conn = await connect(database.url)
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    script = await printed(database)
    written: set[UUID] = set()

    async def write() -> None:
        number = 0
        while await conn.fetchval("select to_regclass('public.workout_weeks') is null"):
            async with conn.transaction():
                await conn.execute("set local lock_timeout = '2s'")
                plan = await conn.fetchval(
                    "insert into workout_plans (user_id, name, duration_weeks) values ($1, 'new', 2) returning id", user
                )
                await conn.execute(
                    "update exercises set name = $1 where id = (select id from exercises limit 1)", f"{number}"
                )
            written.add(plan)
            number += 1
            await asyncio.sleep(0.01)

    writer = asyncio.create_task(write())
    status, errors = await run_script(server, database, script)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    assert status == 0, errors
    assert written and await v2_differences(await connect(database.url)) == []
