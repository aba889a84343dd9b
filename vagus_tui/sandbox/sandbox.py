"""A sandbox: an embedded server holding a Supabase stand-in with v1 in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sample_data import fill_v1
from vagus_tui.sandbox.server import AUTHENTICATOR, OPERATOR, EmbeddedServer
from vagus_tui.sandbox.stand_in import build_stand_in, create_v1, rename_v1


class Sandbox:
    """A running sandbox; its database is `postgres`, as on Supabase."""

    def __init__(self, server: EmbeddedServer, options: SandboxOptions) -> None:
        self.server = server
        self.options = options

    @property
    def url(self) -> str:
        """What an operator logs in with: role `postgres`, not a superuser."""
        return self.server.url(OPERATOR)

    @property
    def admin_url(self) -> str:
        """The superuser's address."""
        return self.server.admin_url()

    @property
    def authenticator_url(self) -> str:
        """What the app's API logs in with."""
        return self.server.url(AUTHENTICATOR)

    async def stop(self) -> None:
        """Shut down and, unless kept, remove the files. Safe to call twice."""
        await self.server.stop()


async def build_v1(admin_url: str, url: str, options: SandboxOptions, tell: Callable[[str], None]) -> None:
    """Turn an empty database into a project with v1, as the options say.

    Args:
        admin_url, url: the database's address as a superuser and as `postgres`.
        tell: receives a line per stage.
    """
    admin = await asyncpg.connect(admin_url)
    try:
        tell("Building the Supabase stand-in")
        await build_stand_in(admin, options)
    finally:
        await admin.close()
    conn = await asyncpg.connect(url)
    try:
        tell("Creating the v1 tables")
        await create_v1(conn, options)
        if not options.empty:
            tell(f"Making {options.plans:,} sample plans")
            await fill_v1(conn, options)
        if options.renamed:
            await rename_v1(conn)
    finally:
        await conn.close()


async def start_sandbox(options: SandboxOptions, progress: Callable[[str], None] | None = None) -> Sandbox:
    """Start a server and build what the options say; ready within seconds at the default size.

    Args:
        progress: receives a line per stage.

    Raises:
        SandboxError: the server did not start.
    """
    tell = progress or (lambda _: None)
    tell("Starting the embedded PostgreSQL")
    server = await EmbeddedServer.start(keep=options.keep)
    try:
        await build_v1(server.admin_url(), server.url(), options, tell)
    except (Exception, asyncio.CancelledError):
        await server.stop()
        raise
    return Sandbox(server, options)
