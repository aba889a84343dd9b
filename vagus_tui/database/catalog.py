"""Reading what is there from the system catalogs: relations, their columns, and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.schema.v1 import Column

_COLUMNS = """
with recursive behind as (
  select t.oid as of, t.oid as type, t.typbasetype as base, t.typtypmod as modifier,
         t.typnotnull as not_null, 1 as depth
  from pg_type t where t.typtype = 'd'
  union all
  select b.of, t.oid, t.typbasetype, t.typtypmod, t.typnotnull, b.depth + 1
  from behind b join pg_type t on t.oid = b.base and t.typtype = 'd'
), domains as (
  select b.of, bool_or(b.not_null) as not_null,
         (array_agg(format_type(b.base, b.modifier) order by b.depth desc))[1] as base,
         array(select pg_get_expr(k.conbin, 0) from behind r join pg_constraint k on k.contypid = r.type
               where r.of = b.of and k.contype = 'c' order by r.depth desc, k.conname) as rules
  from behind b group by b.of
)
select c.relname as relation, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       -- From PostgreSQL 18 on a column may be NOT NULL for new rows alone.
       (a.attnotnull and not exists (select from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'n'
                                     and not k.convalidated and k.conkey[1] = a.attnum))
         or coalesce(m.not_null, false) as not_null, pg_get_expr(d.adbin, d.adrelid) as default,
       a.attgenerated <> '' as generated, a.attidentity::text as identity,
       (select pg_catalog.format('%I.%I', cn.nspname, co.collname) from pg_collation co
        join pg_namespace cn on cn.oid = co.collnamespace
        where co.oid = a.attcollation and a.attcollation <> t.typcollation) as collation,
       exists(select from pg_depend u join pg_class q on q.oid = u.refobjid and q.relkind = 'S'
                join pg_depend w on w.classid = 'pg_class'::regclass and w.objid = q.oid and w.deptype = 'a'
              where u.classid = 'pg_attrdef'::regclass and u.objid = d.oid
                and u.refclassid = 'pg_class'::regclass and w.refobjsubid > 0) as serial,
       coalesce(m.base, '') as base, coalesce(m.rules, '{}') as rules
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join domains m on m.of = a.atttypid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm')
order by c.relname, a.attnum
"""


async def read_columns(connection: Connection, schema: str = "public") -> dict[str, dict[str, Column]]:
    """The columns of every table and view of a schema, by relation and column name, in their order."""
    found: dict[str, dict[str, Column]] = {}
    for row in await connection.fetch(_COLUMNS, schema):
        column = Column(
            name=row["name"],
            type=row["type"],
            not_null=row["not_null"],
            default=row["default"],
            generated=row["generated"],
            identity=row["identity"],
            collation=row["collation"] or "",
            base=row["base"],
            rules=tuple(row["rules"]),
            serial=row["serial"],
        )
        found.setdefault(row["relation"], {})[column.name] = column
    return found


@dataclass(frozen=True, slots=True)
class TableNames:
    """Every name that a table brings along and that lives in the schema's own name space.

    `constraints` are those whose name is not also an index's (checks, foreign keys); `indexes` include
    the ones behind primary keys and unique constraints. `statistics` are the extended ones in the table's own schema
    that are ours to rename, and `statistics_there` every such name in that schema. `constraints_there` is every name
    that a constraint of the table has, of whatever kind.
    """

    table: str
    indexes: tuple[str, ...]
    constraints: tuple[str, ...]
    sequences: tuple[str, ...]
    statistics: tuple[str, ...] = ()
    statistics_there: tuple[str, ...] = ()
    constraints_there: tuple[str, ...] = ()


_NAMES = """
select c.relname as table_name,
  array(select i.relname::text from pg_index x join pg_class i on i.oid = x.indexrelid
        where x.indrelid = c.oid order by 1) as indexes,
  array(select k.conname::text from pg_constraint k
        where k.conrelid = c.oid and k.contype in ('c', 'f') and k.conislocal order by 1) as constraints,
  array(select s.relname::text from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
        where d.refobjid = c.oid and d.refclassid = 'pg_class'::regclass and d.classid = 'pg_class'::regclass
          and d.deptype in ('a', 'i') order by 1) as sequences,
  array(select s.stxname::text from pg_statistic_ext s where s.stxrelid = c.oid and s.stxnamespace = c.relnamespace
        and pg_has_role(s.stxowner, 'usage') order by 1) as statistics,
  array(select s.stxname::text from pg_statistic_ext s where s.stxnamespace = c.relnamespace order by 1)
    as statistics_there,
  array(select k.conname::text from pg_constraint k where k.conrelid = c.oid order by 1) as constraints_there
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind in ('r', 'p')
"""


async def read_names(connection: Connection, schema: str, tables: list[str]) -> dict[str, TableNames]:
    """The names of indexes, constraints and owned sequences of tables, by table name."""
    return {
        row["table_name"]: TableNames(
            row["table_name"],
            tuple(row["indexes"]),
            tuple(row["constraints"]),
            tuple(row["sequences"]),
            tuple(row["statistics"]),
            tuple(row["statistics_there"]),
            tuple(row["constraints_there"]),
        )
        for row in await connection.fetch(_NAMES, schema, tables)
    }
