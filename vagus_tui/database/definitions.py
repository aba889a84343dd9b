"""What hangs on tables, in the catalog's own words: columns, keys, indexes, triggers, policies, rights, sequences."""

from __future__ import annotations

from collections.abc import Sequence

from vagus_tui.database.connection import Connection

Inventory = dict[str, dict[str, dict[str, str]]]
"""By table (`schema.name`), by kind (keys, indexes …), by name: the definition."""

# search_path is pg_catalog while these run, so that every name outside it comes out with its schema.
_DEFINITIONS = """
with tables as (
  select c.oid, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
         n.nspname || '.' || c.relname as key
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where (n.nspname, c.relname) in ({tables})
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
  select x.stxrelid, pg_catalog.format('%I.%I', n.nspname, x.stxname) as name, k.kind, k.body
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


def definitions_sql(tables: str) -> str:
    """The query, with a row for each thing: key (`schema.name`), kind, name, body.

    Run it with pg_catalog as the search path.

    Args:
        tables: what names the tables, as pairs of schema and name: a query, or a list of pairs.
    """
    return _DEFINITIONS.format(tables=tables)


async def read_definitions(connection: Connection, tables: Sequence[tuple[str, str]]) -> Inventory:
    """Everything that hangs on tables, which are given by schema and name; a table that is gone has nothing."""
    found: Inventory = {f"{schema}.{name}": {} for schema, name in tables}
    query = definitions_sql("select * from unnest($1::text[], $2::text[])")
    for row in await connection.fetch(query, [schema for schema, _ in tables], [name for _, name in tables]):
        found[row["key"]].setdefault(row["kind"], {})[row["name"]] = row["body"]
    return found
