"""There and back, twice: v1 comes out as it went in, in name, shape and every row; v2 is what v1 says it must be."""

from __future__ import annotations

import pytest

from tests.checks.support import measured
from tests.conftest import Connect, MakeDatabase
from tests.migration.support import do_migrate, migrated, rolled_back, state_of
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.events import Status
from vagus_tui.journal.state import State
from vagus_tui.sandbox.options import SandboxOptions

KINDS = {
    "default": SandboxOptions(plans=20, clean=True),
    "renamed": SandboxOptions(plans=20, clean=True, renamed=True),
    "bigint": SandboxOptions(plans=20, clean=True, bigint_ids=True),
    "closed": SandboxOptions(plans=20, clean=True, default_privileges=False),
    "jsonb preferences": SandboxOptions(plans=20, clean=True, notification_preferences="jsonb"),
    "rows of preferences": SandboxOptions(plans=20, clean=True, notification_preferences="rows"),
    "empty": SandboxOptions(empty=True),
}

SHADOWS = """
create function public.format(text, variadic text[]) returns text language sql as $$select 'shadow'$$;
create function public.format(text, text, text) returns text language sql as $$select 'shadow'$$;
create function public.concat_ws(text, variadic text[]) returns text language sql as $$select 'shadow'$$;
create function public.quote_ident(name) returns text language sql as $$select 'shadow'$$;
"""
"""Somebody's functions that fit better what is given to them than the server's own of the same name."""


@pytest.mark.parametrize("kind", KINDS)
async def test_there_and_back_twice(kind: str, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(KINDS[kind])
    conn = await connect(database.url)
    await conn.execute(SHADOWS)
    suffix = "_v1" if database.options.renamed else ""
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn, suffix)
    assert not await conn.fetchval("select rolsuper from pg_roles where rolname = current_user")
    for _ in range(2):
        await migrated(database)
        assert (await state_of(database)).state is State.MIGRATED
        assert await v2_differences(conn) == []
        assert await v1_rows(conn, "_v1") == rows
        # Set back, as a server's clock may be after a fail-over: what was done last is still known.
        await conn.execute("update vagus_migration.runs set started_at = started_at + interval '3 hours'")
        for check in ("v2-behaviour", "v2-constraints"):
            found = await measured(check, database)
            assert found.status is Status.PASS, found
        await rolled_back(database)
        assert (await state_of(database)).state is State.ROLLED_BACK
        assert changes(catalog, await catalog_fingerprint(conn)) == []
        assert changes(rows, await v1_rows(conn, suffix)) == []
        ended = "select count(*) from vagus_migration.runs where kind = 'rollback' and finished_at >= started_at"
        assert await conn.fetchval(ended) > 0
    assert await conn.fetchval("select to_regnamespace('vagus_migration') is not null")
    assert await conn.fetchval("select to_regnamespace('workout_v2') is null")


async def test_dirty_data_is_refused_and_undone(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20))
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    ran = await do_migrate(database)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert "v1 is untouched" in ran.result.message
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert changes(rows, await v1_rows(conn)) == []
    assert await conn.fetchval("select to_regnamespace('workout_v2') is null")
