"""What operators have set on v1's tables: statistics targets, storage, planner statistics, comments, marks.

Nothing of it changes what the tables hold, so nobody misses it before the app is slow. v2's tables get whatever has a
place there: settings of columns and tables while they are bare, so that rows are stored and counted by them; marks on
indexes and the like in the cut-over, since a round of catching up may make an index anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vagus_tui.database.dependents import Dependent, Fate, Kind
from vagus_tui.migration.binding import in_path, same_columns, whole_row
from vagus_tui.migration.carried import Bound, constraint_on_v2, index_on_v2
from vagus_tui.migration.unique import changed_columns
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import free_name, literal, qualified, quote
from vagus_tui.schema.inverse import counterpart
from vagus_tui.schema.v1 import V1Shape

TARGETS = "statistics targets"
DISTINCT = "numbers of distinct values"
STORAGE = "storage of columns"
COMPRESSION = "compression of columns"
COMMENTS = "comments on columns"
COMMENT = "comment"
PARAMETERS = "storage parameters"
IDENTITY = "replica identity"
CLUSTERED = "CLUSTER mark"
EXPRESSIONS = "statistics targets of index expressions"
INDEX_COMMENTS = "comments on indexes"
CONSTRAINT_COMMENTS = "comments on constraints"
REFERENCE_COMMENTS = "comments on references"
FORCED = "FORCE ROW LEVEL SECURITY"

_OF_COLUMNS = (TARGETS, DISTINCT, STORAGE, COMPRESSION, COMMENTS)
_OF_INDEXES = (IDENTITY, CLUSTERED, EXPRESSIONS, INDEX_COMMENTS)
_VACUUM = "autovacuum_enabled"
"""Off while v2 is built, whatever v1 has; so it is set in the cut-over."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that was set: the column, option or index it is about ("" for the table), and what.

    Args:
        definition: of the index it is about, or that is behind a constraint; of a reference, its column; "" else.
    """

    item: str
    value: str
    definition: str = ""


def settings_of(one: Dependent) -> Iterator[Setting]:
    """What a dependent of this kind is made of."""
    return map(Setting, one.all("item"), one.all("value"), one.all("text"))


@dataclass(frozen=True, slots=True)
class Places:
    """Where v2 has a place for a setting of v1.

    Args:
        bound: checks and indexes that v2 has from v1.
        repeat: several rows of v2 are made of one exercise.
    """

    shape: V1Shape
    bound: tuple[Bound, ...]
    ddl: V2Ddl
    repeat: bool

    def place(self, one: Dependent, setting: Setting) -> str | None:
        """The column, option, index or constraint of v2 ("" for the table) that gets a setting; None for no place."""
        if one.name in _OF_COLUMNS:
            return self._column(one, setting)
        if setting.item and one.name in _OF_INDEXES:
            there = index_on_v2(self.bound, self.ddl, one.base, setting.item, setting.definition)
            named = (b for b in self.bound if (b.base, b.name) == (one.base, setting.item))
            ours = next((b for b in named if b.kept and not b.check), None)
            if one.name == CLUSTERED:
                return there
            if one.name == IDENTITY:
                # v2 has optional columns that v1 has not; no row is known by those.
                return there if ours is None or self._always_there(ours) else None
            # What is set on the index that v2 has in its place anyway is not ours to say.
            return there if ours is not None else None
        if one.name == CONSTRAINT_COMMENTS:
            return constraint_on_v2(self.bound, self.ddl, one.base, setting.item, setting.definition)
        if one.name == REFERENCE_COMMENTS:
            # v2's own reference from the column that has the same values.
            column = counterpart(one.base, self.shape.tables[one.base], setting.definition)
            known = any(key.column == column for key in v2.MODEL[one.base].foreign_keys)
            return f"{one.base}_{column}_fkey" if known else None
        return setting.item

    def _always_there(self, index: Bound) -> bool:
        """Whether every row of v2 has a value in each column that a unique index of v1 tells rows apart by."""
        keys = () if index.unique is None else index.unique.keys
        told_by = (column for column in index.columns if quote(column) in keys)
        return all(self.ddl.never_empty(index.base, column) for column in told_by)

    def _column(self, one: Dependent, setting: Setting) -> str | None:
        table = self.shape.tables[one.base]
        there = counterpart(one.base, table, setting.item)
        if one.name == DISTINCT:
            ratio = setting.value.partition("=")[2].startswith("-")
            repeated = self.repeat and one.base == v1.EXERCISES and ratio
            return None if repeated or setting.item in changed_columns(self.shape, one.base) else there
        if one.name in (STORAGE, COMPRESSION) and there is not None:
            known = next((c.type for c in v2.MODEL[one.base].columns if c.name == there), "text")
            # Only values of varying length can be stored in more than one way.
            return there if known.startswith(("text", "jsonb", "numeric")) else None
        return there

    def left(self, one: Dependent) -> list[Setting]:
        """Those that v2 has no place for."""
        return [setting for setting in settings_of(one) if self.place(one, setting) is None]

    def missing_columns(self, statistics: Dependent) -> list[str]:
        """Columns that extended statistics are over and v2's table has not, or not as an expression means them."""
        table = self.shape.tables[statistics.base]
        plain = V1Shape({**self.shape.tables, statistics.base: type(table)(table.base, table.base, table.columns)})
        same = same_columns(plain, statistics.base)
        missing = [name for name in statistics.all("column") if counterpart(statistics.base, table, name) is None]
        missing += [name for name in statistics.all("within") if name not in same]
        if any(whole_row(expression) for expression in statistics.all("expression")):
            missing.append("whole rows")
        if statistics.all("expression"):
            missing += [name for name in statistics.all("column") if name not in same and name not in missing]
        return missing


def fate_of(one: Dependent, places: Places) -> tuple[Fate, str]:
    """What becomes of a setting, or of extended statistics, and why."""
    if one.kind is Kind.STATISTICS:
        if missing := places.missing_columns(one):
            return Fate.STAYS, f"stays with v1: it is about {', '.join(missing)}, which v2's {one.base} has not"
        return Fate.FOLLOWS, "v2's table gets the same"
    left = places.left(one)
    names = ", ".join(setting.item for setting in left)
    if len(left) == len(list(settings_of(one))):
        return Fate.STAYS, f"stays with v1: v2 has no place for it ({names})"
    if left:
        return Fate.FOLLOWS, f"v2's table gets them too, but v2 has no place for that of {names}"
    return Fate.FOLLOWS, "v2's table gets the same"


NO_PLACE = ("stays with v1", "no place for")
"""Words of reasons that tell of a setting that does not follow."""


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────


def _given(dependents: tuple[Dependent, ...], places: Places, name: str) -> Iterator[tuple[str, str, Setting]]:
    """Table, place and setting of all that v2 gets of one kind."""
    for one in dependents:
        if one.kind is Kind.SETTING and one.name == name:
            for setting in settings_of(one):
                if (place := places.place(one, setting)) is not None:
                    yield one.base, place, setting


def _options(value: str) -> str:
    name, _, text = value.partition("=")
    return f"{name} = {literal(text)}"


def bare_statements(dependents: tuple[Dependent, ...], places: Places) -> list[str]:
    """What v2's tables get in the staging schema while they are bare, planner statistics included."""
    ddl, statements = places.ddl, []
    words = {TARGETS: "set statistics", STORAGE: "set storage", COMPRESSION: "set compression"}
    for table, option, setting in _given(dependents, places, PARAMETERS):
        if option != _VACUUM:
            statements.append(f"alter table {ddl.relation(table)} set ({_options(f'{option}={setting.value}')})")
    for name in (STORAGE, COMPRESSION, TARGETS):
        for table, column, setting in _given(dependents, places, name):
            statements.append(
                f"alter table {ddl.relation(table)} alter column {quote(column)} {words[name]} {setting.value}"
            )
    for table, column, setting in _given(dependents, places, DISTINCT):
        statements.append(
            f"alter table {ddl.relation(table)} alter column {quote(column)} set ({_options(setting.value)})"
        )
    for table, column, setting in _given(dependents, places, COMMENTS):
        statements.append(f"comment on column {ddl.relation(table)}.{quote(column)} is {literal(setting.value)}")
    for one in _statistics(dependents):
        statements.extend(_statistics_made(one, places))
    return statements


def table_comment(dependents: tuple[Dependent, ...], base: str | None) -> str:
    """What v1's comment on a table adds to that of v2's, which says where it came from: GraphQL is told things so."""
    said = [s.value for one in dependents if one.name == COMMENT and one.base == base for s in settings_of(one)]
    return "".join(f"\n{text}" for text in said)


def final_statements(dependents: tuple[Dependent, ...], places: Places) -> list[str]:
    """What is left for the cut-over, once v2's tables and indexes have their names: instant, all of it."""
    ddl, statements = places.ddl, []
    for table, option, setting in _given(dependents, places, PARAMETERS):
        if option == _VACUUM:
            statements.append(f"alter table {ddl.relation(table)} set ({_options(f'{option}={setting.value}')})")
    for table, index, _ in _given(dependents, places, IDENTITY):
        using = f"using index {quote(index)}" if index else "nothing"
        statements.append(f"alter table {ddl.relation(table)} replica identity {using}")
    for table, index, _ in _given(dependents, places, CLUSTERED):
        statements.append(f"alter table {ddl.relation(table)} cluster on {quote(index)}")
    for _, index, setting in _given(dependents, places, EXPRESSIONS):
        number, _, target = setting.value.partition(" ")
        statements.append(f"alter index {qualified(ddl.schema, index)} alter column {number} set statistics {target}")
    for _, index, setting in _given(dependents, places, INDEX_COMMENTS):
        statements.append(f"comment on index {qualified(ddl.schema, index)} is {literal(setting.value)}")
    for name in (CONSTRAINT_COMMENTS, REFERENCE_COMMENTS):
        for table, constraint, setting in _given(dependents, places, name):
            statements.append(
                f"comment on constraint {quote(constraint)} on {ddl.relation(table)} is {literal(setting.value)}"
            )
    for table, _, _ in _given(dependents, places, FORCED):
        statements.append(f"alter table {ddl.relation(table)} force row level security")
    return statements


def _statistics(dependents: tuple[Dependent, ...]) -> list[Dependent]:
    return [one for one in dependents if one.kind is Kind.STATISTICS and one.fate is Fate.FOLLOWS]


def _name_on_v2(one: Dependent, schema: str) -> str:
    """The name that v2's have: v1's own, which those of v1 leave to them; another where they cannot."""
    taken = set(one.all("taken"))
    if one.schema == schema and (not one.ours or v1.SUFFIX in one.name):
        taken.add(one.name)
    return free_name(one.name.removesuffix(v1.SUFFIX), taken)


def _statistics_made(one: Dependent, places: Places) -> list[str]:
    table, schema = places.shape.tables[one.base], places.shape.schema
    name = qualified(places.ddl.schema, _name_on_v2(one, schema))
    columns = [quote(counterpart(one.base, table, column) or column) for column in one.all("column")]
    kinds = one.all("kind")
    over = ", ".join([*columns, *(f"({expression})" for expression in one.all("expression"))])
    listed = f" ({', '.join(kinds)})" if kinds else ""
    made = f"create statistics {name}{listed} on {over} from {places.ddl.relation(one.base)}"
    statements = in_path(f"{quote(schema)}, pg_temp", made)
    if one.fact("target"):
        statements.append(f"alter statistics {name} set statistics {one.fact('target')}")
    if one.fact("comment"):
        statements.append(f"comment on statistics {name} is {literal(one.fact('comment'))}")
    return statements


def statistics_moved(dependents: tuple[Dependent, ...], source: str, target: str) -> list[str]:
    """v2's planner statistics into v2's schema: tables do not take theirs along."""
    return [
        f"alter statistics {qualified(source, _name_on_v2(one, target))} set schema {quote(target)}"
        for one in _statistics(dependents)
    ]


def statistics_archived(relations: list[str], archive: str) -> str:
    """Whatever planner statistics v2's tables have by now go where the tables go."""
    listed = ", ".join(f"to_regclass({literal(relation).strip()})" for relation in relations)
    block = (
        "declare s record;\nbegin\n"
        "for s in select n.nspname, x.stxname from pg_statistic_ext x join pg_namespace n on n.oid = x.stxnamespace\n"
        f"  where x.stxrelid = any(array[{listed}]::oid[]) and n.nspname <> {literal(archive).strip()}\n"
        "    and pg_has_role(x.stxowner, 'usage') loop\n"
        f"  execute pg_catalog.format('alter statistics %I.%I set schema %I', s.nspname, s.stxname, "
        f"{literal(archive).strip()});\n"
        "end loop;\nend"
    )
    return f"do {literal(block)}"
