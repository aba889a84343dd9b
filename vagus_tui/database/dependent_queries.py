"""The catalog queries behind `read_dependents`, most of which go to the server together, with the same arguments.

$1 is the oids of v1's tables, $2 the schemas that we make, $3 a pattern for the names of v1's tables, $4 the oids of
what `SWAPPED` finds, $5 v1's schema.
"""

from __future__ import annotations

V1_OIDS = """
select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[])
"""

FOREIGN_KEYS = """
select n.nspname as schema, k.conname as name, c.relname as on, r.relname as target,
       pg_get_constraintdef(k.oid) as definition, k.convalidated as validated,
       obj_description(k.oid, 'pg_constraint') as comment, c.relkind = 'p' as partitioned,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as ours,
       array(select a.attname::text from unnest(k.confkey) with ordinality u(number, place)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number order by u.place) as columns,
       array(select pg_catalog.format('%I.%I', ln.nspname, l.relname) from pg_partition_tree(c.oid) t
             join pg_class l on l.oid = t.relid join pg_namespace ln on ln.oid = l.relnamespace
             where t.isleaf and c.relkind = 'p' order by 1) as leaves
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid
where k.contype = 'f' and k.confrelid = any($1::oid[]) and k.conrelid <> all($1::oid[]) and k.conparentid = 0
order by 1, 3, 2
"""

REFERENCES = """
select n.nspname as schema, k.conname as name, c.relname as on, r.relname as target, rn.nspname as target_schema,
       pg_get_constraintdef(k.oid) as definition, k.convalidated as validated,
       obj_description(k.oid, 'pg_constraint') as comment,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as ours,
       r.oid = any($1::oid[]) as inner,
       array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey))
         as columns,
       array(select a.attname::text from pg_attribute a where a.attrelid = r.oid and a.attnum = any(k.confkey))
         as referenced
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.conrelid = any($1::oid[]) and k.conparentid = 0
order by 1, 3, 2
"""

RELATIONS = """
with recursive reads as (
  select distinct r.ev_class as reader, d.refobjid as source
  from pg_depend d join pg_rewrite r on r.oid = d.objid and r.rulename = '_RETURN'
  join pg_class s on s.oid = d.refobjid
  where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and r.ev_class <> d.refobjid
    and (s.relkind in ('v', 'm') or s.oid = any($1::oid[]))),
reached (oid, depth) as (
  select reader, 1 from reads where source = any($1::oid[])
  union
  select r.reader, reached.depth + 1 from reads r join reached on reached.oid = r.source where reached.depth < 32)
select c.oid, n.nspname as schema, c.relname as name, c.relkind::text as relkind, max(x.depth) as depth,
       pg_get_viewdef(c.oid) as definition, coalesce(c.reloptions, '{}') as options, c.relispopulated as populated,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as ours,
       exists(select from pg_depend e where e.objid = c.oid and e.classid = 'pg_class'::regclass
              and e.deptype = 'e') as extension,
       array(select sn.nspname || '.' || s.relname from reads q join pg_class s on s.oid = q.source
             join pg_namespace sn on sn.oid = s.relnamespace where q.reader = c.oid and s.relkind = 'm' order by 1)
         as materialized,
       array(select s.relname::text from reads q join pg_class s on s.oid = q.source
             where q.reader = c.oid and s.oid = any($1::oid[]) order by 1) as tables,
       array(select distinct t.relname || '.' || a.attname from pg_rewrite w
             join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
               and d.refclassid = 'pg_class'::regclass and d.refobjsubid <> 0
             join pg_class t on t.oid = d.refobjid and t.oid = any($1::oid[])
             join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
             where w.ev_class = c.oid and w.rulename = '_RETURN') as uses,
       c.relkind = 'v' and pg_relation_is_updatable(c.oid, false) & 28 <> 0
         and exists(select from aclexplode(c.relacl) g
                    join (values ('INSERT', 4), ('DELETE', 8), ('UPDATE', 16)) w(right_to, bit)
                      on w.right_to = g.privilege_type
                    where g.grantee <> c.relowner and not exists (
                      select from pg_trigger t
                      where t.tgrelid = c.oid and t.tgtype & 64 <> 0 and t.tgtype & w.bit <> 0))
           as written,
       c.relkind = 'v' and pg_relation_is_updatable(c.oid, false) & 8 <> 0
         and (exists(select from aclexplode(c.relacl) g where g.grantee <> c.relowner and g.privilege_type = 'INSERT')
              or exists(select from pg_attribute a cross join lateral aclexplode(a.attacl) g
                        where a.attrelid = c.oid and g.grantee <> c.relowner and g.privilege_type = 'INSERT'))
         and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgtype & 68 = 68) as inserted,
       array(select pg_get_indexdef(i.indexrelid) from pg_index i where i.indrelid = c.oid order by i.indexrelid)
         as indexes,
       -- Name and definition by turns; those of another owner stay where they are.
       array(select part.text from pg_statistic_ext s join pg_namespace sn on sn.oid = s.stxnamespace
             cross join lateral (values (1, pg_catalog.quote_ident(sn.nspname)), (2, pg_catalog.quote_ident(s.stxname)),
               (3, pg_get_statisticsobjdef(s.oid))) part(place, text)
             where s.stxrelid = c.oid and c.relkind = 'm' and pg_has_role(s.stxowner, 'usage')
             order by s.oid, part.place) as statistics,
       exists(select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid
              and i.indpred is null and i.indexprs is null) as keyed,
       obj_description(c.oid, 'pg_class') as comment,
       case c.relkind when 'm' then (
         select md5(string_agg(
           (a.attrelid = c.oid, a.attname, a.attstorage, col_description(a.attrelid, a.attnum),
            nullif(a.attstattarget, -1), obj_description(a.attrelid, 'pg_class'), i.indisclustered)::text, ';'
           order by a.attrelid, a.attnum))
         from pg_attribute a left join pg_index i on i.indexrelid = a.attrelid
         where (a.attrelid = c.oid or i.indrelid = c.oid) and a.attnum > 0 and not a.attisdropped) end as notes
from reached x join pg_class c on c.oid = x.oid join pg_namespace n on n.oid = c.relnamespace
where n.nspname <> all($2::text[]) and c.relkind in ('v', 'm')
group by c.oid, n.nspname order by depth, 2, 3
"""
"""Views and materialized views that read v1, directly or through others; `depth` puts the sources before readers."""

SWAPPED = """
select distinct m.oid from pg_depend d join pg_rewrite r on r.oid = d.objid
join pg_class m on m.oid = r.ev_class and m.relkind = 'm' join pg_namespace n on n.oid = m.relnamespace
where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[])
  and n.nspname <> all($2::text[])
"""
"""Materialized views that read v1 themselves: others take their places, so what is bound to them is a dependent."""

RULES = """
select distinct n.nspname as schema, r.rulename as name, c.relname as on, pg_get_ruledef(r.oid) as definition,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as ours
from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
where r.rulename <> '_RETURN' and (r.ev_class = any($1::oid[]) or exists(
  select from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[])))
order by 1, 3, 2
"""

POLICIES = """
select n.nspname as schema, p.polname as name, c.relname as on,
       pg_get_expr(p.polqual, p.polrelid) as reads, pg_get_expr(p.polwithcheck, p.polrelid) as writes,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as ours,
       array(select distinct t.relname || '.' || a.attname from pg_depend d
             join pg_class t on t.oid = d.refobjid and t.oid = any($1::oid[])
             join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
             where d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
               and d.refobjsubid <> 0) as uses,
       array(select distinct t.relname::text from pg_depend d join pg_class t on t.oid = d.refobjid
             where d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
               and t.oid = any($1::oid[])) as tables,
       exists(select from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                and d.refclassid = 'pg_class'::regclass and d.refobjid = any($4::oid[])) as materialized
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where p.polrelid <> all($1::oid[]) and exists(
  select from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = p.oid
    and d.refclassid = 'pg_class'::regclass and (d.refobjid = any($1::oid[]) or d.refobjid = any($4::oid[])))
order by 1, 3, 2
"""

TRIGGERS = """
select n.nspname as schema, t.tgname as name, c.relname as on, pg_get_triggerdef(t.oid) as definition,
       t.tgenabled::text as enabled, obj_description(t.oid, 'pg_trigger') as comment,
       p.prosrc as source, l.lanname as language, fn.nspname as function_schema,
       p.proname as function_name, pg_catalog.format('%I.%I', n.nspname, c.relname) as relation,
       pg_get_userbyid(c.relowner)::text as owner, pg_has_role(c.relowner, 'usage') as ours,
       array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(t.tgattr))
         as columns
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid join pg_language l on l.oid = p.prolang
join pg_namespace fn on fn.oid = p.pronamespace
where t.tgrelid = any($1::oid[]) and not t.tgisinternal and t.tgname not like 'vagus\\_%'
order by 3, 2
"""

FUNCTIONS = """
select n.nspname as schema, p.proname as name, pg_get_function_identity_arguments(p.oid) as arguments,
       pg_get_functiondef(p.oid) as definition, p.prosrc as source, l.lanname as language, p.prokind::text as prokind,
       p.prosqlbody is not null as atomic,
       coalesce((select substr(s, 13) from unnest(p.proconfig) s where s like 'search\\_path=%'), '') as path,
       pg_get_userbyid(p.proowner)::text as owner, pg_has_role(p.proowner, 'usage') as ours,
       array(select distinct t.relname || '.' || a.attname from pg_depend d
             join pg_class t on t.oid = d.refobjid and t.oid = any($1::oid[])
             join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
             where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
               and d.refobjsubid <> 0) as uses,
       array(select distinct t.relname::text from pg_depend d join pg_class t on t.oid = d.refobjid
             where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
               and t.oid = any($1::oid[])) as tables,
       exists(select from pg_type y join pg_class c on c.oid = any($1::oid[] || $4::oid[]) and y.oid in (
                c.reltype, (select e.typarray from pg_type e where e.oid = c.reltype))
              where y.oid = p.prorettype or y.oid = any(p.proargtypes) or y.oid = any(p.proallargtypes)) as row_type,
       exists(select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                and d.refclassid = 'pg_class'::regclass and d.refobjid = any($4::oid[])) as materialized
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
where p.prokind in ('f', 'p') and n.nspname <> all($2::text[]) and n.nspname not like 'workout\\_v2\\_%'
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
  and not exists (select from pg_depend e where e.objid = p.oid and e.classid = 'pg_proc'::regclass and e.deptype = 'e')
  and (p.prosrc ~* $3::text
       or exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                  and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[] || $4::oid[]))
       or exists (select from pg_class c join pg_type y on y.oid in (
                    c.reltype, (select e.typarray from pg_type e where e.oid = c.reltype))
                  where c.oid = any($1::oid[] || $4::oid[]) and (y.oid = p.prorettype or y.oid = any(p.proargtypes)
                    or y.oid = any(p.proallargtypes))))
order by 1, 2, 3
"""

_PUBLICATIONS = """
select p.pubname as name, c.relname as on, {columns} as columns, {filter} as filter,
       pg_get_userbyid(p.pubowner)::text as owner, pg_has_role(p.pubowner, 'usage') as ours
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join pg_class c on c.oid = r.prrelid
where r.prrelid = any($1::oid[]) order by 1, 2
"""

_WIDE_PUBLICATIONS = """
select p.pubname as name, p.puballtables as all_tables, pg_get_userbyid(p.pubowner)::text as owner
from pg_publication p where p.puballtables {in_schema} order by 1
"""

DEFAULTS = """
select n.nspname as schema, a.attname as name, c.relname as on, pg_get_expr(d.adbin, d.adrelid) as definition,
       s.relname as sequence, o.relname as target
from pg_depend q join pg_class s on s.oid = q.objid and s.relkind = 'S' join pg_class o on o.oid = q.refobjid
join pg_depend u on u.classid = 'pg_attrdef'::regclass and u.refclassid = 'pg_class'::regclass and u.refobjid = s.oid
join pg_attrdef d on d.oid = u.objid join pg_class c on c.oid = d.adrelid
join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum = d.adnum
where q.classid = 'pg_class'::regclass and q.refclassid = 'pg_class'::regclass and q.refobjid = any($1::oid[])
  and q.deptype in ('a', 'i') and c.oid <> all($1::oid[])
order by 1, 3, 2
"""

ROW_TYPES = """
select n.nspname as schema, a.attname as name, c.relname as on, format_type(a.atttypid, null) as definition,
       t.relname as target
from pg_class t join pg_type y on y.oid in (t.reltype, (select e.typarray from pg_type e where e.oid = t.reltype))
join pg_attribute a on a.atttypid = y.oid and not a.attisdropped and a.attnum > 0
join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'f', 'c')
join pg_namespace n on n.oid = c.relnamespace
where t.oid = any($1::oid[]) order by 1, 3, 2
"""

SETTINGS = """
with mine as (select c.oid, c.relname, c.relreplident, c.relforcerowsecurity, c.reloptions, x.reloptions as toast
              from pg_class c left join pg_class x on x.oid = c.reltoastrelid where c.oid = any($1::oid[])),
of_columns as (select m.relname, a.*, t.typstorage from mine m join pg_attribute a on a.attrelid = m.oid
               join pg_type t on t.oid = a.atttypid where a.attnum > 0 and not a.attisdropped),
of_indexes as (select m.relname, i.oid as index, i.relname as index_name, x.indisclustered, x.indisreplident,
                 pg_get_indexdef(i.oid) as definition
               from mine m join pg_index x on x.indrelid = m.oid join pg_class i on i.oid = x.indexrelid)
select relname as on, 'statistics targets' as name, attname::text as item, attstattarget::text as value, '' as text
from of_columns where attstattarget >= 0
union all select relname, 'numbers of distinct values', attname, o.option, ''
from of_columns cross join lateral unnest(attoptions) o(option)
-- Servers since November 2026 keep a mark of their own beside what people set.
where starts_with(o.option, 'n_distinct')
union all select relname, 'storage of columns', attname,
  case attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end, ''
from of_columns where attstorage <> typstorage
union all select relname, 'compression of columns', attname, case attcompression when 'l' then 'lz4' else 'pglz' end, ''
from of_columns where attcompression <> ''
union all select relname, 'comments on columns', attname, col_description(attrelid, attnum), ''
from of_columns where col_description(attrelid, attnum) is not null
union all select relname, 'comment', '', obj_description(oid, 'pg_class'), ''
from mine where obj_description(oid, 'pg_class') is not null
union all select relname, 'storage parameters', split_part(o.option, '=', 1),
  substr(o.option, strpos(o.option, '=') + 1), ''
from mine cross join lateral (select unnest(reloptions) union all select 'toast.' || unnest(toast)) o(option)
union all select relname, 'replica identity', '', 'nothing', '' from mine where relreplident = 'n'
union all select relname, 'replica identity', index_name, 'index', definition from of_indexes where indisreplident
union all select relname, 'CLUSTER mark', index_name, 'index', definition from of_indexes where indisclustered
union all select x.relname, 'statistics targets of index expressions', x.index_name, a.attnum || ' ' || a.attstattarget,
  x.definition
from of_indexes x join pg_attribute a on a.attrelid = x.index and a.attstattarget >= 0
union all select relname, 'comments on indexes', index_name, obj_description(index, 'pg_class'), definition
from of_indexes where obj_description(index, 'pg_class') is not null
union all select m.relname, 'comments on constraints', k.conname, obj_description(k.oid, 'pg_constraint'),
  coalesce((select x.definition from of_indexes x where x.index = k.conindid and k.contype <> 'f'), '')
from mine m join pg_constraint k on k.conrelid = m.oid where obj_description(k.oid, 'pg_constraint') is not null
  and k.contype <> 'f'
union all select m.relname, 'comments on references', k.conname, obj_description(k.oid, 'pg_constraint'), a.attname
from mine m join pg_constraint k on k.conrelid = m.oid and k.contype = 'f'
join pg_attribute a on a.attrelid = m.oid and a.attnum = k.conkey[1]
where obj_description(k.oid, 'pg_constraint') is not null
union all select relname, 'FORCE ROW LEVEL SECURITY', '', 'on', '' from mine where relforcerowsecurity
order by 1, 2, 3, 4
"""
"""What somebody has set on v1's tables, columns and indexes; `item` is the column, option or index it is about."""

STATISTICS = """
select n.nspname as schema, s.stxname as name, c.relname as on, pg_get_statisticsobjdef(s.oid) as definition,
  pg_get_userbyid(s.stxowner)::text as owner, pg_has_role(s.stxowner, 'usage') as ours,
  s.stxstattarget as target, obj_description(s.oid, 'pg_statistic_ext') as comment,
  array(select case k when 'd' then 'ndistinct' when 'f' then 'dependencies' when 'm' then 'mcv' end
        from unnest(s.stxkind) k where k <> 'e' order by k) as kinds,
  array(select a.attname::text from unnest(s.stxkeys::smallint[]) with ordinality u(number, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = u.number order by u.place) as columns,
  coalesce(pg_get_statisticsobjdef_expressions(s.oid), '{}') as expressions,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0
        and a.attnum <> all(s.stxkeys::smallint[]) and exists (
          select from pg_depend d where d.classid = 'pg_statistic_ext'::regclass and d.objid = s.oid
          and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum)) as within,
  array(select o.stxname::text from pg_statistic_ext o join pg_namespace p on p.oid = o.stxnamespace
        where p.nspname = $5::text) as taken
from pg_statistic_ext s join pg_class c on c.oid = s.stxrelid join pg_namespace n on n.oid = s.stxnamespace
where s.stxrelid = any($1::oid[]) order by 3, 1, 2
"""
"""What the planner was told to find out about several columns of v1's tables at once; `within` are the columns that
only expressions look at, `taken` the names of such statistics in v1's schema."""


def publications(major: int) -> str:
    """Tables that are published by name. Column lists and row filters came with PostgreSQL 15."""
    if major < 15:
        return _PUBLICATIONS.format(columns="null::text[]", filter="null::text")
    return _PUBLICATIONS.format(
        columns="(select array_agg(a.attname::text order by a.attnum) from pg_attribute a "
        "where a.attrelid = c.oid and a.attnum = any(r.prattrs))",
        filter="pg_get_expr(r.prqual, r.prrelid)",
    )


def wide_publications(major: int) -> str:
    """Publications of every table, or (since PostgreSQL 15) of every table of v1's schema, $5."""
    in_schema = "and $5::text is not null"
    if major >= 15:
        in_schema = (
            "or exists(select from pg_publication_namespace x join pg_namespace n on n.oid = x.pnnspid "
            "where x.pnpubid = p.oid and n.nspname = $5::text)"
        )
    return _WIDE_PUBLICATIONS.format(in_schema=in_schema)


def together(major: int) -> dict[str, str]:
    """All that is asked for together, by name."""
    return {
        "foreign_keys": FOREIGN_KEYS,
        "references": REFERENCES,
        "relations": RELATIONS,
        "rules": RULES,
        "policies": POLICIES,
        "triggers": TRIGGERS,
        "functions": FUNCTIONS,
        "publications": publications(major),
        "wide_publications": wide_publications(major),
        "defaults": DEFAULTS,
        "row_types": ROW_TYPES,
        "settings": SETTINGS,
        "statistics": STATISTICS,
    }
