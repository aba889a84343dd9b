"""What a session of ours takes of the server: memory by the server's own measure, so that a small one survives."""

from __future__ import annotations

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import settings_for
from vagus_tui.database.connection import Database
from vagus_tui.migration.work import open_session

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
