"""What one rule about v1's rows is: conditions in SQL, and how many rows meet them.

Every constraint and cast of v2 has a rule here, so that when all of them pass the build cannot fail on data. Rules of
one table that look at one row at a time are counted together, in one scan that the whole run shares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vagus_tui.checks.base import Check, Context, Group, Outcome, reading
from vagus_tui.checks.column_types import REFERENCES, misfit, reference_misfit
from vagus_tui.checks.nouns import counted
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.errors import VagusError
from vagus_tui.events import Status
from vagus_tui.schema import v1
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.v1 import V1Shape

USERS = "auth.users"
WHOLE_TYPES = ("smallint", "integer")
LARGEST_INTEGER = 2_147_483_647
LISTED_VALUES = 8

_COLUMN = re.compile(r'\bt\.(?:"((?:[^"]|"")+)"|(\w+))')

COACHES = "coach_clients"
"""Who coaches whom: beside v1's tables, and read by v2's rules as it is."""


@dataclass(frozen=True, slots=True)
class Names:
    """v1 as SQL sees it: the quoted names that its tables have now, and which columns are there."""

    shape: V1Shape

    def name(self, base: str) -> str:
        """The name that a table has now."""
        return COACHES if base == COACHES else self.shape.tables[base].name

    def table(self, base: str) -> str:
        """The quoted name of one of v1's tables, or of the coach relation."""
        return qualified(self.shape.schema, self.name(base))

    def columns(self, base: str) -> Mapping[str, v1.Column]:
        """The columns of a table."""
        return (self.shape.coach_clients or {}) if base == COACHES else self.shape.tables[base].columns

    @property
    def plans(self) -> str:
        return self.table(v1.PLANS)

    @property
    def exercises(self) -> str:
        return self.table(v1.EXERCISES)

    @property
    def sessions(self) -> str:
        return self.table(v1.SESSIONS)

    @property
    def logs(self) -> str:
        return self.table(v1.LOGS)

    @property
    def mapping(self) -> WorkoutMapping:
        """The mapping's own expressions, so that a rule and the build agree to the letter."""
        return WorkoutMapping(self.shape)

    def has(self, base: str, column: str) -> bool:
        """Whether an optional column is there."""
        return self.shape.tables[base].has(column)

    def unfit(self, base: str, column: str, alias: str = "t") -> str:
        """The value is no whole number, or does not fit a 4-byte integer; false where the column is one."""
        if self.shape.tables[base].columns[column].plain in WHOLE_TYPES:
            return "false"
        value = f"{alias}.{quote(column)}"
        if self.shape.tables[base].columns[column].plain == "real":
            # Of which a numeric keeps six digits, and an integer all.
            value = f"{value}::double precision"
        beyond = f"abs({value}::numeric) > {LARGEST_INTEGER}"
        if self.shape.tables[base].columns[column].plain == "bigint":
            return beyond
        return f"({beyond} or {value}::numeric <> trunc({value}::numeric))"


Condition = Callable[[Names], str]


class Rows(Protocol):
    """The rows of one table that a check objects to, as guided fixes need them; the table's alias is `t`."""

    @property
    def table(self) -> str:
        """v1's name of the table."""

    @property
    def title(self) -> str:
        """The check's name."""

    def missing(self, shape: V1Shape) -> tuple[str, ...]:
        """Needed columns that this database does not have."""

    def offending(self, names: Names, part: str = "all") -> str:
        """The condition of the rows that fail ("fails"), that warn ("warns"), or of both ("all")."""

    def listed(self, names: Names) -> str:
        """All columns for a SELECT, those that tell a person most first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about the rows of one v1 table, whose alias in every condition is `t`.

    Args:
        columns: optional columns it needs; without them the check is skipped.
        either: optional columns of which one is enough.
        fails: rows that v2 would refuse. What is wrong with them is `failing`, as in "of a plan that does not exist".
        warns: rows that v2 takes but the mapping changes or marks. `warning` says how.
        values: an expression whose most frequent values are named in the message.
        alone: the conditions look at other tables, so they get a query of their own.
        guaranteed: columns whose unique index, where there is one, makes looking needless; only for rules that ask
            for nothing else, besides NULLs that other rules ask for.
        note: what is worth saying even when no row offends.
    """

    id: str
    table: str
    title: str
    why: str
    guide: str = ""
    columns: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    fails: Condition | None = None
    failing: str = ""
    warns: Condition | None = None
    warning: str = ""
    values: Condition | None = None
    alone: bool = False
    guaranteed: tuple[str, ...] = ()
    note: str = ""

    def conditions(self, names: Names) -> list[str]:
        """What fails and what warns, in this order, false where there is no such part."""
        return [part(names) if part else "false" for part in (self.fails, self.warns)]

    def offending(self, names: Names, part: str = "all") -> str:
        """The condition of the rows that fail ("fails"), that warn ("warns"), or of both ("all")."""
        fails, warns = self.conditions(names)
        if part == "all":
            return " or ".join(f"({condition})" for condition in (fails, warns) if condition != "false") or "false"
        if part == "warns" and self.fails:
            return f"({warns}) and ({fails}) is not true"
        return {"fails": fails, "warns": warns}[part]

    def missing(self, shape: V1Shape) -> tuple[str, ...]:
        """Needed columns that this database does not have."""
        table = shape.tables[self.table]
        without = tuple(name for name in self.either if not table.has(name))
        needed = without if len(without) == len(self.either) else ()
        return (*(name for name in self.columns if not table.has(name)), *needed)

    def counting_sql(self, names: Names) -> str:
        """The statement that counts its rows alone, for people to read and run."""
        parts = [part for part, there in (("fails", self.fails), ("warns", self.warns)) if there]
        counts = [f"count(*) filter (where {self.offending(names, part)}) as {part}" for part in parts]
        listed = ",\n  ".join(counts)
        return f"select {listed}\nfrom {names.table(self.table)} t"

    def rows_sql(self, names: Names) -> str:
        """The offending rows, whole."""
        return f"select {self.listed(names)} from {names.table(self.table)} t where {self.offending(names)}"

    def listed(self, names: Names) -> str:
        """All columns for a SELECT: the id, what the rule looks at, what a person knows the row by, then the others.

        A window shows only the first few: what offends has to be among them.
        """
        known = names.shape.tables[self.table].columns
        looked_at = (
            quoted.replace('""', '"') if quoted else bare for quoted, bare in _COLUMN.findall(self.offending(names))
        )
        columns = dict.fromkeys(name for name in ("id", *looked_at, "name", *known) if name in known)
        return ", ".join(f"t.{quote(name)}" for name in columns)


def as_checks(rules: Sequence[Rule]) -> tuple[Check, ...]:
    """The rules as checks, which count together what they can."""
    return tuple(_as_check(rule, rules) for rule in rules)


def _as_check(rule: Rule, siblings: Sequence[Rule]) -> Check:
    async def probe(context: Context) -> Outcome:
        return await _probe(rule, siblings, context)

    return Check(
        id=rule.id,
        group=Group.DATA_QUALITY,
        title=rule.title,
        why=rule.why,
        expected="0",
        probe=probe,
        guide=rule.guide,
        sql=lambda context: rule.counting_sql(Names(context.shape)),
        rows_sql=lambda context: (
            "select null as id where false" if rule.missing(context.shape) else rule.rows_sql(Names(context.shape))
        ),
        needs_v1=True,
        # What v2 refuses would stop the build; saying that it may does not make it fit.
        overridable=rule.fails is None,
    )


async def _probe(rule: Rule, siblings: Sequence[Rule], context: Context) -> Outcome:
    table = context.shape.tables[rule.table]
    if missing := rule.missing(context.shape):
        return Outcome(Status.SKIP, "–", f"{table.name} has no column {', '.join(missing)}.")
    if reason := unmeasurable(rule, context.shape):
        raise VagusError(reason, next_step="See the check column-types.")
    names = Names(context.shape)
    fails, warns = await _count(rule, siblings, context, names)
    if not fails and not warns:
        return Outcome(Status.PASS, 0, rule.note)
    parts = []
    if fails:
        parts.append(f"{counted(fails, rule.table)} {rule.failing}.")
    if warns:
        parts.append(f"{counted(warns, rule.table)} {rule.warning}.")
    if rule.values:
        parts.append(await _named_values(rule, context, names))
    return Outcome(Status.FAIL if fails else Status.WARN, fails or warns, " ".join(parts), rows=fails + warns)


def unmeasurable(rule: Rule, shape: V1Shape) -> str | None:
    """Why a column's type keeps the rule from being measured, or None."""
    table = shape.tables[rule.table]
    columns = (*rule.columns, *rule.either, *v1.REQUIRED[rule.table])
    reasons = [misfit(table, column) for column in columns]
    if rule.alone:
        reasons += [reference_misfit(shape, base, column) for base, column in REFERENCES]
    return next(filter(None, reasons), None)


def _filters(rule: Rule, names: Names, suffix: str) -> str:
    fails, warns = rule.conditions(names)
    return (
        f"count(*) filter (where {fails}) as fails{suffix},\n"
        f"  count(*) filter (where ({warns}) and ({fails}) is not true) as warns{suffix}"
    )


COUNTING = "set local work_mem = '96MB'", "set local timezone = 'UTC'"
"""Memory enough to hash a large table."""


async def _count(rule: Rule, siblings: Sequence[Rule], context: Context, names: Names) -> tuple[int, int]:
    if rule.guaranteed and await _is_unique(context, rule):
        return 0, 0
    if rule.alone:
        fails, warns = rule.offending(names, "fails"), rule.offending(names, "warns")
        table = names.table(rule.table)
        async with reading(context.connection, *COUNTING):
            counts = [
                await context.connection.fetchval(f"select count(*) from {table} t where {condition}") if part else 0
                for part, condition in ((rule.fails, fails), (rule.warns, warns))
            ]
        return counts[0], counts[1]
    return (await _shared_scan(rule.table, siblings, context, names))[rule.id]


_UNIQUE = """
select exists(
  select from pg_index i
  where i.indrelid = $1::regclass and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
    and array(select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) k(attnum)
              join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum order by 1)
        = array(select unnest($2::text[]) order by 1)
    and ($2 <> '{id}' or i.indisprimary))
"""


async def _is_unique(context: Context, rule: Rule) -> bool:
    table = Names(context.shape).table(rule.table)
    return bool(await context.connection.fetchval(_UNIQUE, table, list(rule.guaranteed)))


async def _shared_scan(
    base: str, siblings: Sequence[Rule], context: Context, names: Names
) -> dict[str, tuple[int, int]]:
    """The counts of every row-wise rule of a table from one scan, made by whichever rule comes first."""
    key = f"data-quality {base}"
    if key not in context.cache:
        rules = [
            rule
            for rule in siblings
            if rule.table == base
            and not rule.alone
            and not rule.missing(context.shape)
            and not unmeasurable(rule, context.shape)
        ]
        filters = ",\n  ".join(_filters(rule, names, str(number)) for number, rule in enumerate(rules))
        async with reading(context.connection, *COUNTING):
            row = await context.connection.fetchrow(f"select {filters}\nfrom {names.table(base)} t")
        assert row is not None
        context.cache[key] = {
            rule.id: (row[f"fails{number}"], row[f"warns{number}"]) for number, rule in enumerate(rules)
        }
    found: dict[str, tuple[int, int]] = context.cache[key]
    return found


async def _named_values(rule: Rule, context: Context, names: Names) -> str:
    assert rule.values is not None
    rows = await context.connection.fetch(
        f"select left(({rule.values(names)})::text, 60) as value, count(*) as rows, count(*) over () as others "
        f"from {names.table(rule.table)} t where {rule.offending(names)} group by 1 "
        f"order by 2 desc, 1 limit {LISTED_VALUES}"
    )
    listed = ", ".join(f"“{row['value']}” ({row['rows']:,})" for row in rows)
    others = rows[0]["others"] - len(rows) if rows else 0
    return f"Values: {listed}{f' and {others:,} more' if others else ''}."
