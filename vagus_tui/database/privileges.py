"""Who may do what with a table, and which publications carry it: read so that it can be given again."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection


@dataclass(frozen=True, slots=True)
class Grant:
    """Privileges of one role on one table, other than its owner's; on one column of it where `column` says so."""

    table: str
    grantee: str
    privileges: tuple[str, ...]
    grantable: bool
    column: str = ""


_GRANTS = """
with given as (
  select c.relname, c.relowner, '' as column, c.relacl as acl
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])
  union all
  select c.relname, c.relowner, a.attname, a.attacl
  from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
  where n.nspname = $1 and c.relname = any($2::text[]) and a.attacl is not null and not a.attisdropped)
select g.relname as table, coalesce(r.rolname, 'public') as grantee, a.is_grantable as grantable, g.column,
       array_agg(a.privilege_type::text order by a.privilege_type) as privileges
from given g cross join lateral aclexplode(g.acl) a left join pg_roles r on r.oid = a.grantee
where a.grantee <> g.relowner
group by 1, 2, 3, 4 order by 1, 4, 2, 3
"""


async def read_grants(connection: Connection, schema: str, tables: list[str]) -> list[Grant]:
    """The grants on tables and their columns, in a stable order. PostgreSQL 17's MAINTAIN is among them."""
    return [
        Grant(row["table"], row["grantee"], tuple(row["privileges"]), row["grantable"], row["column"])
        for row in await connection.fetch(_GRANTS, schema, tables)
    ]
