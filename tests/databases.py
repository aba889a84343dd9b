"""Test databases: a server, embedded or somebody else's, templates per kind of content, and a clone per test.

`VAGUS_TEST_DATABASE_URL`, a superuser's address, points the same suite at another server (14 to 18). That server
should be a disposable one: if its superuser is called `postgres` it becomes `supabase_admin`, with the same
password, and `postgres` becomes the ordinary role that it is on Supabase.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import quote as quote_url
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.identifiers import literal, quote
from vagus_tui.events import ResultEvent
from vagus_tui.migration.runner import migrate
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import build_v1
from vagus_tui.sandbox.server import AUTHENTICATOR, OPERATOR
from vagus_tui.sandbox.template import ADMIN, sql
from vagus_tui.settings import Settings

T = TypeVar("T")


class Server(Protocol):
    """What the tests need of a server."""

    def url(self, role: str = OPERATOR, database: str = "postgres") -> str:
        """The address under which `role` reaches `database`."""
        ...

    def admin_url(self, database: str = "postgres") -> str:
        """The superuser's address of `database`."""
        ...


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """A server that was there before us. All roles share its password."""

    address: str

    def url(self, role: str = OPERATOR, database: str = "postgres") -> str:
        parts = urlsplit(self.address)
        user = role if parts.password is None else f"{role}:{parts.password}"
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, f"{user}@{place}", "/" + quote_url(database), parts.query, ""))

    def admin_url(self, database: str = "postgres") -> str:
        return self.url(ADMIN, database)


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """One test's own database.

    Attributes:
        url: as role `postgres`, an operator's login: not a superuser, owner of the v1 tables.
        admin_url: as the superuser.
        authenticator_url: as the app's API logs in.
    """

    # pytest would take the name for a class of tests.
    __test__ = False

    name: str
    server: Server = field(repr=False)
    options: SandboxOptions

    @property
    def url(self) -> str:
        return self.server.url(OPERATOR, self.name)

    @property
    def admin_url(self) -> str:
        return self.server.admin_url(self.name)

    @property
    def authenticator_url(self) -> str:
        return self.server.url(AUTHENTICATOR, self.name)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection as `postgres`."""
        async with connected(self.url) as conn:
            yield conn

    async def execute(self, sql: str) -> None:
        """Run something as `postgres`, on a connection of its own."""
        async with self.connect() as conn:
            await conn.execute(sql)

    async def execute_as_admin(self, sql: str) -> None:
        """Run something as the superuser, on a connection of its own."""
        async with self.as_admin() as conn:
            await conn.execute(sql)

    @asynccontextmanager
    async def as_admin(self) -> AsyncIterator[Connection]:
        """A connection as the superuser."""
        async with connected(self.admin_url) as conn:
            yield conn

    @asynccontextmanager
    async def server_connection(self) -> AsyncIterator[Connection]:
        """A superuser's connection to another database of the same server, for what closes this one."""
        async with connected(self.server.admin_url()) as conn:
            yield conn

    @asynccontextmanager
    async def planting(self) -> AsyncIterator[Connection]:
        """A superuser's connection on which foreign keys and triggers do not fire: for planting faults.

        Change capture, which fires always, is off for everybody meanwhile: a fault is what nobody has written.
        """
        async with connected(self.admin_url) as conn:
            await conn.execute("SET session_replication_role = replica")
            await conn.execute(_CAPTURE.format("A", "disable"))
            try:
                yield conn
            finally:
                await conn.execute(_CAPTURE.format("D", "enable always"))


_CAPTURE = """
do $$ declare t record; begin
  for t in select tgrelid::regclass as relation, tgname from pg_trigger
           where tgname like 'vagus\\_capture%' and tgenabled = '{}' loop
    execute format('alter table %s {} trigger %I', t.relation, t.tgname);
  end loop;
end $$
"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection that is closed whatever happens."""
    conn = await asyncpg.connect(url)
    try:
        yield conn
    finally:
        await conn.close()


class Databases:
    """Templates, made once per kind of content and session, and their clones."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._templates: dict[tuple[SandboxOptions, bool], str] = {}
        self._numbers = itertools.count(1)

    async def clone(self, options: SandboxOptions, *, moved: bool = False) -> TestDatabase:
        """A new database with what the options say in it; with `moved`, migrated already."""
        async with connected(self.server.admin_url()) as admin:
            name = self._name("test")
            await self._copy(admin, await self._template(admin, options, moved=moved), name)
        return TestDatabase(name, self.server, options)

    async def _template(self, admin: Connection, options: SandboxOptions, *, moved: bool) -> str:
        """The template of a kind, made when the first test asks for it."""
        found = self._templates.get((options, moved))
        if found is not None:
            return found
        name = self._name("template")
        if moved:
            await self._copy(admin, await self._template(admin, options, moved=False), name)
            await migrate_template(self.server.url(OPERATOR, name))
        else:
            await admin.execute(f"CREATE DATABASE {quote(name)} TEMPLATE template0 ENCODING 'UTF8'")
            await build_v1(self.server.admin_url(name), self.server.url(OPERATOR, name), options, lambda _: None)
        self._templates[options, moved] = name
        return name

    async def _copy(self, admin: Connection, template: str, name: str) -> None:
        strategy = "STRATEGY file_copy" if admin.get_server_version().major >= 15 else ""
        await admin.execute(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} OWNER postgres {strategy}")
        # A database's settings and rights are not cloned with it. Supabase gives every statement two minutes.
        await admin.execute(f"ALTER DATABASE {quote(name)} SET statement_timeout = '120s'")

    async def drop(self, database: TestDatabase) -> None:
        """Drop a clone, whoever is still connected to it."""
        await self._drop([database.name])

    async def drop_templates(self) -> None:
        """Drop what the session leaves behind."""
        await self._drop(list(self._templates.values()))

    async def _drop(self, names: list[str]) -> None:
        async with connected(self.server.admin_url()) as admin:
            for name in names:
                await admin.execute(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")

    def _name(self, kind: str) -> str:
        return f"vagus_{kind}_{os.getpid()}_{next(self._numbers)}"


async def tell_statistics(conn: Connection) -> None:
    """Let the server's statistics know what this session has written so far."""
    if conn.get_server_version().major >= 15:
        await conn.execute("select pg_stat_force_next_flush()")
        return
    # A session of version 14 reports at most twice a second, after a statement; so does the collector, when asked.
    await asyncio.sleep(0.6)
    await conn.execute("select 1")
    await asyncio.sleep(0.6)


async def migrate_template(url: str) -> None:
    """Migrate what later tests only need to find migrated; nothing is kept on this machine for it."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=SecretStr(url),
        operator="tester",
        journal_dir=None,
    )
    last = None
    async for event in migrate(Database(settings), settings, Control(), hold=False):
        last = event
    if not isinstance(last, ResultEvent) or not last.ok:
        raise RuntimeError(f"The template could not be migrated: {last}")


ATTEMPTS = 20
"""To give a server its roles, half a second apart."""


async def adopt(address: str) -> ForeignServer:
    """Give somebody else's server the roles of Supabase, once; the address must be a superuser's.

    Raises:
        RuntimeError: the address is not a superuser's.
    """
    server = ForeignServer(address)
    try:
        conn = await asyncpg.connect(server.admin_url())
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError):
        conn = await asyncpg.connect(address)
    try:
        if not await conn.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user"):
            raise RuntimeError("VAGUS_TEST_DATABASE_URL must be the address of a superuser")
        # Several processes adopt the same server at the same time, and roles cannot be altered by two at once.
        await conn.execute("SELECT pg_advisory_lock(hashtext('vagus-tui: adopt'))")
        password = urlsplit(address).password
        secret = "NULL" if password is None else literal(unquote(password))
        await _move_bootstrap_superuser(conn, address, secret)
        await conn.execute("SET client_min_messages = warning")
        made = [
            sql("roles.sql"),
            *(f"ALTER ROLE {quote(role)} PASSWORD {secret}" for role in (ADMIN, OPERATOR, AUTHENTICATOR)),
        ]
        for attempt in range(ATTEMPTS):
            try:
                for statement in made:
                    await conn.execute(statement)
                break
            except asyncpg.InternalServerError:
                # Whoever has adopted it already makes databases by now, which alters roles too.
                if attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(0.5)
    finally:
        await conn.close()
    return server


async def _move_bootstrap_superuser(conn: Connection, address: str, secret: str) -> None:
    """Make room for an ordinary `postgres`: the bootstrap superuser cannot be demoted, only renamed."""
    roles = {row["rolname"]: row["rolsuper"] for row in await conn.fetch("SELECT * FROM pg_roles")}
    if not roles.get(OPERATOR):
        if ADMIN not in roles:
            await conn.execute(f"CREATE ROLE {ADMIN} LOGIN SUPERUSER PASSWORD {secret}")
        return
    new_name = ADMIN if ADMIN not in roles else "supabase_bootstrap"
    # Nobody can rename the role they logged in as, so a helper does it.
    await conn.execute(f"CREATE ROLE vagus_helper LOGIN SUPERUSER PASSWORD {secret}")
    parts = urlsplit(ForeignServer(address).url("vagus_helper"))
    async with connected(urlunsplit(parts)) as helper:
        await helper.execute(f"ALTER ROLE {OPERATOR} RENAME TO {new_name}")
        await helper.execute(f"ALTER ROLE {new_name} PASSWORD {secret}")
    async with connected(ForeignServer(address).url(new_name)) as renamed:
        await renamed.execute("DROP ROLE vagus_helper")


def outside_loop(job: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end in a loop of its own, whatever loop the caller is in."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, job).result()
