"""How the cut-over left v1's kept tables, noted in the catalog's own words once it is done.

Nobody uses them then, and a rollback has to find them as they were: what somebody drops by hand it makes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.database.definitions import Inventory, definitions_sql
from vagus_tui.database.dependent_queries import SETTINGS
from vagus_tui.database.search_path import CATALOG_PATH, OWN_PATH
from vagus_tui.database.settings_sql import INDEX_TARGETS
from vagus_tui.events import Phase
from vagus_tui.migration.capture import V2_UNNOTED
from vagus_tui.migration.noting_kept import KEPT_CHANGES
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import literal

AS_KEPT = "vagus_migration.v1_as_kept"
AS_MOVED = "vagus_migration.surroundings_as_moved"
"""The note of what points at the workout tables from outside; see `surroundings.py`."""


def new_name(survey: Survey, base: str) -> str:
    """The name that a v1 table has after the cut-over."""
    name = survey.shape.tables[base].name
    return next((r.new for r in survey.renames if r.kind == "table" and r.old == name), name)


def kept_tables(survey: Survey) -> dict[str, str]:
    """The names that v1's tables have after the cut-over, by base name; the preferences too, if moved."""
    kept = {base: new_name(survey, base) for base in v1.TABLES}
    if survey.preferences == "rows":
        kept |= {r.old: r.new for r in survey.renames if r.kind == "table" and r.old == PREFERENCES}
    return kept


SETTING = "setting: "
"""Begins the kinds of the note that are settings and words; what follows is as `setting_sql` knows it."""

SETTINGS_NOTED = "settings noted"
"""The kind that says that they are: a note of an earlier version has none of them."""

_TOLD_OTHERWISE = ("replica identity", "CLUSTER mark", "FORCE ROW LEVEL SECURITY")
"""Settings that what hangs on the tables says too."""

_SETTINGS = """
with own as (select c.oid, c.relname, n.nspname || '.' || c.relname as key
             from pg_class c join pg_namespace n on n.oid = c.relnamespace where (n.nspname, c.relname) in ({tables})),
found as ({settings})
select own.key, '{mark}' || f.name as kind,
  -- Of an index, every expression has a target of its own.
  f.item || case f.name when '{targets}' then ' ' || split_part(f.value, ' ', 1) else '' end as name,
  string_agg(f.value, ', ' order by f.value) as body
from found f join own on own.relname = f."on" where f.name <> all(array[{besides}]) group by 1, 2, 3
union all
select own.key, '{mark}comments on triggers', t.tgname, obj_description(t.oid, 'pg_trigger')
from own join pg_trigger t on t.tgrelid = own.oid and not t.tgisinternal
where obj_description(t.oid, 'pg_trigger') is not null
union all
select own.key, '{mark}comments on policies', p.polname, obj_description(p.oid, 'pg_policy')
from own join pg_policy p on p.polrelid = own.oid where obj_description(p.oid, 'pg_policy') is not null
union all
select own.key, '{noted}', '', '' from own
"""


def settings_sql(tables: str) -> str:
    """The query for what somebody has set on tables or said of them, with the columns of `definitions_sql`."""
    return _SETTINGS.format(
        tables=tables,
        settings=SETTINGS.strip().replace("$1::oid[]", "array(select oid from own)"),
        mark=SETTING,
        noted=SETTINGS_NOTED,
        targets=INDEX_TARGETS,
        besides=", ".join(literal(name).strip() for name in _TOLD_OTHERWISE),
    )


def note_step(survey: Survey) -> PlanStep:
    """The step after the cut-over that notes it."""
    schema = literal(survey.shape.schema).strip()
    pairs = ", ".join(f"({schema}, {literal(name).strip()})" for name in kept_tables(survey).values())
    return PlanStep(
        "settle-v1-noted",
        Phase.SETTLE,
        "note what hangs on the kept v1 tables",
        (
            f"create table if not exists {AS_KEPT} "
            "(table_key text not null, kind text not null, name text not null, body text not null)",
            f"truncate {AS_KEPT}",
            CATALOG_PATH,
            f"insert into {AS_KEPT} select h.key, h.kind, h.name, h.body from (\n{definitions_sql(pairs)}) h",
            f"insert into {AS_KEPT} select s.key, s.kind, s.name, s.body from (\n{settings_sql(pairs)}) s",
            OWN_PATH,
        ),
        lock="none: it only reads the catalog",
        undo="none needed",
    )


def forget() -> str:
    """The statement that removes the notes: before a migration they are about an earlier one."""
    return f"drop table if exists {AS_KEPT}, {AS_MOVED}, {V2_UNNOTED}, {KEPT_CHANGES}"


async def read_settings(connection: Connection, schema: str, names: Sequence[str]) -> Inventory:
    """What is set on tables now, and said of them."""
    pairs = ", ".join(f"({literal(schema).strip()}, {literal(name).strip()})" for name in names)
    return _inventory(await connection.fetch(settings_sql(pairs)))


def _inventory(rows: Iterable[asyncpg.Record]) -> Inventory:
    found: Inventory = {}
    for row in rows:
        found.setdefault(row["key"], {}).setdefault(row["kind"], {})[row["name"]] = row["body"]
    return found


async def read_as_kept(connection: Connection) -> Inventory:
    """What was noted; nothing where a migration of an earlier version, or one that was interrupted, noted nothing."""
    if not await connection.fetchval("select to_regclass($1) is not null", AS_KEPT):
        return {}
    return _inventory(await connection.fetch(f"select table_key as key, kind, name, body from {AS_KEPT}"))
