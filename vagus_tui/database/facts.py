"""What the overview says about a server and its workout tables: identity, counts, what hangs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified

EXACT_LIMIT = 3_000_000
"""Tables that the statistics say are larger are not counted for the overview: a count holds a lock for as long as
it runs, and a cut-over would have to wait for it."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Who answers: version as in "17.4", the session's user, whether TLS is on, and whether it looks like Supabase."""

    version: str
    major: int
    user: str
    tls: str
    supabase: bool
    size: int


_SERVER = """
select current_setting('server_version') as version,
       current_setting('server_version_num')::int / 10000 as major,
       current_user::text as user,
       coalesce((select s.version from pg_stat_ssl s where s.pid = pg_backend_pid() and s.ssl), '') as tls,
       exists(select from pg_roles where rolname = 'supabase_admin') as supabase,
       pg_database_size(current_database()) as size
"""


async def server_facts(connection: Connection) -> ServerFacts:
    """The server's identity in one query."""
    row = await connection.fetchrow(_SERVER)
    assert row is not None
    values = dict(row)
    values["version"] = values["version"].split(" ")[0]
    return ServerFacts(**values)


@dataclass(frozen=True, slots=True)
class Count:
    """Rows of one table; `exact` is False for the statistics' estimate of a very large one."""

    rows: int
    exact: bool = True


async def counts(connection: Connection, tables: Mapping[str, str], *, schema: str = "public") -> dict[str, Count]:
    """Rows of each table, by the caller's word for it.

    Args:
        tables: the table's name by the word it is known under, such as `{"plans": "workout_plans_v1"}`.
    """
    rows_of = await connection.fetch(
        "select c.relname as name, c.reltuples::bigint as estimate, "
        "not has_table_privilege(c.oid, 'select') or row_security_active(c.oid) as hidden from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])",
        schema,
        list(tables.values()),
    )
    estimates = {row["name"]: int(row["estimate"]) for row in rows_of}
    hidden = {row["name"] for row in rows_of if row["hidden"]}
    found: dict[str, Count] = {}
    for word, table in tables.items():
        if table not in estimates:
            continue
        if table in hidden and estimates[table] < 0:
            continue
        # Whoever may not see every row would count those of nobody: the statistics know better.
        if estimates[table] > EXACT_LIMIT or table in hidden:
            found[word] = Count(estimates[table], exact=False)
            continue
        try:
            rows = await connection.fetchval(f"select count(*) from {qualified(schema, table)}")
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.UndefinedTableError):
            # Somebody holds the table, a cut-over perhaps: the statistics have to do.
            found[word] = Count(max(0, estimates[table]), exact=False)
        else:
            found[word] = Count(int(rows))
    return found


_ACTIVITY = """
select coalesce(sum(s.n_tup_ins + s.n_tup_del), 0)::bigint
from pg_stat_user_tables s where s.schemaname = $1 and s.relname = any($2::text[])
"""


async def activity(connection: Connection, tables: list[str], *, schema: str = "public") -> int:
    """A number that moves when rows come or go, cheaper than counting them."""
    return int(await connection.fetchval(_ACTIVITY, schema, tables))


@dataclass(frozen=True, slots=True)
class Dependent:
    """Something that hangs on a workout table and has to move with it. `kind` is a plain word."""

    kind: str
    name: str
    table: str


_DEPENDENTS = """
with mine as (
  select c.oid, c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = any($2::text[]))
select kind, name, table_name from (
  select 'view' as kind, pg_catalog.format('%I.%I', vn.nspname, v.relname) as name, m.name as table_name
  from mine m
  join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = m.oid and d.classid = 'pg_rewrite'::regclass
  join pg_rewrite r on r.oid = d.objid
  join pg_class v on v.oid = r.ev_class and v.oid <> m.oid
  join pg_namespace vn on vn.oid = v.relnamespace
  group by 2, 3
  union all
  select 'foreign key', pg_catalog.format('%I.%I on %s', kn.nspname, k.conname, k.conrelid::regclass), m.name
  from mine m join pg_constraint k on k.confrelid = m.oid and k.contype = 'f'
  join pg_namespace kn on kn.oid = k.connamespace
  where k.conrelid not in (select oid from mine)
  union all
  select 'policy', p.polname::text, m.name from mine m join pg_policy p on p.polrelid = m.oid
  union all
  select 'trigger', t.tgname::text, m.name from mine m join pg_trigger t on t.tgrelid = m.oid and not t.tgisinternal
  union all
  select 'publication', pub.pubname::text, m.name
  from mine m join pg_publication_rel pr on pr.prrelid = m.oid join pg_publication pub on pub.oid = pr.prpubid
) as found
order by kind, table_name, name
"""


async def dependents(connection: Connection, tables: list[str], *, schema: str = "public") -> tuple[Dependent, ...]:
    """Views, foreign keys of other tables, policies, triggers and publications that hang on these tables."""
    return tuple(
        Dependent(row["kind"], row["name"], row["table_name"])
        for row in await connection.fetch(_DEPENDENTS, schema, tables)
    )
