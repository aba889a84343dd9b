"""The stand-in is as strict as Supabase: what an operator cannot do there fails here too."""

from __future__ import annotations

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1

CLAIM = "SELECT set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, true)"


async def test_postgres_is_no_superuser_and_has_supabases_attributes(conn: Connection) -> None:
    role = await conn.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'postgres'")
    assert role is not None
    assert not role["rolsuper"]
    assert role["rolcanlogin"] and role["rolcreatedb"] and role["rolcreaterole"]
    assert role["rolreplication"] and role["rolbypassrls"]
    for group in (
        "anon",
        "authenticated",
        "service_role",
        "authenticator",
        "pg_monitor",
        "pg_read_all_data",
        "pg_signal_backend",
    ):
        assert await conn.fetchval("SELECT pg_has_role('postgres', $1, 'member')", group), group


@pytest.mark.parametrize(
    "statement",
    [
        "COPY workout_plans TO '/tmp/vagus_should_not_exist.csv'",
        "COPY workout_plans FROM '/etc/hostname'",
        "ALTER SYSTEM SET work_mem = '8MB'",
        "ALTER TABLE auth.users ADD COLUMN extra text",
        "CREATE INDEX ON auth.users (created_at)",
        "CREATE TRIGGER t AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION update_updated_at_column()",
        "TRUNCATE auth.users CASCADE",
        "ALTER TABLE workout_plans DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ],
)
async def test_postgres_cannot(conn: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute(statement)


async def test_postgres_cannot_end_a_superusers_backend(
    database: TestDatabase, conn: Connection, connect: Connect
) -> None:
    admin = await connect(database.admin_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute(f"SELECT pg_terminate_backend({admin.get_server_pid()})")


async def test_postgres_can_do_what_the_migration_needs(clean_conn: Connection) -> None:
    """Each does what it is for, and not only without an error."""
    conn = clean_conn
    user = await conn.fetchval("SELECT id FROM auth.users LIMIT 1")
    async with conn.transaction():
        await conn.execute("CREATE SCHEMA workout_v2")
        await conn.execute("CREATE TABLE workout_v2.t (user_id uuid REFERENCES auth.users (id))")
        await conn.execute("INSERT INTO workout_v2.t VALUES ($1)", user)
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with conn.transaction():
                await conn.execute("INSERT INTO workout_v2.t VALUES (gen_random_uuid())")

        touch = "UPDATE workout_plans SET updated_at = '2020-01-01' RETURNING updated_at = now()"
        assert await conn.fetchval(touch)
        await conn.execute("ALTER TABLE workout_plans DISABLE TRIGGER USER")
        assert not await conn.fetchval(touch)

        published = (
            "SELECT tablename::text FROM pg_publication_tables WHERE pubname = 'supabase_realtime' ORDER BY tablename"
        )
        await conn.execute("ALTER PUBLICATION supabase_realtime ADD TABLE exercises")
        rows = await conn.fetch(published)
        assert [row["tablename"] for row in rows] == ["exercises", "workout_plans", "workout_sessions"]

        assert await conn.fetchval("SELECT count(*) FROM workout_plans") > 0
        await conn.execute("SET LOCAL ROLE authenticated")
        assert await conn.fetchval("SELECT count(*) FROM workout_plans") == 0


async def test_search_path_and_timeouts_are_supabases(database: TestDatabase, connect: Connect) -> None:
    conn = await connect(database.url)
    assert await conn.fetchval("SHOW search_path") == '"$user", public, extensions'
    assert await conn.fetchval("SHOW statement_timeout") == "2min"
    rows = await conn.fetch("SELECT rolname, rolconfig FROM pg_roles WHERE rolname IN ('anon', 'authenticated')")
    settings = {row["rolname"]: row["rolconfig"] for row in rows}
    assert settings == {"anon": ["statement_timeout=3s"], "authenticated": ["statement_timeout=8s"]}


async def test_auth_functions_read_both_forms_of_claims(conn: Connection) -> None:
    user = "00000000-0000-0000-0000-00000000000a"
    other = "00000000-0000-0000-0000-00000000000b"
    ask = "SELECT auth.uid()::text, auth.role(), auth.email()"

    async def claims(**values: str) -> tuple[str | None, ...]:
        async with conn.transaction():
            for name, value in values.items():
                await conn.execute("SELECT set_config($1, $2, true)", name.replace("__", "."), value)
            return tuple(await conn.fetchrow(ask) or ())

    whole = f'{{"sub": "{user}", "role": "authenticated", "email": "a@example.com"}}'
    assert await claims() == (None, None, None)
    assert await claims(request__jwt__claims=whole) == (user, "authenticated", "a@example.com")
    assert await claims(request__jwt__claims=whole, request__jwt__claim__sub=other) == (
        other,
        "authenticated",
        "a@example.com",
    )
    assert await claims(request__jwt__claims=whole, request__jwt__claim__sub="") == (
        user,
        "authenticated",
        "a@example.com",
    )
    assert await claims(request__jwt__claims="", request__jwt__claim__sub="") == (None, None, None)


async def seen_by(conn: Connection, user: object) -> dict[str, int]:
    """How many rows of each table a user of the app sees."""
    async with conn.transaction():
        await conn.execute("SET LOCAL ROLE authenticated")
        await conn.execute(CLAIM, str(user))
        return {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in v1.TABLES}


async def test_owner_sees_their_own_rows_only(clean_database: TestDatabase, connect: Connect) -> None:
    admin = await connect(clean_database.url)
    app = await connect(clean_database.authenticator_url)
    user = await admin.fetchval(
        "SELECT user_id FROM workout_plans WHERE user_id NOT IN (SELECT coach_id FROM coach_clients) LIMIT 1"
    )
    seen = await seen_by(app, user)
    own = await admin.fetchrow(
        """
        SELECT (SELECT count(*) FROM workout_plans WHERE user_id = $1),
               (SELECT count(*) FROM exercises e JOIN workout_plans p ON p.id = e.plan_id WHERE p.user_id = $1),
               (SELECT count(*) FROM workout_sessions WHERE user_id = $1),
               (SELECT count(*) FROM exercise_logs l JOIN workout_sessions s ON s.id = l.session_id
                WHERE s.user_id = $1)
        """,
        user,
    )
    assert own is not None
    assert tuple(seen.values()) == tuple(own)
    assert all(count > 0 for count in own)


async def test_coach_sees_active_clients_and_no_others(clean_database: TestDatabase, connect: Connect) -> None:
    admin = await connect(clean_database.url)
    app = await connect(clean_database.authenticator_url)
    coach = await admin.fetchval("SELECT coach_id FROM coach_clients WHERE status = 'active' LIMIT 1")
    visible = await admin.fetchval(
        """
        SELECT count(*) FROM workout_plans WHERE user_id = $1 OR user_id IN
            (SELECT client_id FROM coach_clients WHERE coach_id = $1 AND status = 'active')
        """,
        coach,
    )
    total = await admin.fetchval("SELECT count(*) FROM workout_plans")
    assert (await seen_by(app, coach))["workout_plans"] == visible
    assert 0 < visible < total
    async with app.transaction():
        await app.execute("SET LOCAL ROLE authenticated")
        await app.execute(CLAIM, str(coach))
        status = await app.execute("DELETE FROM workout_sessions WHERE user_id <> $1", coach)
        assert status == "DELETE 0"


async def test_strangers_and_anon_see_nothing(database: TestDatabase, connect: Connect) -> None:
    app = await connect(database.authenticator_url)
    assert set((await seen_by(app, "00000000-0000-0000-0000-000000000000")).values()) == {0}
    async with app.transaction():
        await app.execute("SET LOCAL ROLE anon")
        for table in v1.TABLES:
            assert await app.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_the_view_shows_no_more_than_its_reader_may_see(database: TestDatabase, connect: Connect) -> None:
    app = await connect(database.authenticator_url)
    if app.get_server_version().major < 15:
        # Views run with their owner's rights there, so the app may not read it at all.
        assert not await app.fetchval("SELECT has_table_privilege('authenticated', 'active_plans', 'SELECT')")
        return
    admin = await connect(database.url)
    user = await admin.fetchval("SELECT user_id FROM workout_plans WHERE is_active AND user_id IS NOT NULL LIMIT 1")
    async with app.transaction():
        await app.execute("SET LOCAL ROLE authenticated")
        await app.execute(CLAIM, str(user))
        shown = await app.fetch("SELECT DISTINCT id FROM active_plans")
        visible = await app.fetch("SELECT id FROM workout_plans WHERE is_active")
    assert {row["id"] for row in shown} == {row["id"] for row in visible}
    assert 0 < len(shown) < await admin.fetchval("SELECT count(*) FROM workout_plans WHERE is_active")


@pytest.mark.parametrize("open_by_default", [True, False])
async def test_new_tables_follow_the_default_privileges(make_database: MakeDatabase, open_by_default: bool) -> None:
    database = await make_database(SandboxOptions(empty=True, default_privileges=open_by_default))
    async with database.connect() as conn:
        await conn.execute("CREATE TABLE fresh (id int)")
        for role in ("anon", "authenticated", "service_role"):
            assert await conn.fetchval("SELECT has_table_privilege($1, 'fresh', 'INSERT')", role) is open_by_default
        assert await conn.fetchval("SELECT has_table_privilege('authenticated', 'workout_plans', 'INSERT')")


async def test_realtime_publication_belongs_to_postgres_and_carries_two_tables(conn: Connection) -> None:
    owner = await conn.fetchval(
        "SELECT pubowner::regrole::text FROM pg_publication WHERE pubname = 'supabase_realtime'"
    )
    tables = await conn.fetch("SELECT tablename FROM pg_publication_tables WHERE pubname = 'supabase_realtime'")
    assert owner == "postgres"
    assert {row["tablename"] for row in tables} == {"workout_plans", "workout_sessions"}
