"""Which tables belong to a backup: the workout tables, what is keyed to them, and what they are keyed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import SCHEMA as JOURNAL_SCHEMA
from vagus_tui.journal.state import ARCHIVE_PREFIX, RESTORING, STAGING, DatabaseState, State
from vagus_tui.schema import v1

MANAGED_SCHEMAS = (
    "auth",
    "storage",
    "realtime",
    "_realtime",
    "extensions",
    "graphql",
    "graphql_public",
    "vault",
    "pgsodium",
    "pgsodium_masks",
    "cron",
    "net",
    "supabase_functions",
    "supabase_migrations",
    "_supabase",
    "_analytics",
    "pgbouncer",
    "pgtle",
    "pgmq_public",
    "etl",
)
"""Supabase's own schemas: it restores them itself, and a dump of them cannot be restored."""

# Beside the four tables, where they are there.
RELATED = ("coach_clients", "notification_preferences", "user_preferences")


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column; `base_type` is a built-in type's name, or "" for enums, domains and the project's own types.

    `behind` is what its domain, or that one's domain, is made of; "" where the type is no domain.
    """

    name: str
    type: str
    base_type: str
    generated: bool
    behind: str = ""


@dataclass(frozen=True, slots=True)
class BackupTable:
    """One table to back up.

    Args:
        workout: one of the four (or v2's) tables themselves, which the CSV part holds too.
        partitioned: holds no rows itself; its partitions do.
        bytes: what its rows take on the server's disk, indexes apart.
        writes: rows inserted, updated and deleted since the server's statistics began.
    """

    schema: str
    name: str
    workout: bool
    partitioned: bool
    bytes: int
    writes: int
    columns: tuple[TableColumn, ...]

    @property
    def key(self) -> str:
        """Schema and name, for people and for the manifest."""
        return f"{self.schema}.{self.name}"

    @property
    def stored_columns(self) -> tuple[TableColumn, ...]:
        """Columns that hold data; generated ones are computed again."""
        return tuple(column for column in self.columns if not column.generated)


def workout_names(state: DatabaseState) -> list[str]:
    """The names in `public` that v1's and v2's tables have in this state; none where there are no such tables.

    Where the state is not known, whatever has one of these names: a backup is wanted most where something is wrong.
    """
    names = [table.name for table in state.shape.tables.values()] if state.shape else []
    if state.state in (State.MIGRATED, State.CLEANED, State.V1_RENAMED):
        names += [*v1.TABLES, *v1.HIERARCHY]
    elif state.state is State.UNKNOWN and not state.empty:
        names += [*v1.TABLES, *(base + v1.SUFFIX for base in v1.TABLES), *v1.HIERARCHY]
    return sorted(set(names))


_SELECT = """
with recursive workout as (
  select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'public' and c.relname = any($1::text[]) and c.relkind in ('r', 'p')
), base as (
  select oid from workout
  union
  select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'public' and c.relname = any($2::text[]) and c.relkind in ('r', 'p')
    and exists (select from workout)
  union
  select k.conrelid from pg_constraint k
  join workout on workout.oid = k.confrelid
  join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  where k.contype = 'f' and n.nspname <> all($3::text[]) and not starts_with(n.nspname, $4)
), keyed as (
  select oid from base
  union
  select k.confrelid from keyed
  join pg_constraint k on k.conrelid = keyed.oid and k.contype = 'f'
  join pg_class c on c.oid = k.confrelid join pg_namespace n on n.oid = c.relnamespace
  where n.nspname <> all($3::text[])
), chosen as (
  select oid from keyed
  union
  select i.inhrelid from chosen join pg_inherits i on i.inhparent = chosen.oid
)
"""
_ALL = """
with workout as (
  select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'public' and c.relname = any($1::text[]) and c.relkind in ('r', 'p') and $2::text[] is not null
), chosen as (
  select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname <> all($3::text[])
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and $4::text is not null
    and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                    and d.deptype = 'e')
)
"""
_DETAILS = """
select n.nspname as schema, c.relname as name, c.relkind = 'p' as partitioned,
       exists (select from workout where workout.oid = c.oid) as workout,
       -- Nothing where it went away since the snapshot, which is told by whoever reads it.
       coalesce(pg_table_size(c.oid), 0) as bytes,
       pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid)
         as writes,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as names,
       array(select format_type(a.atttypid, a.atttypmod) from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as types,
       array(select case when t.typtype = 'b' and tn.nspname = 'pg_catalog' then t.typname::text else '' end
             from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace tn on tn.oid = t.typnamespace
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as base_types,
       array(select coalesce((
               with recursive d as (
                 select t.typtype, t.typbasetype as base, t.typtypmod as modifier, 1 as depth
                 union all
                 select b.typtype, b.typbasetype, b.typtypmod, d.depth + 1 from d join pg_type b on b.oid = d.base
                 where d.typtype = 'd'
               ) select format_type(d.base, d.modifier) from d where d.typtype = 'd' order by d.depth desc limit 1), '')
             from pg_attribute a join pg_type t on t.oid = a.atttypid
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as behind,
       array(select a.attgenerated <> '' from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as generated
from chosen join pg_class c on c.oid = chosen.oid join pg_namespace n on n.oid = c.relnamespace
order by n.nspname, c.relname
"""


async def select_tables(
    connection: Connection, names: Sequence[str], *, everything: bool = False
) -> tuple[BackupTable, ...]:
    """The tables of a backup, by name.

    Args:
        names: the workout tables' names in `public`.
        everything: not only those and what is keyed to them, but all outside Supabase's own schemas.
    """
    skipped = [*MANAGED_SCHEMAS] if everything else [*MANAGED_SCHEMAS, JOURNAL_SCHEMA, STAGING, RESTORING]
    rows = await connection.fetch(
        (_ALL if everything else _SELECT) + _DETAILS, list(names), list(RELATED), skipped, ARCHIVE_PREFIX
    )
    return tuple(
        BackupTable(
            schema=row["schema"],
            name=row["name"],
            workout=row["workout"],
            partitioned=row["partitioned"],
            bytes=row["bytes"],
            writes=row["writes"],
            columns=tuple(
                TableColumn(*values)
                for values in zip(
                    row["names"], row["types"], row["base_types"], row["generated"], row["behind"], strict=True
                )
            ),
        )
        for row in rows
    )


_EXCLUDED = """
select n.nspname as name, n.nspname <> all($1::text[]) as surprising
from pg_namespace n
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and (n.nspname = any($1::text[]) or not has_schema_privilege(n.oid, 'usage'))
order by 1
"""
_UNREADABLE = """
select n.nspname as schema, c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm', 'S') and c.relpersistence <> 't' and n.nspname <> all($1::text[])
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and has_schema_privilege(n.oid, 'usage')
  and not case when c.relkind = 'S' then has_sequence_privilege(c.oid, 'select')
               else has_table_privilege(c.oid, 'select') end
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                  and d.deptype = 'e')
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a full dump leaves out: Supabase's schemas, and what this user may not read."""

    schemas: tuple[str, ...]
    unreadable_schemas: tuple[str, ...]
    unreadable_tables: tuple[tuple[str, str], ...]


async def left_out(connection: Connection) -> LeftOut:
    """What a full dump has to leave out of this database."""
    schemas = await connection.fetch(_EXCLUDED, list(MANAGED_SCHEMAS))
    tables = await connection.fetch(_UNREADABLE, list(MANAGED_SCHEMAS))
    return LeftOut(
        schemas=tuple(row["name"] for row in schemas),
        unreadable_schemas=tuple(row["name"] for row in schemas if row["surprising"]),
        unreadable_tables=tuple((row["schema"], row["name"]) for row in tables),
    )
