"""The catalog queries behind `around_reader.py`: what points at v2, and what it stands on, as it is now."""

from __future__ import annotations

RELATIONS = """
select w.home, w.name, c.oid is not null as there, coalesce(pg_has_role(c.relowner, 'usage'), false) as ours,
  pg_get_userbyid(c.relowner)::text as owner, c.relkind::text as relkind,
  array(select pg_catalog.quote_ident(a.attname) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  array(select pg_catalog.format('%I.%I', ln.nspname, l.relname) from pg_partition_tree(c.oid) t
        join pg_class l on l.oid = t.relid join pg_namespace ln on ln.oid = l.relnamespace
        where t.isleaf and c.relkind = 'p' order by 1) as leaves
from unnest($1::text[], $2::text[]) w (home, name)
left join pg_class c on c.oid = to_regclass(pg_catalog.format('%I.%I', w.home, w.name))
"""

MOVED_KEYS = """
select k.conname::text as name, n.nspname::text as home, c.relname::text as carrier
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.conparentid = 0 and rn.nspname = $1 and r.relname = $2 and k.conname = $3
"""

NUMBERED = """
select c.oid::bigint as number, n.nspname::text as home, c.relname::text as name, c.oid::regclass::text as spelled
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = any($1::oid[])
"""

PUBLICATIONS = """
select w.name, p.oid is not null as there, coalesce(p.puballtables, false) as wide,
  coalesce(pg_has_role(p.pubowner, 'usage'), false) as ours, pg_get_userbyid(p.pubowner)::text as owner,
  exists(select from pg_publication_rel r where r.prpubid = p.oid and r.prrelid = to_regclass(w.kept)) as carries_v1
from unnest($1::text[], $2::text[]) w (name, kept) left join pg_publication p on p.pubname = w.name
"""

ROUTINES = """
select w.place::integer as place, pg_get_userbyid(p.proowner)::text as owner
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) w (place, home, name, detail)
join pg_namespace n on n.nspname = w.home
join pg_proc p on p.pronamespace = n.oid and p.proname = w.name
  and '(' || pg_get_function_identity_arguments(p.oid) || ')' = w.detail
where not pg_has_role(p.proowner, 'usage')
"""

IN_THE_WAY = """
select w.kind, w.old, c.relkind::text as relkind
from unnest($2::text[], $3::text[]) w (kind, old) join pg_class c on c.relname = w.old
join pg_namespace n on n.oid = c.relnamespace and n.nspname = $1
where not (c.relname = any($4::text[]) and c.relkind in ('r', 'p'))
  -- Indexes and sequences of v2's tables go with them.
  and not exists (select from pg_index x join pg_class t on t.oid = x.indrelid
                  where x.indexrelid = c.oid and t.relnamespace = n.oid and t.relname = any($4::text[]))
  and not exists (select from pg_depend q join pg_class t on t.oid = q.refobjid
                  where q.classid = 'pg_class'::regclass and q.objid = c.oid and q.deptype in ('a', 'i')
                    and q.refclassid = 'pg_class'::regclass and t.relnamespace = n.oid and t.relname = any($4::text[]))
order by 2
"""

NAMED_ALIKE = """
select w.old, c.relname::text as carrier
from unnest($2::text[], $3::text[]) w (carrier, old) join pg_class c on c.relname = w.carrier
join pg_namespace n on n.oid = c.relnamespace and n.nspname = $1
join pg_constraint k on k.conrelid = c.oid and k.conname = w.old order by 2, 1
"""

OWN_NAMES = """
select w.place, f.home, f.name
from unnest($1::text[], $2::text[]) with ordinality w (kind, oid, place)
cross join lateral (select w.oid::bigint) o (number) cross join lateral (
  select ''::text as home, k.conname::text as name from pg_constraint k
  where w.kind = 'foreign key' and k.oid = o.number
  union all select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where w.kind in ('view', 'materialized view') and c.oid = o.number and c.relkind in ('v', 'm')
  union all select n.nspname, p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where w.kind = 'function' and p.oid = o.number
  union all select '', p.polname from pg_policy p where w.kind = 'policy' and p.oid = o.number
  union all select '', p.pubname from pg_publication p where w.kind = 'publication' and p.oid = o.number
) f
"""
