"""Whether every change to v1 was noted since a moment: what is not noted is not brought over, and no delta proves it.

Nothing that the app does gets past change capture. An import may: it switches the triggers of a table off, or the table
is emptied or written anew at a stroke (ALTER … TYPE … USING). A proof of every row holds until then, and no longer.
"""

from __future__ import annotations

from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.capture import CAPTURE_TRIGGER, CHANGE_LOG, captured, install_functions, install_triggers
from vagus_tui.migration.steps import latest_run
from vagus_tui.schema.identifiers import literal, qualified
from vagus_tui.schema.v1 import V1Shape

_TRIGGERS = f"('{CAPTURE_TRIGGER}', '{CAPTURE_TRIGGER}_truncate')"
_ON = f"""
(select count(*) from pg_trigger t join pg_proc f on f.oid = t.tgfoid
 where t.tgrelid = c.oid and t.tgname in {_TRIGGERS} and t.tgenabled = 'A'
   and f.pronamespace = to_regnamespace('vagus_migration')) = 2
"""


def _noted_tables(shape: V1Shape) -> str:
    """FROM and WHERE that give the tables whose changes are noted, as `c`."""
    names = ", ".join(literal(name).strip() for name in captured(shape).values())
    return (
        "pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname = {literal(shape.schema).strip()} and c.relname in ({names})"
    )


def mark_sql(shape: V1Shape) -> str:
    """A query for one word that stays the same as long as every change is noted; NULL where it is not now.

    The files of v1's tables, of staging and of the notes, the triggers and their functions, each in the version that
    it has.
    """
    return (
        "select case when there.whole then md5(pg_catalog.concat_ws(' ', there.files,\n"
        f"  pg_relation_filenode(to_regclass({literal(CHANGE_LOG).strip()})), there.triggers,\n"
        "  (select string_agg(pg_catalog.concat_ws(' ', c.oid, pg_relation_filenode(c.oid), t.oid, t.xmin), ' '\n"
        "   order by t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid\n"
        f"   where t.tgname in {_TRIGGERS} and c.relnamespace = to_regnamespace({literal(STAGING).strip()})),\n"
        "  (select string_agg(pg_catalog.concat_ws(' ', p.oid, p.xmin), ' ' order by p.oid) from pg_proc p\n"
        "   where p.pronamespace = to_regnamespace('vagus_migration') and p.proname like 'capture%'))) end\n"
        "from (\n"
        f"  select count(*) = {len(captured(shape))} and bool_and({_ON.strip()}) as whole,\n"
        "    string_agg(pg_catalog.concat_ws(' ', c.oid, pg_relation_filenode(c.oid)), ' ' order by c.oid) as files,\n"
        "    string_agg((select string_agg(pg_catalog.concat_ws(' ', t.oid, t.xmin), ' ' order by t.oid)\n"
        "                from pg_trigger t\n"
        f"                where t.tgrelid = c.oid and t.tgname in {_TRIGGERS}), ' ' order by c.oid) as triggers\n"
        f"  from {_noted_tables(shape)}) there"
    )


def script_mark(shape: V1Shape) -> str:
    """A statement that keeps that word with the run, for a script that begins to prove."""
    return (
        "update vagus_migration.runs set figures = figures || jsonb_build_object('noted', (\n"
        f"{mark_sql(shape)}\n)) {latest_run('migrate')}"
    )


def script_unnoted(shape: V1Shape) -> str:
    """A query for 0 while it is still that word, else 1."""
    return (
        f"select case when figures ->> 'noted' = (\n{mark_sql(shape)}\n) then 0 else 1 end\n"
        f"from vagus_migration.runs {latest_run('migrate')}"
    )


async def mark(connection: Connection, shape: V1Shape) -> str | None:
    """That word, as of now. The same word later, and nothing has gone unnoted in between."""
    found: str | None = await connection.fetchval(mark_sql(shape))
    return found


async def not_noted(connection: Connection, shape: V1Shape) -> list[str]:
    """The v1 tables (base names) whose changes nobody notes. One that is not there, or not by its name, is not among
    them; without the table of notes every write to any of them fails.
    """
    rows = await connection.fetch(
        f"select c.relname::text as name, {_ON.strip()} and to_regclass($1) is not null as noted\n"
        f"from {_noted_tables(shape)}",
        CHANGE_LOG,
    )
    noted = {row["name"]: row["noted"] for row in rows}
    return [base for base, name in captured(shape).items() if not noted.get(name, True)]


def noted_again(shape: V1Shape, bases: list[str]) -> list[str]:
    """Statements that put change capture back on tables: the plan's own, with its short locks."""
    return [install_functions(), *(text for base in bases for text in install_triggers(shape, base))]


def relations(shape: V1Shape, bases: list[str]) -> list[str]:
    """The quoted names of v1 tables."""
    return [qualified(shape.schema, captured(shape)[base]) for base in bases]
