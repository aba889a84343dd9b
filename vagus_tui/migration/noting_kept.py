"""Noting what happens to the rows of the kept v1 tables after the cut-over, each as the cut-over left it.

The app cannot write there, but references can: a user who leaves takes along whatever v1 has under their name, even
what was handed over in v2 meanwhile. And somebody may write there by hand. A rollback puts such rows back as they were
(see `rollback/kept_rows.py`). The notes go with it, or with v1's clean-up: what users leave behind is not kept longer.
"""

from __future__ import annotations

from collections.abc import Iterable

from vagus_tui.database.connection import Connection
from vagus_tui.migration.capture import CAPTURE_TRIGGER, always
from vagus_tui.schema.identifiers import literal, qualified

KEPT_CHANGES = "vagus_migration.v1_kept_changes"
"""(id, table_name, row_id, was, by_hand): `table_name` is v1's own name, `was` NULL where there was no such row."""

_BODY = f"""
begin
  -- Whoever leaves must be able to, whatever was done to the notes.
  if to_regclass({literal(KEPT_CHANGES)}) is null then return null; end if;
  if tg_op <> 'INSERT' then
    insert into {KEPT_CHANGES} (table_name, row_id, was, by_hand)
    values (tg_argv[0], old.id::text, to_json(old), pg_trigger_depth() = 1);
  end if;
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and new.id is distinct from old.id) then
    insert into {KEPT_CHANGES} (table_name, row_id, by_hand)
    values (tg_argv[0], new.id::text, pg_trigger_depth() = 1);
  end if;
  return null;
end """

# What is emptied at a stroke fires no trigger per row.
_BODY_TRUNCATE = f"""
begin
  if to_regclass({literal(KEPT_CHANGES)}) is null then return null; end if;
  execute pg_catalog.format('insert into {KEPT_CHANGES} (table_name, row_id, was, by_hand) '
    'select %L, t.id::text, to_json(t.*), true from %s t', tg_argv[0], tg_relid::regclass);
  return null;
end """

_SPELLING = (
    "set search_path = '' set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' "
    "set extra_float_digits = 1 set bytea_output = 'hex'"
)
"""However the writer's session spells values: the notes say all of them, and the same way."""


def install_kept_notes() -> list[str]:
    """The table of notes, empty, and the functions behind the triggers."""
    return [
        f"drop table if exists {KEPT_CHANGES}",
        f"create table {KEPT_CHANGES} (id bigint generated always as identity, table_name text not null, "
        "row_id text not null, was json, by_hand boolean not null)",
        # Where a publication carries all tables, rows can be deleted only from tables that can tell them apart.
        f"alter table {KEPT_CHANGES} replica identity full",
        *(
            f"create or replace function vagus_migration.{name}() returns trigger\n"
            f"language plpgsql security definer {_SPELLING} as $${body}$$"
            for name, body in (("capture_kept", _BODY), ("capture_kept_truncate", _BODY_TRUNCATE))
        ),
    ]


def kept_triggers(relation: str, base: str) -> list[str]:
    """The triggers of one kept table, in place of those that noted changes for the migration. Safe to repeat."""
    name = literal(base).strip()
    return [
        f"create or replace trigger {CAPTURE_TRIGGER} after insert or update or delete on {relation} "
        f"for each row execute function vagus_migration.capture_kept({name})",
        f"create or replace trigger {CAPTURE_TRIGGER}_truncate before truncate on {relation} "
        f"for each statement execute function vagus_migration.capture_kept_truncate({name})",
        always(relation, CAPTURE_TRIGGER, f"{CAPTURE_TRIGGER}_truncate"),
    ]


async def kept_noted(connection: Connection, schema: str, names: Iterable[str]) -> bool:
    """Whether every row of these tables is noted: a migration of an earlier version noted none of them."""
    found: bool = await connection.fetchval(f"select {_noted(schema, list(names))}")
    return found


async def anything_noted(connection: Connection, *, by_hand: bool = False) -> bool:
    """Whether any row of the kept tables has gone or changed since, or with `by_hand`, so far as that did it."""
    if not await connection.fetchval("select to_regclass($1) is not null", KEPT_CHANGES):
        return False
    found: bool = await connection.fetchval(
        f"select exists(select from {KEPT_CHANGES} where by_hand or not $1)", by_hand
    )
    return found


async def why_changed(connection: Connection) -> str:
    """Why rows of the kept tables are not as the cut-over left them, as far as that was noted; a sentence or two."""
    if await anything_noted(connection) and not await anything_noted(connection, by_hand=True):
        return "Users have left, who take their rows along; nobody wrote there by hand."
    return "Somebody writes to v1's kept tables by hand. Find out who."


def _noted(schema: str, names: list[str]) -> str:
    tables = ", ".join(f"to_regclass({literal(qualified(schema, name)).strip()})" for name in names)
    return (
        f"to_regclass({literal(KEPT_CHANGES)}) is not null and {2 * len(names)} = (\n"
        "select count(*) from pg_trigger t join pg_proc f on f.oid = t.tgfoid\n"
        f"where t.tgrelid in ({tables}) and t.tgenabled = 'A' and t.tgqual is null\n"
        "  and f.pronamespace = to_regnamespace('vagus_migration')\n"
        "  and f.proname in ('capture_kept', 'capture_kept_truncate'))"
    )
