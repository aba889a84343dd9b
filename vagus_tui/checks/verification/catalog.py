"""Whether v2's keys, checks, indexes and grants are all there and in force."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import Fault, changed_table
from vagus_tui.checks.verification.base import SCHEMA, against_v1, on_v2, recorded, relation
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import literal, quote
from vagus_tui.database.impersonation import undone
from vagus_tui.database.privileges import Grant, read_grants
from vagus_tui.events import Status
from vagus_tui.migration.repoint import carried_references
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import free_name

REPORT = "Post-Migration Verification"

_CONSTRAINTS = """
select c.relname::text as table_name, k.conname::text as name, k.contype::text as kind, k.convalidated as valid,
  array(select a.attname::text from unnest(k.conkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.attnum order by x.place) as columns,
  case when k.confrelid <> 0 then (select pg_catalog.format('%s.%s', fn.nspname, f.relname) from pg_class f
    join pg_namespace fn on fn.oid = f.relnamespace where f.oid = k.confrelid) end as target,
  k.confdeltype::text as on_delete, pg_get_expr(k.conbin, k.conrelid) as body
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relname = any($1::text[])
"""

_MODEL = "vagus_model_"

_BODIES = """
select c.relname::text as table_name, k.conname::text as name, pg_get_expr(k.conbin, k.conrelid) as body
from pg_constraint k join pg_class c on c.oid = k.conrelid
where c.relnamespace = pg_my_temp_schema() and c.relname like 'vagus_model_%' and k.contype = 'c'
"""

_NOT_NULL = """
select c.relname::text as table_name, a.attname::text as column_name
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relname = any($1::text[]) and a.attnum > 0 and a.attnotnull and not a.attisdropped
"""

_INDEXES = """
select c.relname::text as table_name, ic.relname::text as name, i.indisvalid and i.indisready as usable,
  i.indisunique as is_unique, am.amname::text as method, coalesce(pg_get_expr(i.indpred, i.indrelid), '') as predicate,
  array(select a.attname::text from unnest(i.indkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = x.attnum order by x.place) as columns
from pg_index i join pg_class c on c.oid = i.indrelid join pg_class ic on ic.oid = i.indexrelid
join pg_am am on am.oid = ic.relam join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relname = any($1::text[])
"""

_PREDICATES = """
select c.relname::text as table_name, ic.relname::text as name, pg_get_expr(i.indpred, i.indrelid) as predicate
from pg_index i join pg_class c on c.oid = i.indrelid join pg_class ic on ic.oid = i.indexrelid
where c.relnamespace = pg_my_temp_schema() and c.relname like 'vagus_model_%' and i.indpred is not null
"""

_ON_DELETE = {"cascade": "c", "set null": "n"}


@dataclass(frozen=True, slots=True)
class _Constraint:
    """One constraint, told apart by what it does and not by its name, which may have had to step aside."""

    table: str
    kind: str
    what: str

    def __str__(self) -> str:
        kinds = {"p": "primary key", "u": "unique", "f": "foreign key", "c": "check", "n": "not null"}
        return f"{self.table}: {kinds[self.kind]} {self.what}"


def _expected_keys() -> Iterator[_Constraint]:
    for table in v2.TABLES:
        model = v2.MODEL[table]
        yield _Constraint(table, "p", f"({model.primary_key})")
        for columns in model.unique:
            yield _Constraint(table, "u", f"({', '.join(columns)})")
        for key in model.foreign_keys:
            target = key.references if "." in key.references else f"{SCHEMA}.{key.references}"
            yield _Constraint(table, "f", f"({key.column}) to {target} on delete {key.on_delete}")
        for column in model.columns:
            if column.rest.startswith("not null"):
                yield _Constraint(table, "n", column.name)


def _modelled(table: str, *statements: str) -> str:
    """A block that makes a copy of a table without its rows, and each of some statements about the copy.

    A column that one of them is about may be gone, or the table: what cannot be made is left out.
    """
    passed = "exception when undefined_column or undefined_table then null; end;"
    tried = "\n".join(f"begin {statement}; {passed}" for statement in statements)
    copied = f"create temporary table {_MODEL}{table} (like {relation(table)});"
    return f"do {literal(f'begin {copied} {tried} {passed}')}"


async def _expected_checks(connection: Connection) -> list[_Constraint]:
    """The model's check constraints, each spelled as the server spells it.

    It has been asked with tables that are gone again: so a check of the same name that lets more pass is told.
    """
    checked = {table: v2.MODEL[table].checks for table in v2.TABLES if v2.MODEL[table].checks}
    statements = []
    for table, checks in checked.items():
        made = ", ".join(f"add constraint {quote(name)} check ({body})" for name, body in checks.items())
        statements.append(_modelled(table, f"alter table pg_temp.{_MODEL}{table} {made}"))
    async with undone(connection, *statements):
        spelled = {
            (row["table_name"].removeprefix(_MODEL), row["name"]): row["body"]
            for row in await connection.fetch(_BODIES)
        }
    return [
        _Constraint(table, "c", f"{name} {spelled.get((table, name), f'({body})')}")
        for table, checks in checked.items()
        for name, body in checks.items()
    ]


async def _constraints(context: Context) -> Outcome:
    tables = list(v2.TABLES)
    actions = {short: name for name, short in _ON_DELETE.items()}
    there: set[_Constraint] = set()
    unproved: dict[str, _Constraint] = {}
    for row in await context.connection.fetch(_CONSTRAINTS, tables):
        columns = f"({', '.join(row['columns'])})"
        what = {
            "f": f"{columns} to {row['target']} on delete {actions.get(row['on_delete'], 'no action')}",
            "c": f"{row['name']} {row['body']}",
        }.get(row["kind"], columns)
        found = _Constraint(row["table_name"], row["kind"], what)
        there.add(found)
        if not row["valid"]:
            unproved[f"{row['table_name']}.{row['name']}"] = found
    for row in await context.connection.fetch(_NOT_NULL, tables):
        there.add(_Constraint(row["table_name"], "n", row["column_name"]))
    expected = [*await _expected_checks(context.connection), *_expected_keys()]
    missing = [str(constraint) for constraint in expected if constraint not in there]
    carried = await _for_new_rows(context, unproved) - {name for name in unproved if unproved[name] in expected}
    owed = sorted(unproved.keys() - carried)
    measured = f"{len(expected) - len(missing)} of {len(expected)}"
    problems = []
    if missing:
        problems.append(f"Missing: {'; '.join(missing)}.")
    if owed:
        problems.append(f"Not validated: {', '.join(owed)}.")
    told = tuple(f"{name}: carried over from v1, and as there for new rows alone" for name in sorted(carried))
    if problems:
        gaps = len(missing) + len(owed)
        return Outcome(Status.FAIL, measured, " ".join(problems), rows=gaps, expected=len(expected), detail=told)
    return Outcome(Status.PASS, measured, expected=len(expected), detail=told)


async def _for_new_rows(context: Context, unproved: Mapping[str, _Constraint]) -> set[str]:
    """Those of v1 that old rows need not meet: checks that are not v2's own, and references that v1 never checked."""
    record = await recorded(context)
    keys = carried_references(record[1]) if record else []
    unchecked = {f"{key.on}.{key.name}" for key in keys if not key.validated}
    return {name for name, found in unproved.items() if found.kind in "cn" or name in unchecked}


@dataclass(frozen=True, slots=True)
class IndexGaps:
    """What is wrong with v2's indexes: those that are missing, by table, and the names of those not usable."""

    expected: int
    missing: tuple[tuple[str, v2.Index], ...]
    broken: tuple[str, ...]

    @property
    def statements(self) -> list[str]:
        """What builds the missing ones without holding up anybody's writes."""
        return [
            f"create index concurrently {quote(index.name)} on {relation(table)} {index.body}"
            for table, index in self.missing
        ]


async def _predicates(connection: Connection) -> dict[tuple[str, str], str]:
    """Of the model's partial indexes, which rows they are about, as the server spells it; by table and name."""
    partial = {table: [i for i in v2.MODEL[table].indexes if " where " in i.body] for table in v2.TABLES}
    statements = [
        _modelled(
            table, *(f"create index {quote(index.name)} on pg_temp.{_MODEL}{table} {index.body}" for index in indexes)
        )
        for table, indexes in partial.items()
        if indexes
    ]
    async with undone(connection, *statements):
        rows = await connection.fetch(_PREDICATES)
    return {(row["table_name"].removeprefix(_MODEL), row["name"]): row["predicate"] for row in rows}


async def index_gaps(connection: Connection) -> IndexGaps:
    """Compare the indexes that are there with the model, by what they are on and not by name."""
    rows = await connection.fetch(_INDEXES, list(v2.TABLES))
    there = {
        (row["table_name"], row["method"], tuple(row["columns"]), row["predicate"]) for row in rows if row["usable"]
    }
    predicates = await _predicates(connection)
    names = {row["name"] for row in rows}
    expected = [(table, index) for table in v2.TABLES for index in v2.MODEL[table].indexes]
    missing = []
    for table, index in expected:
        method = found.group(1) if (found := re.match(r"using (\w+)", index.body)) else "btree"
        listed = re.search(r"\(([^)]*)\)", index.body)
        columns = tuple(name.strip() for name in listed.group(1).split(",")) if listed else ()
        partial = " where " in index.body
        predicate = predicates.get((table, index.name), "unknown") if partial else ""
        if (table, method, columns, predicate) not in there:
            # One of that name may be there, about other rows.
            missing.append((table, replace(index, name=free_name(index.name, names))))
    return IndexGaps(len(expected), tuple(missing), tuple(row["name"] for row in rows if not row["usable"]))


async def _indexes(context: Context) -> Outcome:
    gaps = await index_gaps(context.connection)
    measured = f"{gaps.expected - len(gaps.missing)} of {gaps.expected}"
    if gaps.missing or gaps.broken:
        names = ", ".join(f"{index.name} on {table}" for table, index in gaps.missing)
        text = f"Missing: {names}." if names else ""
        text += f" Not usable: {', '.join(gaps.broken)}." if gaps.broken else ""
        return Outcome(
            Status.FAIL, measured, text.strip(), rows=len(gaps.missing) + len(gaps.broken), expected=gaps.expected
        )
    return Outcome(Status.PASS, measured, expected=gaps.expected)


async def _table_grants(context: Context, schema: str, tables: list[str]) -> list[Grant]:
    """Grants on whole tables; those on single columns have no like in the other version."""
    return [grant for grant in await read_grants(context.connection, schema, tables) if not grant.column]


async def _grants(context: Context) -> Outcome:
    shape = context.shape
    old = await _table_grants(context, shape.schema, [table.name for table in shape.tables.values()])
    new = await _table_grants(context, SCHEMA, list(v2.TABLES))
    wrong = []
    for table in v2.TABLES:
        source = shape.tables[v2.MODEL[table].grants_like].name
        had = {
            grant.grantee: set(grant.privileges) - {"MAINTAIN"}
            for grant in old
            if grant.table == source and not grant.column
        }
        has = {
            grant.grantee: set(grant.privileges) - {"MAINTAIN"}
            for grant in new
            if grant.table == table and not grant.column
        }
        for role in sorted({*had, *has} & {*v2.API_ROLES, "public"}):
            if lost := had.get(role, set()) - has.get(role, set()):
                wrong.append(f"{role} may not {', '.join(sorted(lost)).lower()} {table}, but could {source}")
            if gained := has.get(role, set()) - had.get(role, set()):
                wrong.append(f"{role} may {', '.join(sorted(gained)).lower()} {table}, but could not {source}")
    if wrong:
        measured = f"{len(wrong)} {'differs' if len(wrong) == 1 else 'differ'}"
        return Outcome(Status.FAIL, measured, f"{'; '.join(wrong)}.", rows=len(wrong))
    return Outcome(Status.PASS, "as v1's")


def _grants_sql(_: Context) -> str:
    listed = ", ".join(f"'{relation(table)}'::regclass" for table in v2.TABLES)
    return f"select oid::regclass, relacl from pg_class where oid in ({listed})"


_DROP_INDEX = f"""do $$ begin
  -- By what it does: its name may have had to step aside.
  execute (select pg_catalog.format('drop index %s', i.indexrelid::regclass) from pg_index i join pg_attribute a
    on a.attrelid = i.indrelid and a.attnum = i.indkey[0] where i.indrelid = '{relation(v2.EXERCISES)}'::regclass
    and i.indnatts = 1 and a.attname = 'day_id' limit 1);
end $$"""


_OTHER_ROWS = f"""do $$ declare found record; begin
  select i.indexrelid::regclass as name into found from pg_index i join pg_attribute a on a.attrelid = i.indrelid
    and a.attnum = i.indkey[0] where i.indrelid = '{relation(v2.PLANS)}'::regclass and i.indpred is not null
    and a.attname = 'status' limit 1;
  execute pg_catalog.format('drop index %s', found.name);
  create index on {relation(v2.PLANS)} (status) where status = 'archived';
end $$"""


CHECKS = (
    Check(
        id="v2-constraints",
        group=Group.VERIFICATION,
        title="Keys and rules of v2",
        why="Keys, unique and check constraints and required columns hold the structure together from now on; one that "
        "is missing or was never validated holds nothing.",
        expected="all valid",
        probe=on_v2(_constraints),
        guide=REPORT,
        sql=lambda _: _CONSTRAINTS.strip(),
        faults=(
            changed_table(
                "a check constraint is gone",
                f"alter table {relation(v2.EXERCISES)} drop constraint exercises_sets_check",
                v2.EXERCISES,
            ),
            changed_table(
                "a check constraint lets everything pass",
                f"alter table {relation(v2.EXERCISES)} drop constraint exercises_sets_check, "
                "add constraint exercises_sets_check check (sets is not null)",
                v2.EXERCISES,
            ),
            changed_table(
                "a required column takes NULL",
                f"alter table {relation(v2.WEEKS)} alter plan_id drop not null",
                v2.WEEKS,
            ),
            changed_table(
                "a cascade is dropped from its key",
                f"alter table {relation(v2.DAYS)} drop constraint workout_days_week_id_fkey, "
                "add constraint workout_days_week_id_fkey "
                f"foreign key (week_id) references {relation(v2.WEEKS)} (id) not valid",
                v2.DAYS,
            ),
            changed_table(
                "a key was never validated",
                f"alter table {relation(v2.EXERCISES)} drop constraint exercises_day_id_fkey, "
                "add constraint exercises_day_id_fkey "
                f"foreign key (day_id) references {relation(v2.DAYS)} (id) on delete cascade not valid",
                v2.EXERCISES,
            ),
        ),
    ),
    Check(
        id="v2-indexes",
        group=Group.VERIFICATION,
        title="Indexes of v2",
        why="A missing index is what makes the app slow after a migration.",
        expected="all, usable",
        probe=on_v2(_indexes),
        guide="Troubleshooting · Performance Degradation",
        sql=lambda _: _INDEXES.strip(),
        faults=(
            changed_table("an index is gone", _DROP_INDEX, v2.EXERCISES),
            changed_table("an index leaves out the rows it is for", _OTHER_ROWS, v2.PLANS),
        ),
    ),
    Check(
        id="grants",
        group=Group.VERIFICATION,
        title="Grants of v2",
        why="The app's roles may do with v2 exactly what they might do with v1: less breaks the app, more opens data.",
        expected="as v1's",
        probe=against_v1(_grants),
        sql=_grants_sql,
        needs_v1=True,
        faults=(
            Fault(
                "a grant is revoked",
                f"revoke select on {relation(v2.EXERCISES)} from authenticated, service_role",
                v2.EXERCISES,
            ),
            Fault("everybody is granted a table", f"grant select on {relation(v2.DAYS)} to public", v2.DAYS),
        ),
    ),
)
