"""How the cut-over left what points at the workout tables from outside, noted in the catalog's own words.

A rollback binds all of it to v1 again. What somebody dropped or altered by hand meanwhile it finds by this note, and
what is gone it makes again with the rights and comments that are noted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.database.search_path import OWN_PATH
from vagus_tui.events import Phase
from vagus_tui.migration.kept_v1 import AS_MOVED
from vagus_tui.migration.repoint import foreign_keys, functions, of_kind, policies, publications
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import Survey
from vagus_tui.schema.identifiers import literal, quote

Thing = tuple[str, str, str, str, str]
"""What tells one of them from the others: kind, schema, the relation that carries it, name, argument types."""


@dataclass(frozen=True, slots=True)
class Described:
    """One thing in the catalog's words.

    Args:
        body: its definition.
        shape: of a view its columns, of a policy what cannot be altered about it.
        again: the statements that give one made again its rights, comments, triggers and rules.
        reads: the relations that it stands on, each as its oid and its name.
        number: its own oid in its catalog; None in a note of an earlier version.
    """

    body: str
    shape: str
    again: tuple[str, ...]
    reads: tuple[str, ...]
    number: int | None = None


def thing(one: Dependent) -> Thing:
    """What tells a dependent from the others; a publication is one for every table that it names."""
    carrier = one.base if one.kind is Kind.PUBLICATION else one.on
    return (one.kind.value, one.schema, carrier, one.name, one.detail if one.kind is Kind.FUNCTION else "")


def bound_to_v2(survey: Survey) -> list[Dependent]:
    """What a rollback binds to v1 again, sources before readers."""
    return [
        *foreign_keys(survey),
        *of_kind(survey, Kind.VIEW, Kind.MATERIALIZED_VIEW),
        *functions(survey),
        *policies(survey),
        *publications(survey),
    ]


_GRANTS = """
  select pg_catalog.format('grant %s on table %s to %s%s', a.privilege_type || a.columns, x.relation,
           coalesce(pg_catalog.quote_ident(r.rolname), 'public'),
           case when a.is_grantable then ' with grant option' else '' end)
  from (select g.privilege_type, g.grantee, g.is_grantable, '' as columns from aclexplode(c.relacl) g
        union all select g.privilege_type, g.grantee, g.is_grantable, pg_catalog.format(' (%I)', t.attname)
        from pg_attribute t cross join lateral aclexplode(t.attacl) g where t.attrelid = c.oid and not t.attisdropped) a
  left join pg_roles r on r.oid = a.grantee
  where a.grantee <> c.relowner
"""

# Run it along the path that the dependents were read along: names of v1's schema come out bare, as they have them.
_DESCRIBED = """
select w.*, f.body, coalesce(f.shape, '') as shape, f.again,
  array(select distinct d.refobjid::bigint || ' ' || d.refobjid::regclass from pg_depend d
        where d.classid = f.catalog and d.objid = f.oid and d.refclassid = 'pg_class'::regclass) as reads,
  f.number::bigint as number
from (values {wanted}) w (kind, home, carrier, name, detail) cross join lateral (
  select regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') as body, '' as shape, '{{}}'::text[] as again,
    'pg_constraint'::regclass::oid as catalog, k.oid, k.oid as number
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  where w.kind = 'foreign key' and k.contype = 'f' and k.conname = w.name and c.relname = w.carrier
    and n.nspname = w.home
  union all
  select pg_get_viewdef(c.oid),
    (select string_agg(pg_catalog.format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
                       order by a.attnum)
     from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    array({grants}
      union all select pg_catalog.format('comment on view %s is %L', x.relation, obj_description(c.oid, 'pg_class'))
      where c.relkind = 'v' and obj_description(c.oid, 'pg_class') is not null
      union all select pg_catalog.format('comment on column %s.%I is %L', x.relation, a.attname,
                                    col_description(c.oid, a.attnum))
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and col_description(c.oid, a.attnum) is not null
      union all select pg_catalog.format('alter view %s alter column %I set default %s', x.relation, a.attname,
                              pg_get_expr(d.adbin, d.adrelid))
      from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum where d.adrelid = c.oid
      -- The server has no way to switch those of a view off, so they are on.
      union all select pg_get_triggerdef(t.oid) from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal
      union all select pg_catalog.format('comment on trigger %I on %s is %L', t.tgname, x.relation,
                              obj_description(t.oid, 'pg_trigger'))
      from pg_trigger t where t.tgrelid = c.oid and obj_description(t.oid, 'pg_trigger') is not null
      union all select rtrim(pg_get_ruledef(r.oid), ';') from pg_rewrite r
      where r.ev_class = c.oid and r.rulename <> '_RETURN'
      union all select pg_catalog.format('comment on rule %I on %s is %L', r.rulename, x.relation,
                              obj_description(r.oid, 'pg_rewrite'))
      from pg_rewrite r where r.ev_class = c.oid and obj_description(r.oid, 'pg_rewrite') is not null),
    'pg_rewrite'::regclass, (select r.oid from pg_rewrite r where r.ev_class = c.oid and r.rulename = '_RETURN'),
    c.oid
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (select pg_catalog.format('%I.%I', n.nspname, c.relname) as relation) x
  where w.kind = case c.relkind when 'v' then 'view' when 'm' then 'materialized view' end
    and c.relname = w.name and n.nspname = w.home
  union all
  select pg_get_functiondef(p.oid), '',
    array(select pg_catalog.format('grant execute on routine %s to %s%s', p.oid::regprocedure,
                        coalesce(pg_catalog.quote_ident(r.rolname), 'public'),
                        case when a.is_grantable then ' with grant option' else '' end)
          from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a left join pg_roles r on r.oid = a.grantee
          where a.grantee <> p.proowner
          union all select pg_catalog.format('comment on routine %s is %L', p.oid::regprocedure,
                                             obj_description(p.oid, 'pg_proc'))
          where obj_description(p.oid, 'pg_proc') is not null),
    'pg_proc'::regclass, p.oid, p.oid
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where w.kind = 'function' and p.proname = w.name and n.nspname = w.home and p.prokind in ('f', 'p')
    and '(' || pg_get_function_identity_arguments(p.oid) || ')' = w.detail
  union all
  select pg_catalog.concat_ws(' ', s.head, 'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                   'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), s.head,
    array(select pg_catalog.format('comment on policy %I on %I.%I is %L', p.polname, n.nspname, c.relname,
                        obj_description(p.oid, 'pg_policy'))
          where obj_description(p.oid, 'pg_policy') is not null),
    'pg_policy'::regclass, p.oid, p.oid
  from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (select pg_catalog.format('as %s for %s to %s',
    case when p.polpermissive then 'permissive' else 'restrictive' end,
    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
      else 'all' end,
    (select string_agg(coalesce(pg_catalog.quote_ident(r.rolname), 'public'), ', ' order by r.rolname)
     from unnest(p.polroles) u(role) left join pg_roles r on r.oid = u.role)) as head) s
  where w.kind = 'policy' and p.polname = w.name and c.relname = w.carrier and n.nspname = w.home
  union all
  select '', '', '{{}}', null, null, p.oid
  from pg_publication p join pg_publication_rel r on r.prpubid = p.oid join pg_class c on c.oid = r.prrelid
  join pg_namespace n on n.oid = c.relnamespace
  where w.kind = 'publication' and p.pubname = w.name and c.relname = w.carrier and n.nspname = {schema}
) f
"""


def described_sql(schema: str, wanted: Iterable[Thing]) -> str:
    """The query that describes things as they are now: one row each, none for what is not there."""
    rows = ", ".join(f"({', '.join(literal(part).strip() for part in one)})" for one in wanted)
    return _DESCRIBED.format(wanted=rows, schema=literal(schema).strip(), grants=_GRANTS)


def note_steps(survey: Survey) -> list[PlanStep]:
    """The step at the end of a migration that notes it; none where nothing points at the workout tables."""
    wanted = [thing(one) for one in bound_to_v2(survey)]
    if not wanted:
        return []
    return [
        PlanStep(
            "settle-surroundings-noted",
            Phase.SETTLE,
            "note how what points at v2 was left",
            (
                f"drop table if exists {AS_MOVED}",
                f"create table {AS_MOVED} (kind text not null, home text not null, carrier text not null,"
                "\n  name text not null, detail text not null, body text not null, shape text not null, "
                "again text[] not null,"
                "\n  reads text[] not null, number bigint)",
                f"set local search_path = {quote(survey.shape.schema)}, pg_temp",
                f"insert into {AS_MOVED}\n{described_sql(survey.shape.schema, wanted)}",
                OWN_PATH,
            ),
            lock="none: it only reads the catalog",
            undo="none needed",
        )
    ]


async def read_noted(connection: Connection) -> dict[Thing, Described]:
    """What was noted; nothing where a migration of an earlier version, or one that was interrupted, noted nothing."""
    if not await connection.fetchval("select to_regclass($1) is not null", AS_MOVED):
        return {}
    return _by_thing(await connection.fetch(f"select * from {AS_MOVED}"))


async def describe(connection: Connection, schema: str, wanted: Iterable[Thing]) -> dict[Thing, Described]:
    """Things as they are now."""
    listed = list(wanted)
    if not listed:
        return {}
    async with connection.transaction():
        await connection.execute(f"set local search_path = {quote(schema)}, pg_temp")
        return _by_thing(await connection.fetch(described_sql(schema, listed)))


def _by_thing(rows: Iterable[asyncpg.Record]) -> dict[Thing, Described]:
    return {
        (row["kind"], row["home"], row["carrier"], row["name"], row["detail"]): Described(
            row["body"], row["shape"], tuple(row["again"]), tuple(row["reads"]), row.get("number")
        )
        for row in rows
    }
