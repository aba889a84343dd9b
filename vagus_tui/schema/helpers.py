"""Schemas that a migration or a rollback makes for itself: marked as such, so that nobody else's is ever dropped."""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal, quote
from vagus_tui.schema.rights import bare_schema

MARK = "Made by vagus-tui for a migration or a rollback, which remove it themselves."
"""The comment by which such a schema is told from somebody else's of the same name."""


def made(schema: str) -> list[str]:
    """Make a schema of our own, closed to everybody else. It fails where one of that name is there already."""
    return [
        f"create schema {quote(schema)}",
        f"comment on schema {quote(schema)} is {literal(MARK).strip()}",
        bare_schema(schema),
    ]


def ours(schema: str) -> str:
    """A condition: the schema is there, and of our own making."""
    namespace = f"to_regnamespace({literal(quote(schema)).strip()})"
    return f"coalesce(obj_description({namespace}, 'pg_namespace') = {literal(MARK).strip()}, false)"


def dropped(schema: str) -> str:
    """Drop a schema of our own with everything in it; leave one of somebody else's, or none, as it is."""
    return f"do $vagus$ begin if {ours(schema)} then drop schema {quote(schema)} cascade; end if; end $vagus$"


def retired(schema: str, archive: str) -> str:
    """Drop a schema of our own; where others have made something that reads its views, it stays, beside an archive."""
    block = (
        f"declare one record; begin\nif not {ours(schema)} then return; end if;\n"
        f"begin\n{_views_dropped(schema)}"
        "exception when dependent_objects_still_exist then\n"
        f"  alter schema {quote(schema)} rename to {quote(set_aside(schema, archive))};\n"
        "end;\nend"
    )
    return f"do {literal(block)}"


def _views_dropped(schema: str) -> str:
    """Statements of a block: drop a schema of views, and of the functions behind them, if nothing else reads them."""
    name = literal(schema).strip()
    return (
        "  for one in select pg_catalog.format('%I.%I', n.nspname, c.relname) as relation from pg_class c\n"
        f"      join pg_namespace n on n.oid = c.relnamespace where n.nspname = {name} and c.relkind = 'v' loop\n"
        "    execute 'drop view ' || one.relation;\n  end loop;\n"
        "  for one in select p.oid::regprocedure as function from pg_proc p\n"
        f"      join pg_namespace n on n.oid = p.pronamespace where n.nspname = {name} loop\n"
        "    execute 'drop function ' || one.function;\n  end loop;\n"
        f"  drop schema {quote(schema)};\n"
    )


def dropped_if_unused(schema: str) -> str:
    """Drop a schema of our own with views, unless somebody reads them: what hangs on them, or names the schema.

    A function finds them by its search path or in its text, of which the server keeps no record.
    """
    name = literal(schema).strip()
    block = (
        f"declare one record; begin\nif not {ours(schema)}\n"
        "  or exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace\n"
        f"    where n.nspname <> {name}\n"
        f"      and strpos(pg_catalog.concat_ws(' ', p.prosrc, p.proconfig::text), {name}) > 0)\n"
        f"  or exists (select from pg_db_role_setting s where strpos(s.setconfig::text, {name}) > 0)\n"
        f"then return; end if;\n{_views_dropped(schema)}"
        "exception when dependent_objects_still_exist then null; end"
    )
    return f"do {literal(block)}"


def emptied(schema: str, archive: str) -> str:
    """Drop a schema of our own that is empty by now; what was left in it stays, beside an archive."""
    block = (
        f"begin\nif not {ours(schema)} then return; end if;\n"
        f"begin\n  drop schema {quote(schema)};\n"
        "exception when dependent_objects_still_exist then\n"
        f"  alter schema {quote(schema)} rename to {quote(set_aside(schema, archive))};\n"
        "end;\nend"
    )
    return f"do {literal(block)}"


def set_aside(schema: str, archive: str) -> str:
    """The name that a schema of our own gets beside an archive."""
    return f"{archive}_{schema}"[:63]
