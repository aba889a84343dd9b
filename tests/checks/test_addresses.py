"""Where an address leads, and what is said of one that leads nowhere, to several places, or asks for too much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.checks.support import looking_at, settings_for
from tests.databases import TestDatabase
from vagus_tui.database.connection import Database, close
from vagus_tui.database.target import Target, for_driver, target_of
from vagus_tui.errors import ConfigurationError, ConnectionFailedError
from vagus_tui.migration.plan import SESSION_SETTINGS

ELSEWHERE = {
    "PGHOST": "live.example",
    "PGPORT": "6000",
    "PGUSER": "ann",
    "PGDATABASE": "kept",
    "PGSSLMODE": "allow",
}


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("postgresql://u:p%40%2F%3A%23@h:7/my%20db?sslmode=require", Target("h", 7, "u", "my db", "require")),
        ("postgres://u@[2001:db8::1]/d", Target("2001:db8::1", 6000, "u", "d", "", False)),
        ("postgresql:///d?host=/run/pg&port=7&user=x", Target("/run/pg", 7, "x", "d", "", False)),
        ("postgresql://h:7/d?user=x@y&password=@", Target("h", 7, "x@y", "d", "")),
        ("postgresql://", Target("live.example", 6000, "ann", "kept", "", False)),
        ("postgresql://bob@h:5432", Target("h", 5432, "bob", "kept", "", False)),
        ("postgresql://h:1/?dbname=d", Target("h", 1, "ann", "d", "", False)),
    ],
)
def test_where_an_address_leads(url: str, target: Target) -> None:
    shell = "" if target.sslmode else "allow"
    assert target_of(url, ELSEWHERE) == replace(target, shell_sslmode=shell)


def test_without_a_word_the_database_is_the_users() -> None:
    assert target_of("postgresql://ann@h", {}) == Target("h", 5432, "ann", "ann", "", False)
    assert target_of("postgresql://ann@h", {"PGPASSWORD": "p"}).has_password


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("postgresql://u:p@ss@h/d", {}, "more than one @"),
        ("postgresql://u:p#ss@h/d", {}, "the password holds one"),
        # What precedes would be shown as a port and looked up as a host.
        ("postgresql://u:1#ss@h/d", {}, "the password holds one"),
        ("postgresql://u:1/ss@h/d", {}, "the password holds one"),
        ("postgresql://u:1?ss@h/d", {}, "the password holds one"),
        ("postgresql://u:1?ss=ss@h/d", {}, "the password holds one"),
        ("postgresql://u:p@h:port/d", {}, "can be read"),
        ("postgresql://u:p@h:1,i:2/d", {}, "several hosts"),
        ("postgresql:///d?host=h,i", {}, "several hosts"),
        ("postgresql://u:p@h/d?service=live", {}, "service file"),
        ("postgresql://u:p@h/d", {"PGSERVICE": "live"}, "PGSERVICE"),
        ("mysql://u:p@h/d", {}, "postgresql://"),
    ],
)
def test_an_address_that_leads_to_no_single_place(url: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        target_of(url, environment)
    assert "ss@" not in str(caught.value)


def test_what_only_libpq_knows_is_kept_from_the_server() -> None:
    assert for_driver("postgresql://u:p%40@h/d") == "postgresql://u:p%40@h/d"
    url = "postgresql://u:p%40@h/d?connect_timeout=3&options=-c+work_mem%3D1MB&keepalives=1"
    assert for_driver(url) == "postgresql://u:p%40@h/d?options=-c+work_mem%3D1MB"


@pytest.mark.parametrize(
    ("query", "kind", "said"),
    [
        ("sslmode=require", ConnectionFailedError, "does not offer TLS"),
        ("sslmode=sure", ConfigurationError, "sslmode that does not exist"),
        ("pgbouncer=true", ConfigurationError, "pgbouncer"),
        ("target_session_attrs=standby", ConnectionFailedError, "target_session_attrs"),
    ],
)
async def test_what_the_server_cannot_give_is_named(
    query: str, kind: type[Exception], said: str, clean_database: TestDatabase
) -> None:
    with pytest.raises(kind, match=said):
        await Database(settings_for(f"{clean_database.url}?{query}")).connect()


@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("require", ConnectionFailedError, "PGSSLMODE=require in the environment insists on"),
        ("sure", ConfigurationError, "PGSSLMODE in the environment"),
        ("verify-full", ConfigurationError, "PGSSLMODE=verify-full needs a CA file"),
    ],
)
async def test_what_the_shell_asks_for_is_not_blamed_on_the_address(
    mode: str,
    kind: type[Exception],
    said: str,
    clean_database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with monkeypatch.context() as shell:
        shell.setenv("HOME", str(tmp_path))
        shell.setenv("PGSSLMODE", mode)
        with pytest.raises(kind, match=said):
            await Database(settings_for(clean_database.url)).connect()
        # What the address says comes first.
        await close(await Database(settings_for(f"{clean_database.url}?sslmode=disable")).connect())


@pytest.mark.parametrize(
    ("password", "said"),
    [("", "asks for the password"), (":", "asks for the password"), (":x", "wrong user or password")],
)
async def test_a_password_that_is_missing_is_not_called_wrong(
    password: str, said: str, clean_database: TestDatabase
) -> None:
    host = clean_database.url.rpartition("@")[2]
    with pytest.raises(ConnectionFailedError, match=said):
        await Database(settings_for(f"postgresql://postgres{password}@{host}")).connect()


async def test_a_name_that_nobody_knows_is_explained() -> None:
    """The likeliest reasons on Supabase: a direct address without IPv6, and a project that is paused."""
    with pytest.raises(ConnectionFailedError, match=r"No connection to db\.invalid:5432") as caught:
        await Database(settings_for("postgresql://postgres:x@db.invalid:5432/postgres")).connect()
    assert "IPv6" in caught.value.next_step


async def test_verifying_needs_a_file(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="needs a CA file"):
        await Database(settings_for(f"{clean_database.url}?sslmode=verify-full")).connect()


HOSTILE = """
create schema hostile; grant usage on schema hostile to public;
create table hostile.pg_class (x int); create table hostile.workout_plans (x int);
create function hostile.lower(text) returns text language sql immutable as 'select ''x''::text';
create function hostile.never(text, text) returns boolean language sql immutable as 'select false';
create operator hostile.= (leftarg = text, rightarg = text, function = hostile.never);
create domain hostile.integer as text; create domain hostile.text as bytea;
alter role postgres in database "{database}" set search_path = hostile, pg_catalog, public
"""
"""Names of the server's own in a schema that comes before it."""


AS_EVER = (
    "select 0.1::float8 + 0.2::float8 || '' as number, timestamp '2026-02-01' || '' as day, "
    "interval '1 day 2 hours' || '' as length, '\\x0a'::bytea || ''::bytea as bytes, "
    "current_setting('row_security') as guarded, current_setting('idle_session_timeout') as idle, "
    "current_setting('synchronous_commit') as lasting, lower('A') = 'a' as own"
)
"""What odd settings would make otherwise."""


async def test_what_is_set_for_the_role_changes_nothing_for_us(clean_database: TestDatabase) -> None:
    """Neither the meaning of statements, nor the texts of values, nor how long a session may wait."""
    odd = {
        "row_security": "off",
        "quote_all_identifiers": "on",
        "transform_null_equals": "on",
        "standard_conforming_strings": "off",
        "extra_float_digits": "-10",
        "datestyle": "SQL, DMY",
        "intervalstyle": "sql_standard",
        "bytea_output": "escape",
        "idle_session_timeout": "200",
        "synchronous_commit": "off",
        # With so little memory the server's list of its own settings goes through a temporary file.
        "work_mem": "64kB",
        "temp_file_limit": "0",
    }
    async with looking_at(clean_database) as context:
        # Where nothing is odd nothing is set: behind a transaction pooler the app would have it next.
        ours = "select array_agg(name) from pg_settings where source = 'session' and name = any($1::text[])"
        assert await context.connection.fetchval(ours, [*odd, "transaction_timeout"]) is None
    async with clean_database.as_admin() as admin:
        for name, value in odd.items():
            await admin.execute(f"alter role postgres in database \"{clean_database.name}\" set {name} = '{value}'")
        await admin.execute(HOSTILE.format(database=clean_database.name))
    async with looking_at(f"{clean_database.url}?connect_timeout=5") as context:
        assert context.state.shape is not None
        found = await context.connection.fetchrow(AS_EVER)
    # Nor for a script, which whoever runs it with psql does in a session of their own.
    async with clean_database.connect() as plain:
        for statement in SESSION_SETTINGS:
            await plain.execute(statement)
        printed = await plain.fetchrow(AS_EVER)
    assert found is not None and found == printed
    assert dict(found) == {
        "number": "0.30000000000000004",
        "day": "2026-02-01 00:00:00",
        "length": "1 day 02:00:00",
        "bytes": b"\n",
        "guarded": "on",
        "idle": "0",
        "lasting": "on",
        "own": True,
    }
