"""What has changed about v1 since the plan was made: columns, what points at it, names, rights.

The plan holds for the v1 that it was made for, and a hold may last for hours. A column added meanwhile would not be in
v2, a view made meanwhile would stay with the kept tables. So the catalog is read again before the cut-over; and under
its locks, when nothing can change any more, it is made sure that nothing has changed since that reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vagus_tui.database.catalog import read_columns
from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_queries import SETTINGS
from vagus_tui.database.dependent_reader import OURS
from vagus_tui.database.dependents import Dependent, Fate, Kind
from vagus_tui.database.privileges import Grant
from vagus_tui.errors import RefusedError
from vagus_tui.migration.carried import Bound
from vagus_tui.migration.survey import Survey, survey, v1_tables
from vagus_tui.migration.taken_over import key, taken_over, told
from vagus_tui.migration.tuning import settings_of
from vagus_tui.schema import v1
from vagus_tui.schema.ddl import V2Ddl, coach_has_status
from vagus_tui.schema.identifiers import literal
from vagus_tui.schema.v1 import Column, NotV1, V1Shape, recognise

_PASSING = ("populated", "comment", "index", "keyed", "statistics", "notes")
"""Facts that need no other plan: they are taken over as they are, or named."""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Drift:
    """What is otherwise about v1 than when the plan was made.

    Args:
        against: what the plan does not hold for, one sentence each; empty while it holds.
        taken, left: settings, comments and marks that the cut-over takes over, and those that v2 keeps though v1 has
            them no more.
        beside: rules of v1 that are new since, in whose place v2 has its own by its design.
        survey: what the plan was made from, with those taken over; None where they are the same.
    """

    against: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    survey: Survey | None = None

    @property
    def harmless(self) -> str:
        """What needs no other plan, in a sentence; "" for nothing."""
        return self._said("Taken over from v1 as it is by now")

    @property
    def to_come(self) -> str:
        """The same before the cut-over."""
        return self._said("The cut-over will take over from v1 what is otherwise by now")

    def _said(self, taken: str) -> str:
        parts = []
        if self.taken:
            parts.append(f"{taken}: {in_words(self.taken)}.")
        if self.left:
            parts.append(f"Taken away from v1 since, but not from v2: {in_words(self.left)}.")
        if self.beside:
            parts.append(f"New on v1 since, and settled by v2's own design: {in_words(self.beside)}.")
        return " ".join(parts)


async def drift(connection: Connection, planned: Survey, ddl: V2Ddl) -> Drift:
    """What has changed about v1 since the plan was made."""
    suffix = v1.SUFFIX if planned.shape.renamed else ""
    shape = recognise(await read_columns(connection, planned.shape.schema), suffix=suffix)
    if isinstance(shape, NotV1):
        return Drift(shape.reasons)
    if found := _shapes(planned.shape, shape):
        return Drift(tuple(found))
    try:
        now = await survey(connection, shape, like=planned)
    except RefusedError as error:
        return Drift((error.happened,))
    found = [
        *_dependents(planned.dependents, now.dependents),
        *_grants(planned.grants, now.grants),
        *(
            f"{table} belongs to {owner} now"
            for table, owner in now.owners.items()
            if planned.owners.get(table) != owner
        ),
        *(["notification_preferences has another shape"] if now.preferences != planned.preferences else []),
        *_names(planned, now, ddl),
    ]
    if found:
        return Drift(tuple(found))
    taken, left = told(planned, now)
    beside = tuple(line for line in now.otherwise if line not in planned.otherwise)
    if not taken and not left:
        return Drift(beside=beside)
    return Drift((), tuple(taken), tuple(left), beside, taken_over(planned, now, ddl))


async def changes_since(connection: Connection, planned: Survey, ddl: V2Ddl) -> list[str]:
    """What the plan does not hold for any more, one sentence each; empty while it holds."""
    return list((await drift(connection, planned, ddl)).against)


_SIGNATURE = """
with tables as (
  select c.oid, c.relowner, c.relacl, c.reloptions, c.relreplident, c.relforcerowsecurity
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = any($2::text[]))
select md5(pg_catalog.concat_ws(E'\\n',
  (select string_agg(t::text, ',' order by t.oid) from tables t),
  (select string_agg((a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull,
                      a.attisdropped, a.attacl, a.attstattarget, a.attoptions, a.attstorage,
                      a.attcompression)::text, ',' order by a.attrelid, a.attnum)
   from pg_attribute a join tables t on t.oid = a.attrelid),
  (select string_agg((d.classid, d.objid, d.objsubid, d.refobjid, d.refobjsubid, d.deptype)::text, ','
                     order by d.classid, d.objid, d.objsubid, d.refobjid, d.refobjsubid)
   from pg_depend d join tables t on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid),
  (select string_agg((d.objoid, d.objsubid, d.description)::text, ',' order by d.objoid, d.objsubid)
   from pg_description d join tables t on d.classoid = 'pg_class'::regclass and d.objoid = t.oid),
  -- By these names the cut-over calls them.
  (select string_agg((k.oid, k.conname)::text, ',' order by k.oid)
   from pg_constraint k join tables t on t.oid = k.conrelid),
  (select string_agg((i.oid, i.relname)::text, ',' order by i.oid)
   from pg_index x join tables t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid)))
"""


async def signature(connection: Connection, shape: V1Shape) -> str:
    """What v1's tables are and what hangs on them, in one word: quick to read while everybody waits.

    The same word twice, the second time with the tables locked, and nothing has changed in between.
    """
    names = [table.name for table in shape.tables.values()]
    return str(await connection.fetchval(_SIGNATURE, shape.schema, names))


def in_words(found: Sequence[str]) -> str:
    """The first few changes as one sentence."""
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(text.removesuffix(".") for text in found[:SHOWN]) + more


def _shapes(planned: V1Shape, now: V1Shape) -> list[str]:
    found = []
    for base, table in planned.tables.items():
        found += _columns(table.name, table.columns.values(), now.tables[base].columns.values())
    if (planned.coach_clients is None, coach_has_status(planned)) != (now.coach_clients is None, coach_has_status(now)):
        found.append("coach_clients is another one, and v2's access goes by it")
    return found


def _columns(table: str, planned: Iterable[Column], now: Iterable[Column]) -> list[str]:
    before, after = ({column.name: column for column in columns} for columns in (planned, now))
    return [
        *(f"{table} has a new column {name}" for name in after if name not in before),
        *(f"{table} has no column {name} any more" for name in before if name not in after),
        *(f"{table}.{name} is another one" for name in after if name in before and after[name] != before[name]),
    ]


def _dependents(planned: Iterable[Dependent], now: Iterable[Dependent]) -> list[str]:
    before, after = (
        {key(one): _plain(one) for one in dependents if one.kind is not Kind.SETTING} for dependents in (planned, now)
    )
    return [
        *(f"{one.kind.value} {one.title} is new" for name, one in after.items() if name not in before),
        *(f"{one.kind.value} {one.title} is gone" for name, one in before.items() if name not in after),
        *(
            f"{one.kind.value} {one.title} is another one"
            for name, one in after.items()
            if name in before and before[name] != one
        ),
    ]


def _plain(one: Dependent) -> Dependent:
    """A dependent without what was decided about it, and without what may come and go."""
    passing = () if one.kind is Kind.STATISTICS else _PASSING
    facts = tuple(fact for fact in one.facts if fact[0] not in passing)
    return replace(one, facts=facts, fate=Fate.UNDECIDED, reason="", validated=True)


def _grants(planned: Iterable[Grant], now: Iterable[Grant]) -> list[str]:
    before, after = set(planned), set(now)
    tables = sorted({grant.table for grant in before ^ after})
    return [f"other roles have rights on {table} now" for table in tables]


def _names(planned: Survey, now: Survey, ddl: V2Ddl) -> list[str]:
    wanted = ddl.names
    found = [f"{name} is in v2's way" for name in sorted((now.taken - planned.taken) & wanted)]
    freed = {rename.old for rename in planned.renames}
    blocking = [rename for rename in now.renames if rename.old not in freed and rename.old in wanted]
    found += [f"{rename.kind} {rename.old} is new, in v2's way" for rename in blocking]
    bound = _bound(planned.bound, now.bound, {rename.old for rename in blocking})
    found += bound
    # What the cut-over renames has to be there by its name.
    there = {(rename.kind, rename.table, rename.old) for rename in now.renames}
    found += [
        gone
        for rename in planned.renames
        if rename.kind in ("index", "constraint", "sequence") and (rename.kind, rename.table, rename.old) not in there
        if (gone := f"{rename.kind} {rename.old} of {rename.table.removesuffix(v1.SUFFIX)} is gone") not in bound
    ]
    known = {(rename.old, rename.table) for rename in planned.functions_in_the_way}
    found += [
        f"function {rename.old}({rename.table}) is new, in v2's way"
        for rename in now.functions_in_the_way
        if (rename.old, rename.table) not in known
    ]
    return found


def _bound(planned: Iterable[Bound], now: Iterable[Bound], named: set[str]) -> list[str]:
    before, after = ({(one.base, one.name, one.check): one for one in bound} for bound in (planned, now))
    found = []
    for name in sorted({*before, *after}):
        one = after.get(name) or before[name]
        if before.get(name) != after.get(name) and one.name not in named:
            how = "new" if name not in before else "gone" if name not in after else "another one"
            found.append(f"{'check' if one.check else 'index'} {one.name} of {one.base} is {how}")
    return found


def _oids(shape: V1Shape) -> str:
    return f"select c.oid from {v1_tables(shape)}"


def script_settings(planned: Survey) -> str:
    """A statement that warns, one line each, of what was set on v1 or said of it since a script was printed.

    The runner takes it over; a script cannot know of it, so somebody has to do it by hand on v2.
    """
    known = sorted(
        (one.on, one.name, setting.item, setting.value)
        for one in planned.dependents
        if one.kind is Kind.SETTING
        for setting in settings_of(one)
    )
    # Comments of those that are dependents themselves are no settings.
    others = sorted((one.on, one.name) for one in planned.dependents if one.kind is Kind.REFERENCE)

    def rows(found: Sequence[tuple[str, ...]], width: int) -> str:
        listed = found or [("",) * width]
        return ",\n  ".join(f"({', '.join(literal(part).strip() for part in row)})" for row in listed)

    query = SETTINGS.strip().replace("$1::oid[]", f"array({_oids(planned.shape)})")
    block = (
        "declare one record;\nbegin\nfor one in select s.* from (\n"
        f'select f."on"::text, f.name, f.item::text, f.value from (\n{query}) f) s\n'
        f'where (s."on", s.name, s.item, s.value) not in (values {rows(known, 4)})\n'
        f"""  and not (s.name = 'comments on references' and (s."on", s.item) in (values {rows(others, 2)}))\n"""
        "loop\n  raise warning 'set on v1 since this script was printed, and not taken over by it: % on %',\n"
        """    one.name, one."on" || case when one.item <> '' then ' (' || one.item || ')' else '' end;\n"""
        "end loop;\nend"
    )
    return (
        "-- Settings and comments of v1 as they were when this was printed go to v2; what was set since is named here\n"
        f"-- as a warning, to be done by hand.\ndo {literal(block)}"
    )


def script_guard(planned: Survey) -> str:
    """A query for how much of v1 is not what a script was printed for: columns, and what points at its tables."""
    shape = planned.shape
    oids = _oids(shape)
    columns = ",\n  ".join(
        f"({literal(table.name).strip()}, {literal(column.name).strip()}, {literal(column.type).strip()})"
        for table in shape.tables.values()
        for column in table.columns.values()
    )

    def known(*kinds: Kind) -> str:
        names = sorted({one.name for one in planned.dependents if one.kind in kinds})
        return f"array[{', '.join(literal(name).strip() for name in names)}]::text[]"

    return (
        "select (select count(*) from (select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)\n"
        "  from pg_attribute a join pg_class c on c.oid = a.attrelid\n"
        f"  where a.attrelid in ({oids}) and a.attnum > 0 and not a.attisdropped) there (relation, name, kind)\n"
        f"  full join (values {columns}) meant (relation, name, kind) using (relation, name, kind)\n"
        "  where there is null or meant is null)\n"
        f"+ (select count(*) from pg_constraint k where k.contype = 'f' and k.conparentid = 0\n"
        f"  and k.confrelid in ({oids}) and k.conrelid not in ({oids})\n"
        f"  and k.conname <> all({known(Kind.FOREIGN_KEY)}))\n"
        "+ (select count(distinct v.oid) from pg_depend d join pg_rewrite r on r.oid = d.objid\n"
        "  join pg_class v on v.oid = r.ev_class join pg_namespace n on n.oid = v.relnamespace\n"
        "  where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass\n"
        f"  and d.refobjid in ({oids})\n"
        f"  and v.relkind in ('v', 'm') and n.nspname <> all(array[{', '.join(map(repr, OURS))}])\n"
        f"  and v.relname <> all({known(Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.RULE)}))\n"
        f"+ (select count(*) from pg_trigger t where t.tgrelid in ({oids}) and not t.tgisinternal\n"
        f"  and left(t.tgname, 6) <> 'vagus_' and t.tgname <> all({known(Kind.TRIGGER)}))"
    )
