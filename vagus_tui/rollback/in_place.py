"""What stands where v1 has to go, and what points at it: read before a rollback from a backup, whatever the state.

The tables may be v1's, damaged; v2's; v1's under two kinds of names; or missing. What pointed at v1 is known from the
record of the migration, from the tables as they are, and from the restored copy of the backup, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import read_dependents
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.database.search_path import CATALOG_PATH
from vagus_tui.migration.matviews import rebuilt
from vagus_tui.migration.repoint import policies
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.undo import last_record
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import quote
from vagus_tui.schema.v1 import V1Shape, V1Table

SCHEMA = "public"
FOLLOWING = (Kind.FOREIGN_KEY, Kind.VIEW, Kind.PUBLICATION)
"""The kinds of dependents that are bound to v1 again."""

STAYING = (*FOLLOWING, Kind.MATERIALIZED_VIEW, Kind.POLICY, Kind.RULE, Kind.DEFAULT, Kind.ROW_TYPE)
"""The kinds that follow the tables set aside where they are not bound to v1 again."""

Key = tuple[str, str, str, str]


def _bound_by_name(dependent: Dependent) -> bool:
    """What is bound to v1 again; a publication of every table carries v1 by itself."""
    return dependent.kind in FOLLOWING and bool(dependent.base or dependent.kind is Kind.VIEW)


def base_of(name: str) -> str:
    """A workout table's name without the ending that a migration gave it."""
    return name.removesuffix(v1.SUFFIX)


def _key(dependent: Dependent) -> Key:
    base = dependent.base if dependent.kind is Kind.PUBLICATION else ""
    return (dependent.kind.value, dependent.schema, base or dependent.on, dependent.name)


@dataclass(frozen=True, slots=True)
class InPlace:
    """What is there now.

    Args:
        tables: the workout tables in `public` that are set aside, v1's and v2's.
        v2: v2's tables are among them.
        survey: what the migration wrote down, where v2 came by one.
        dependents: foreign keys, views and publications as v1 must have them again; `base` is the v1 table.
        staying: what points at the tables set aside and cannot be bound to v1: it follows them.
    """

    tables: tuple[str, ...]
    v2: bool
    survey: Survey | None
    dependents: tuple[Dependent, ...]
    staying: tuple[Dependent, ...]

    def with_lost(self, lost: Iterable[Dependent]) -> InPlace:
        """With the dependents that the backup had and that are gone since."""
        known = {_key(dependent) for dependent in self.dependents}
        more = tuple(dependent for dependent in lost if _key(dependent) not in known)
        found = {_key(dependent) for dependent in more}
        staying = tuple(dependent for dependent in self.staying if _key(dependent) not in found)
        return replace(self, dependents=(*self.dependents, *more), staying=staying)

    def without(self, tables: Iterable[tuple[str, str]]) -> InPlace:
        """Without what hangs on some tables, by schema and name: it goes where they go."""
        gone = set(tables)
        dependents, staying = (
            tuple(one for one in some if (one.schema, one.on) not in gone) for some in (self.dependents, self.staying)
        )
        return replace(self, dependents=dependents, staying=staying)


_TABLES = """
select c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind in ('r', 'p') order by 1
"""


async def migration_record(connection: Connection) -> Survey | None:
    """What the latest migration wrote down for the way back, if there was one."""
    found = await last_record(connection)
    return None if found is None else found[1]


async def read_in_place(connection: Connection) -> InPlace:
    """Look at the workout tables as they are, whole or not."""
    wanted = [*v1.TABLES, *(f"{base}{v1.SUFFIX}" for base in v1.TABLES)]
    record = await migration_record(connection)
    present = [row["name"] for row in await connection.fetch(_TABLES, SCHEMA, [*wanted, *v1.HIERARCHY])]
    migrated = bool(
        await connection.fetchval(
            "select exists(select from pg_attribute a where a.attrelid = to_regclass($1) "
            "and a.attname = 'total_weeks' and not a.attisdropped)",
            f"{SCHEMA}.{quote(v1.PLANS)}",
        )
    )
    # Where v2's plans are gone, what else of v2 is there still tells.
    v2_here = migrated or (record is not None and any(name in v1.HIERARCHY for name in present))
    tables = tuple(name for name in present if v2_here or name not in v1.HIERARCHY)
    found = await _pointing(connection, tables)
    if not v2_here or record is None:
        # Without a record, a view that reads v2 cannot be told from one that did so for v1: only the backup knows.
        kinds = (Kind.FOREIGN_KEY, Kind.PUBLICATION) if v2_here else FOLLOWING
        return InPlace(tables, v2_here, record if v2_here else None, *_sorted(found, kinds))
    known = tuple(dependent for dependent in record.dependents if _bound_by_name(dependent))
    keys = {_key(dependent) for dependent in known}
    later = [
        dependent
        for dependent in found
        if _key(dependent) not in keys and dependent.kind is Kind.FOREIGN_KEY and dependent.base in v1.TABLES
    ]
    followed = (*known, *policies(record), *rebuilt(record))
    names = {(dependent.schema, dependent.name) for dependent in followed}
    staying = [
        dependent
        for dependent in found
        if dependent not in later and (dependent.schema, dependent.name) not in names and dependent.kind in STAYING
    ]
    return InPlace(tables, v2_here, record, (*known, *later), tuple(staying))


def _sorted(found: list[Dependent], kinds: tuple[Kind, ...]) -> tuple[tuple[Dependent, ...], tuple[Dependent, ...]]:
    """Those that are bound to v1 again, and those that stay with the tables set aside."""
    follow = tuple(
        dependent
        for dependent in found
        if dependent.kind in kinds and (dependent.base in v1.TABLES or dependent.kind is Kind.VIEW)
    )
    stay = tuple(dependent for dependent in found if dependent not in follow and dependent.kind in STAYING)
    return follow, stay


async def _pointing(connection: Connection, tables: tuple[str, ...]) -> list[Dependent]:
    """Everything that points at tables, with `base` as the v1 (or v2) table's own name."""
    if not tables:
        return []
    shape = V1Shape({name: V1Table(base_of(name), name, {}) for name in tables}, schema=SCHEMA)
    own = re.compile(
        "'(?:[^']|'')*'|" + r"\b(" + "|".join(re.escape(base) for base in v1.TABLES) + ")" + v1.SUFFIX + r"\b"
    )

    def under_own_names(dependent: Dependent) -> Dependent:
        # A query prints the names that its tables have now; it will be bound to v1's own.
        text = dependent.definition
        if dependent.kind is Kind.VIEW:
            text = own.sub(lambda found: found[1] or found[0], text)
        return replace(dependent, base=base_of(dependent.base), definition=text)

    return [under_own_names(dependent) for dependent in await read_dependents(connection, shape)]


_VIEW_RIGHTS = """
select n.nspname as schema, c.relname as name, coalesce(r.rolname::text, 'public') as role, a.privilege_type as right,
       a.is_grantable as grantable
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
where c.relkind = 'v' and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))
  and a.grantee <> c.relowner and a.privilege_type <> 'MAINTAIN'
"""


@dataclass(frozen=True, slots=True)
class FromCopy:
    """What only the restored copy of a backup knows.

    Args:
        dependents: what pointed at v1 when the backup was made.
        view_rights: the statements that give each view its rights, by schema and name.
        layout: statements for the empty staged tables: collations, storage, options.
        words: statements for the tables in place: comments, rights on sequences.
        known: there is a copy; of CSV alone there is none.
    """

    dependents: tuple[Dependent, ...] = ()
    view_rights: dict[tuple[str, str], tuple[str, ...]] | None = None
    layout: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    known: bool = False


async def read_copy(connection: Connection, shape: V1Shape, stage: str) -> FromCopy:
    """Read what a restored copy knows beyond the manifest.

    Args:
        shape: v1 in the copy. Of a backup that was made after the migration, what pointed at v1 is not in it.
    """
    found: list[Dependent] = []
    rights: dict[tuple[str, str], tuple[str, ...]] = {}
    if not shape.renamed:
        found = [d for d in await read_dependents(connection, shape) if _bound_by_name(d)]
        views = [d for d in found if d.kind is Kind.VIEW]
        for row in await connection.fetch(_VIEW_RIGHTS, [d.schema for d in views], [d.name for d in views]):
            key = (row["schema"], row["name"])
            role = "public" if row["role"] == "public" else quote(row["role"])
            option = " with grant option" if row["grantable"] else ""
            view = f"{quote(row['schema'])}.{quote(row['name'])}"
            rights[key] = (*rights.get(key, ()), f"grant {row['right']} on table {view} to {role}{option}")
    names = [table.name for table in shape.tables.values()]
    async with connection.transaction():
        # With every name outside pg_catalog qualified, for that is how they are read again.
        await connection.execute(CATALOG_PATH)
        layout = await connection.fetch(_LAYOUT, shape.schema, names, stage)
        words = await connection.fetch(_WORDS, shape.schema, names)
    return FromCopy(
        tuple(found),
        rights,
        tuple(row["statement"] for row in layout),
        tuple(row["statement"] for row in words),
        known=True,
    )


_LAYOUT = """
with mine as (select c.oid, c.relname,
                c.reloptions || array(select 'toast.' || o from unnest(x.reloptions) o) as reloptions
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
              left join pg_class x on x.oid = c.reltoastrelid
              where n.nspname = $1 and c.relname = any($2::text[]))
select pg_catalog.format('alter table %I.%I set (%s)', $3::text, relname,
  array_to_string(reloptions, ', ')) as statement
from mine where reloptions <> '{}'
union all
select pg_catalog.format('alter table %I.%I alter column %I type %s collate %I.%I', $3::text, m.relname, a.attname,
              format_type(a.atttypid, a.atttypmod), n.nspname, l.collname)
from mine m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid join pg_collation l on l.oid = a.attcollation
join pg_namespace n on n.oid = l.collnamespace
where a.attcollation <> t.typcollation and a.attgenerated = ''
union all
select pg_catalog.format('alter table %I.%I alter column %I set storage %s', $3::text, m.relname, a.attname,
              case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end)
from mine m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid where a.attstorage <> t.typstorage
union all
select pg_catalog.format('alter table %I.%I alter column %I set statistics %s', $3::text, m.relname, a.attname,
  a.attstattarget)
from mine m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
where a.attstattarget >= 0
union all
select pg_catalog.format('alter table %I.%I alter column %I set (%s)', $3::text, m.relname, a.attname,
              string_agg(o.option, ', '))
from mine m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
-- Servers since November 2026 keep a mark of their own beside what people set.
cross join lateral unnest(a.attoptions) o(option) where starts_with(o.option, 'n_distinct')
group by m.relname, a.attname
union all
select pg_catalog.format('alter table %I.%I alter column %I set compression %s', $3::text, m.relname, a.attname,
              case a.attcompression when 'l' then 'lz4' else 'pglz' end)
from mine m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
where a.attcompression <> ''
union all
-- From PostgreSQL 18 on NOT NULL has a name too; before, there is nothing to rename.
select pg_catalog.format('do $vagus$ declare found record; begin for found in select k.conname from pg_constraint k '
              'join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1] '
              'where k.contype = ''n'' and k.conrelid = %L::regclass and a.attname = %L and k.conname <> %L '
              'loop execute pg_catalog.format(''alter table %%s rename constraint %%I to %%I'', '
              '%L, found.conname, %L); '
              'end loop; end $vagus$',
              pg_catalog.format('%I.%I', $3::text, m.relname), a.attname, k.conname,
              pg_catalog.format('%I.%I', $3::text, m.relname), k.conname)
from mine m join pg_constraint k on k.conrelid = m.oid and k.contype = 'n'
join pg_attribute a on a.attrelid = m.oid and a.attnum = k.conkey[1]
"""

_WORDS = """
with mine as (select c.oid, c.relname, n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = $1 and c.relname = any($2::text[]))
select pg_catalog.format('comment on table %I.%I is %L', nspname, relname, d.description) as statement
from mine join pg_description d on d.objoid = oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
union all
select pg_catalog.format('comment on column %I.%I.%I is %L', nspname, relname, a.attname, d.description)
from mine join pg_description d on d.objoid = oid and d.classoid = 'pg_class'::regclass
join pg_attribute a on a.attrelid = oid and a.attnum = d.objsubid and a.attnum > 0 and not a.attisdropped
union all
select pg_catalog.format('comment on constraint %I on %I.%I is %L', k.conname, nspname, relname, d.description)
from mine join pg_constraint k on k.conrelid = mine.oid and k.contype in ('p', 'u', 'f', 'c', 'x')
join pg_description d on d.objoid = k.oid and d.classoid = 'pg_constraint'::regclass
union all
select pg_catalog.format('comment on index %I.%I is %L', nspname, i.relname, d.description)
from mine join pg_index x on x.indrelid = mine.oid join pg_class i on i.oid = x.indexrelid
join pg_description d on d.objoid = i.oid and d.classoid = 'pg_class'::regclass
union all
select pg_catalog.format('alter index %I.%I alter column %s set statistics %s', nspname, i.relname, a.attnum,
  a.attstattarget)
from mine join pg_index x on x.indrelid = mine.oid join pg_class i on i.oid = x.indexrelid
join pg_attribute a on a.attrelid = i.oid and a.attstattarget >= 0
union all
select pg_catalog.format('comment on trigger %I on %I.%I is %L', t.tgname, nspname, relname, d.description)
from mine join pg_trigger t on t.tgrelid = mine.oid and not t.tgisinternal and t.tgname not like 'vagus\\_%'
join pg_description d on d.objoid = t.oid and d.classoid = 'pg_trigger'::regclass
union all
select pg_catalog.format('comment on policy %I on %I.%I is %L', p.polname, nspname, relname, d.description)
from mine join pg_policy p on p.polrelid = mine.oid
join pg_description d on d.objoid = p.oid and d.classoid = 'pg_policy'::regclass
union all
select pg_catalog.format('grant %s on sequence %I.%I to %s%s', a.privilege_type, nspname, s.relname,
              coalesce(pg_catalog.quote_ident(r.rolname), 'public'),
              case when a.is_grantable then ' with grant option' else '' end)
from mine join pg_depend d on d.refobjid = mine.oid and d.refclassid = 'pg_class'::regclass
  and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0
join pg_class s on s.oid = d.objid and s.relkind = 'S'
cross join lateral aclexplode(s.relacl) a left join pg_roles r on r.oid = a.grantee
where a.grantee <> s.relowner
"""
