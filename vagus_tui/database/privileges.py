"""Who may do what with a table, and which publications carry it: read so that it can be given again."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection


@dataclass(frozen=True, slots=True)
class Grant:
    """Privileges of one role on one table, other than its owner's."""

    table: str
    grantee: str
    privileges: tuple[str, ...]
    grantable: bool


_GRANTS = """
select c.relname as table, coalesce(r.rolname, 'public') as grantee, a.is_grantable as grantable,
       array_agg(a.privilege_type::text order by a.privilege_type) as privileges
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
where n.nspname = $1 and c.relname = any($2::text[]) and a.grantee <> c.relowner
group by 1, 2, 3 order by 1, 2, 3
"""


async def read_grants(connection: Connection, schema: str, tables: list[str]) -> list[Grant]:
    """The grants on tables, in a stable order. PostgreSQL 17's MAINTAIN is among them where it was given."""
    return [
        Grant(row["table"], row["grantee"], tuple(row["privileges"]), row["grantable"])
        for row in await connection.fetch(_GRANTS, schema, tables)
    ]


async def read_owners(connection: Connection, schema: str, tables: list[str]) -> dict[str, str]:
    """The owner of each table."""
    rows = await connection.fetch(
        "select c.relname, pg_get_userbyid(c.relowner)::text as owner from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])",
        schema,
        tables,
    )
    return {row["relname"]: row["owner"] for row in rows}
