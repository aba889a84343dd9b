"""Believable v1 data, made in the server by set-based SQL, the same for the same options every time."""

from __future__ import annotations

from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.defects import plant_defects
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.stand_in import filled_in
from vagus_tui.sandbox.template import sql
from vagus_tui.schema import v1

_UUID_IDS = {
    "@PLAN@": "md5('plan-' || n::text)::uuid",
    "@EXERCISE@": "md5('exercise-' || n::text || '-' || e::text)::uuid",
    "@SESSION@": "md5('session-' || n::text || '-' || s::text)::uuid",
    "@LOG@": "md5('log-' || n::text || '-' || s::text || '-' || j::text)::uuid",
}
_BIGINT_IDS = {
    "@PLAN@": "n",
    "@EXERCISE@": "n * 100 + e",
    "@SESSION@": "n * 100 + s",
    "@LOG@": "(n * 100 + s) * 100 + j",
}


def user_count(options: SandboxOptions) -> int:
    """How many users the sample data has."""
    return max(12, options.plans // 4)


def coach_count(options: SandboxOptions) -> int:
    """How many of the users, the first ones, are coaches."""
    return max(2, user_count(options) // 20)


async def fill_v1(conn: Connection, options: SandboxOptions) -> None:
    """Fill empty v1 tables (not renamed yet) with users, coaches, plans and all below them.

    20,000 plans, with 200,000 exercises, 160,000 sessions and 1.9 million logs, take under two minutes.

    Args:
        conn: a connection as `postgres`, the tables' owner.
    """
    users, coaches = user_count(options), coach_count(options)
    async with conn.transaction():
        await conn.execute("SET LOCAL statement_timeout = 0")
        await conn.execute("SET LOCAL maintenance_work_mem = '256MB'")
        await conn.execute("SET LOCAL work_mem = '64MB'")
        await conn.execute(sql("v1_keys_drop.sql"))
        await conn.execute(_functions(conn, options))
        await conn.execute(sql("sample/users.sql"), users)
        await conn.execute(sql("sample/coach_clients.sql"), users, coaches)
        await conn.execute(sql("sample/shapes.sql"), options.plans, users, coaches)
        for name in ("plans", "exercises", "session_shapes", "sessions", "logs", "favourites"):
            await conn.execute(sql(f"sample/{name}.sql"))
        await conn.execute(sql("v1_primary_keys.sql"))
        if not options.clean:
            await plant_defects(conn)
        await conn.execute(filled_in("v1_keys.sql", conn, options))
        if options.bigint_ids:
            for table in v1.TABLES:
                await conn.execute(
                    f"SELECT setval(pg_get_serial_sequence('public.{table}', 'id'), max(id)) FROM public.{table}"
                )
        await conn.execute(sql("sample/functions_drop.sql"))
    await conn.execute("SET statement_timeout = 0")
    try:
        await conn.execute("ANALYZE")
    finally:
        await conn.execute("RESET statement_timeout")


def _functions(conn: Connection, options: SandboxOptions) -> str:
    text = filled_in("sample/functions.sql", conn, options)
    for token, expression in (_BIGINT_IDS if options.bigint_ids else _UUID_IDS).items():
        text = text.replace(token, expression)
    return text
