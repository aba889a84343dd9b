"""Through a session pooler that takes no start-up parameters but the usual: our settings are made all the same."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from pydantic import SecretStr

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.listening import connected_to, listening, pass_on
from tests.migration.support import collected, settings_for
from tests.oracle import v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.migration.runner import migrate
from vagus_tui.migration.work import open_session
from vagus_tui.sandbox.options import SandboxOptions

TAKEN = {"user", "database", "application_name", "client_encoding"}
SSL_REQUEST = 80877103


@contextlib.asynccontextmanager
async def pooler(database: TestDatabase) -> AsyncIterator[str]:
    """The address of something that stands before the server and looks at the first message."""
    target = urlsplit(database.url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (size,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(size - 4)
            if struct.unpack("!i", body[:4])[0] != SSL_REQUEST:
                break
            writer.write(b"N")
        words = body[4:].rstrip(b"\0").split(b"\0")
        strange = {word.decode() for word in words[::2]} - TAKEN
        if strange:
            said = f"SFATAL\0C08P01\0Munsupported startup parameter: {sorted(strange)[0]}\0\0".encode()
            writer.write(b"E" + struct.pack("!i", len(said) + 4) + said)
            return
        async with connected_to(target.hostname, target.port) as (up, down):
            down.write(struct.pack("!i", size) + body)
            await asyncio.gather(pass_on(reader, down), pass_on(up, writer))

    user = target.netloc.rpartition("@")[0]
    async with listening(serve) as port:
        yield urlunsplit(target._replace(netloc=f"{user}@127.0.0.1:{port}"))


@pytest.mark.timeout(60)
async def test_a_migration_through_a_pooler(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=10, clean=True))
    conn = await connect(database.url)
    async with pooler(database) as url:
        settings = settings_for(database).model_copy(update={"database_url": SecretStr(url)})
        async with open_session(Database(settings), "look") as session:
            found = await session.fetchrow(
                "select current_setting('statement_timeout'), current_setting('timezone'), "
                "current_setting('work_mem'), current_setting('search_path')"
            )
            assert tuple(found or ()) == ("0", "UTC", "128MB", "public, pg_temp")
        control = Control()
        ran = await collected(migrate(Database(settings), settings, control, hold=False), control)
    assert ran.result.ok, ran.result
    assert await v2_differences(conn) == []
