"""What else of a database hangs on some relations, in the server's words."""

from __future__ import annotations

from collections.abc import Sequence

from vagus_tui.database.connection import Connection

_HANGING = """
with mine as (
  select c.oid, c.reltype, t.typarray from pg_class c join pg_namespace n on n.oid = c.relnamespace
  left join pg_type t on t.oid = c.reltype
  where (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))
)
select distinct case when r.rulename = '_RETURN' then pg_describe_object('pg_class'::regclass, r.ev_class, 0)
  else pg_describe_object(d.classid, d.objid, d.objsubid) end as what
from pg_depend d
left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
left join pg_policy p on d.classid = 'pg_policy'::regclass and p.oid = d.objid
left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
left join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid
cross join lateral (select coalesce(
  (pg_identify_object(d.classid, d.objid, d.objsubid)).schema,
  (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = r.ev_class), '') as name
) as place
where d.deptype = 'n'
  and ((d.refclassid = 'pg_class'::regclass and d.refobjid in (
        select oid from mine union select q.objid from pg_depend q
        join mine on q.refobjid = mine.oid and q.refclassid = 'pg_class'::regclass
        -- Sequences that go with a column.
        where q.classid = 'pg_class'::regclass and q.deptype in ('a', 'i')))
    or (d.refclassid = 'pg_type'::regclass
        and d.refobjid in (select reltype from mine union select typarray from mine)))
  and coalesce(k.conrelid, p.polrelid, r.ev_class, t.tgrelid, 0) not in (select oid from mine)
  and not (d.classid = 'pg_class'::regclass and d.objid in (select oid from mine))
  and not (d.classid = 'pg_attrdef'::regclass
           and (select adrelid from pg_attrdef where oid = d.objid) in (select oid from mine))
  and not starts_with(place.name, $3) and place.name <> all($4::text[])
order by 1
"""


async def hanging_on(
    connection: Connection, relations: Sequence[tuple[str, str]], *, besides: str, schemas: Sequence[str] = ()
) -> list[str]:
    """What hangs on relations, each given by schema and name.

    Args:
        besides: the beginning of the names of schemas whose contents are left out, as are those of `schemas`.
    """
    rows = await connection.fetch(
        _HANGING, [schema for schema, _ in relations], [name for _, name in relations], besides, list(schemas)
    )
    return [row["what"] for row in rows]
