"""What hangs on the tables of a backup, in the catalog's own words: what a restore has to bring back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vagus_tui.backup.tables import BackupTable
from vagus_tui.backup.wording import canonical
from vagus_tui.database.connection import Connection

Inventory = dict[str, dict[str, dict[str, str]]]
"""By table (`schema.name`), by kind (keys, indexes …), by name: the definition."""

# search_path is pg_catalog while these run, so that every name outside it comes out with its schema.
_QUERY = """
with tables as (
  select c.oid, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
         n.nspname || '.' || c.relname as key
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))
)
select key, 'columns' as kind, a.attname::text as name,
       format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
       || coalesce(case when a.attgenerated <> '' then ' generated ' else ' default ' end
                   || pg_get_expr(d.adbin, d.adrelid), '')
       || case a.attidentity when 'a' then ' identity always' when 'd' then ' identity by default' else '' end as body
from tables join pg_attribute a on a.attrelid = oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
union all
select key, 'keys', k.conname::text, pg_get_constraintdef(k.oid)
from tables join pg_constraint k on k.conrelid = tables.oid and k.contype in ('p', 'u', 'f', 'c', 'x')
union all
select key, 'indexes', i.relname::text, pg_get_indexdef(x.indexrelid)
  || case when x.indisclustered then ' clustered' else '' end
  || case when x.indisreplident then ' replica identity' else '' end
from tables join pg_index x on x.indrelid = tables.oid join pg_class i on i.oid = x.indexrelid
where x.indisvalid
union all
select key, 'triggers', t.tgname::text, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
from tables join pg_trigger t on t.tgrelid = tables.oid and not t.tgisinternal
union all
select key, 'policies', p.polname::text,
  case when p.polpermissive then 'permissive' else 'restrictive' end || ' for ' || p.polcmd::text
  || ' to ' || coalesce((select string_agg(coalesce(r.rolname::text, 'public'), ', ' order by r.rolname)
                         from unnest(p.polroles) as u(role) left join pg_roles r on r.oid = u.role), '')
  || coalesce(' using ' || pg_get_expr(p.polqual, p.polrelid), '')
  || coalesce(' check ' || pg_get_expr(p.polwithcheck, p.polrelid), '')
from tables join pg_policy p on p.polrelid = tables.oid
union all
select key, 'row security', 'flags',
  case when relrowsecurity then 'on' else 'off' end || case when relforcerowsecurity then ', forced' else '' end
from tables
union all
select key, 'grants', coalesce(r.rolname::text, 'public'),
  string_agg(g.privilege_type || case when g.is_grantable then '*' else '' end, ', ' order by g.privilege_type)
from tables cross join aclexplode(coalesce(relacl, acldefault('r', relowner))) as g
left join pg_roles r on r.oid = g.grantee
-- PostgreSQL 17 knows one privilege more, and grants it with ALL.
where g.privilege_type <> 'MAINTAIN'
group by key, r.rolname
union all
select key, 'column grants', a.attname || ' to ' || coalesce(r.rolname::text, 'public'),
  string_agg(g.privilege_type || case when g.is_grantable then '*' else '' end, ', ' order by g.privilege_type)
from tables join pg_attribute a on a.attrelid = tables.oid and a.attacl is not null and not a.attisdropped
cross join aclexplode(a.attacl) as g left join pg_roles r on r.oid = g.grantee
group by key, a.attname, r.rolname
union all
select key, s.kind, s.name, s.body from tables join lateral (
  select x.stxrelid, format('%I.%I', n.nspname, x.stxname) as name, k.kind, k.body
  from pg_statistic_ext x join pg_namespace n on n.oid = x.stxnamespace cross join lateral (values
    ('statistics', coalesce('(' || (
       select string_agg(case c when 'd' then 'ndistinct' when 'f' then 'dependencies' when 'm' then 'mcv' end, ', ')
       from unnest(x.stxkind) c where c <> 'e') || ') ', '') || 'on ' || pg_get_statisticsobjdef_columns(x.oid)),
    ('statistics targets', case when x.stxstattarget >= 0 then x.stxstattarget::text end),
    ('statistics comments', obj_description(x.oid, 'pg_statistic_ext'))) k(kind, body)
  where k.body is not null) s on s.stxrelid = tables.oid
union all
select key, 'owner', 'owner', pg_get_userbyid(relowner)::text from tables
union all
select key, 'replica identity', 'replica identity', relreplident::text from tables
union all
select key, 'sequences', s.relname::text,
  'of ' || a.attname || ' last ' || coalesce(pg_sequence_last_value(s.oid)::text, 'none')
from tables
join pg_depend d on d.refobjid = tables.oid and d.refclassid = 'pg_class'::regclass
  and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0
join pg_class s on s.oid = d.objid and s.relkind = 'S'
join pg_attribute a on a.attrelid = tables.oid and a.attnum = d.refobjsubid
where case when s.relkind = 'S' then has_sequence_privilege(s.oid, 'select') end
order by 1, 2, 3
"""
_FOREIGN = """
select n.nspname as schema, c.relname as name, rn.nspname as to_schema, r.relname as to_name,
       array(select a.attname::text from unnest(k.conkey) with ordinality as u(num, pos)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.pos) as columns,
       array(select a.attname::text from unnest(k.confkey) with ordinality as u(num, pos)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num order by u.pos) as to_columns
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.convalidated
  and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))
  and (rn.nspname, r.relname) not in (select * from unnest($1::text[], $2::text[]))
order by n.nspname, c.relname, k.conname
"""


def _pairs(tables: Sequence[BackupTable]) -> tuple[list[str], list[str]]:
    return [table.schema for table in tables], [table.name for table in tables]


async def read_inventory(connection: Connection, tables: Sequence[BackupTable]) -> Inventory:
    """Everything that hangs on the tables: columns, keys, indexes, triggers, policies, grants, sequences."""
    found: Inventory = {table.key: {} for table in tables}
    for row in await connection.fetch(_QUERY, *_pairs(tables)):
        found[row["key"]].setdefault(row["kind"], {})[row["name"]] = row["body"]
    return found


@dataclass(frozen=True, slots=True)
class OutsideKey:
    """A foreign key to a table that is not in the backup, such as auth.users."""

    schema: str
    name: str
    columns: tuple[str, ...]
    to_schema: str
    to_name: str
    to_columns: tuple[str, ...]


async def read_outside_keys(connection: Connection, tables: Sequence[BackupTable]) -> tuple[OutsideKey, ...]:
    """The foreign keys that lead out of the backup: what they name has to be there before a restore adds them."""
    return tuple(
        OutsideKey(
            schema=row["schema"],
            name=row["name"],
            columns=tuple(row["columns"]),
            to_schema=row["to_schema"],
            to_name=row["to_name"],
            to_columns=tuple(row["to_columns"]),
        )
        for row in await connection.fetch(_FOREIGN, *_pairs(tables))
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a restore brought back otherwise, or not at all.

    `worded` means that it is there, and that only the server's wording of it differs: two major versions may print
    the same expression differently.
    """

    kind: str
    name: str
    expected: str
    found: str
    worded: bool = False

    def __str__(self) -> str:
        if not self.found:
            return f"{self.kind}: {self.name} is missing"
        if not self.expected:
            return f"{self.kind}: {self.name} was not there before"
        return f"{self.kind}: {self.name} is “{self.found}”, was “{self.expected}”"


_LEFT_OUT = frozenset({"statistics", "statistics targets", "statistics comments"})
"""What pg_dump leaves out when it is asked for single tables; a rollback makes it from the inventory."""

_WORDED = frozenset({"columns", "keys", "indexes", "triggers", "policies"})


def _plain(text: str) -> str:
    """A definition without what two versions print differently though it means the same."""
    return re.sub(r"[\s()]+", "", text).lower()


def differences(
    expected: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[str, str]], *, same_major: bool
) -> Iterator[Difference]:
    """Compare what hangs on one table before and after.

    Args:
        same_major: both were read from the same major version, so every word counts.
    """
    for kind in sorted({*expected, *found} - _LEFT_OUT):
        before, after = expected.get(kind, {}), found.get(kind, {})
        for name in sorted({*before, *after}):
            was, now = before.get(name, ""), after.get(name, "")
            if was == now or (was and now and kind in _WORDED and canonical(was) == canonical(now)):
                continue
            worded = bool(was and now and not same_major and kind in _WORDED and _plain(was) == _plain(now))
            yield Difference(kind, name, was, now, worded)
