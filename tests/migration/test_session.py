"""What a session of ours takes of the server, and what it does not: memory by the server's own measure, and no names of
somebody's that stand before the server's own.
"""

from __future__ import annotations

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_migrate, do_roll_back, settings_for
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.database.connection import Database
from vagus_tui.migration.work import open_session
from vagus_tui.sandbox.options import SandboxOptions

SHARES = [
    ("256MB", 2, ("16MB", "64MB")),
    ("1GB", 2, ("32MB", "128MB")),
    ("4GB", 2, ("128MB", "512MB")),
    ("4GB", 8, ("32MB", "128MB")),
    ("64GB", 2, ("128MB", "512MB")),
]


async def test_memory_is_a_share_of_what_the_server_counts_on(empty_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(empty_database.url)
    for counted_on, connections, (join, index) in SHARES:
        await conn.execute(f"alter database {empty_database.name} set effective_cache_size = '{counted_on}'")
        settings = settings_for(empty_database, parallel_connections=connections)
        async with open_session(Database(settings), "look") as session:
            found = await session.fetchrow(
                "select current_setting('work_mem'), current_setting('maintenance_work_mem')"
            )
        assert tuple(found or ()) == (join, index), counted_on


HOSTILE = """
create schema hostile; grant usage on schema hostile to public; create table hostile.pg_class (x int);
create function hostile.lower(text) returns text language sql immutable as 'select ''x''::text';
create function hostile.md5(text) returns text language sql immutable as 'select repeat(''0'', 32)';
create domain hostile.uuid as text; create domain hostile.text as bytea;
alter role postgres in database "{name}" set search_path = hostile, pg_catalog, public;
"""


async def test_names_that_stand_before_the_servers_own(make_database: MakeDatabase) -> None:
    """There and back, all of it: also where a session has looked names up along another path for a moment."""
    database = await make_database(SandboxOptions(plans=6, clean=True))
    async with database.as_admin() as admin:
        catalog = await catalog_fingerprint(admin)
        await admin.execute(HOSTILE.format(name=database.name))
        ran = await do_migrate(database)
        assert ran.result.ok, ran.result
        assert await v2_differences(admin) == []
        ran = await do_roll_back(database)
        assert ran.result.ok, ran.result
        assert changes(catalog, await catalog_fingerprint(admin)) == []
