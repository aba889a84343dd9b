"""What belongs to somebody else by now, and so cannot be moved by us: found beforehand, with whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vagus_tui.database.connection import Connection
from vagus_tui.rollback.findings import Prevents, relation_kind
from vagus_tui.schema.identifiers import qualified, quote

_RELATIONS = """
select c.relname::text as name, pg_get_userbyid(c.relowner)::text as owner, current_user::text as me,
  c.relkind::text as kind
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and not pg_has_role(c.relowner, 'usage') order by 1
"""

_ROUTINES = """
select w.name, w.arguments, pg_get_userbyid(p.proowner)::text as owner, current_user::text as me
from unnest($2::text[], $3::text[]) w (name, arguments)
join pg_proc p on p.oid = to_regprocedure(pg_catalog.format('%I.%I', $1::text, w.name) || w.arguments)
where not pg_has_role(p.proowner, 'usage') order by 1
"""


async def not_ours(
    connection: Connection, schema: str, relations: Iterable[str], functions: Mapping[str, str]
) -> list[Prevents]:
    """Tables and functions of a schema that are there and whose owner's rights we have not, with what settles it.

    Args:
        functions: argument lists by name.
    """
    found = [
        Prevents(
            f"{kind} {row['name']} belongs to {row['owner']} now, and only its owner can move it",
            f"alter {kind} {qualified(schema, row['name'])} owner to {quote(row['me'])}",
        )
        for row in await connection.fetch(_RELATIONS, schema, list(relations))
        for kind in (relation_kind(row["kind"]),)
    ]
    rows = await connection.fetch(_ROUTINES, schema, list(functions), list(functions.values()))
    return found + [
        Prevents(
            f"function {row['name']}{row['arguments']} belongs to {row['owner']} now, and only its owner can move it",
            f"alter function {qualified(schema, row['name'])}{row['arguments']} owner to {quote(row['me'])}",
        )
        for row in rows
    ]
