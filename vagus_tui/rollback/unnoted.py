"""Rows of v2 that are otherwise than v1, as it was kept, says they must be, though no such write was noted.

The cut-over proved that there was no difference at all. So each is a write that nobody noted, or what somebody did by
hand to the kept v1 tables, or to v2's columns; which of these, rows alone cannot tell.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.events import Phase
from vagus_tui.format import plural
from vagus_tui.migration.aligned import aligned_ids_sql
from vagus_tui.migration.build import prepare_statements
from vagus_tui.migration.capture import V2_CHANGES, V2_UNNOTED
from vagus_tui.migration.catch_up import MAPPED
from vagus_tui.migration.difference import odd
from vagus_tui.migration.steps import PlanStep, stop_unless_zero
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback.touched import kept_shape
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import literal, qualified
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.plan_parts import Prepared
from vagus_tui.schema.rules import MappingOptions

BEGUN, DAY_KEYS, STEP, DECIDED = "compare-begin", "compare-day-keys", "compare-unnoted", "compare-decided"
ORDER = (v2.LOGS, v2.SESSIONS, v2.DAYS, v2.EXERCISES, v2.WEEKS, v2.PLANS, v2.GROUPS)
"""The tables, what takes longest first: as they are compared side by side."""
COMPARING = (BEGUN, DAY_KEYS, *(f"compare-{table}" for table in ORDER), STEP)
"""The steps of the comparison, which run side by side as far as they do not need one another."""
NOTE_AGAIN = "note-again"
ARCHIVED = "not_noted"
"""The archive's table of them: table_name, row_id, and the row as v1 had it."""
SHOWN = 3

_PARTS = ("keyed", "plan_days", "plans", "placed")
PREPARED = Prepared(*(f"vagus_migration.compare_{part}" for part in _PARTS))
"""Where the comparison keeps what it works out once, for all its connections, until it is done."""
_PREPARED_HERE = Prepared(*(f"pg_temp.vagus_{part}" for part in _PARTS))
UNPREPARED = f"drop table if exists {', '.join(PREPARED.relations)}"


class Comparison:
    """The SQL that compares all of v2 with v1 as it was kept."""

    def __init__(self, survey: Survey, options: MappingOptions) -> None:
        self.shape = kept_shape(survey)
        self.mapping = WorkoutMapping(self.shape, options)

    def _differing(self, table: str, prepared: Prepared, *, noted: bool) -> str:
        relation = qualified(self.shape.schema, table)
        if table not in MAPPED:
            # No migration fills it: whatever it holds was written since.
            return f"select t.id::text as id from {relation} t"
        if table == v2.LOGS:
            # Both lie in the order in which they were copied, but for what was written since.
            known = f"exists (select from {V2_CHANGES} c where c.table_name = '{table}' and c.row_id = i.id::text)"
            found = aligned_ids_sql(self.mapping, self.shape.schema, known if noted else "")
            return f"select f.id::text as id from (\n{found}\n) f"
        wanted = dataclasses.replace(self.mapping, prepared=prepared).select(table)
        return (
            f"select coalesce(x.id, t.id)::text as id\nfrom (\n{wanted}\n) x\n"
            f"full join {relation} t on t.id = x.id\nwhere {odd(self.mapping, table, own=True)}"
        )

    def found(self, table: str, prepared: Prepared, *, noted: bool) -> str:
        """One table's rows: table_name, row_id, and the row as v1 has it, if v1 has one.

        Args:
            prepared: where days and weeks of every plan were worked out.
            noted: there is a table of notes, and what it names is left out.
        """
        name = literal(table).strip()
        in_v1 = "null::json"
        if table in v2.V1_BASES:
            base = v2.V1_BASES[table]
            kind = v2.id_types(self.shape)[v2.ID_PLACEHOLDERS[base]]
            in_v1 = f"(select to_json(o.*) from {self.mapping.source(base)} o where o.id = d.id::{kind})"
        but = f"\nwhere not exists (select from {V2_CHANGES} c where c.table_name = {name} and c.row_id = d.id)"
        return (
            f"select {name} as table_name, d.id as row_id, {in_v1} as in_v1\n"
            f"from (\n{self._differing(table, prepared, noted=noted)}\n) d{but if noted else ''}"
        )

    def steps(self, *, carried: bool) -> list[PlanStep]:
        """Look for them, keep them until they are archived, and stop where somebody has to decide about them.

        Args:
            carried: writes were not noted, so these count as written since, and are carried back like any other.
        """
        reads = "none: it only reads the workout tables"

        def step(name: str, title: str, *statements: str, needs: tuple[str, ...] = (), lock: str = reads) -> PlanStep:
            return PlanStep(name, Phase.PROVE, title, statements, lock=lock, undo="none needed", needs=needs)

        begun = step(
            BEGUN,
            "a table for the rows that differ",
            f"create table if not exists {V2_UNNOTED} (table_name text not null, row_id text not null, in_v1 json,\n"
            "  stays_in_v1 boolean not null default false)",
            # Where a publication carries all tables, rows can be changed only in tables that can tell them apart.
            f"alter table {V2_UNNOTED} replica identity full",
            # Another attempt may have looked before. What was noted meanwhile, or decided, stays as it is.
            f"delete from {V2_UNNOTED} u where not stays_in_v1 and not exists (select from {V2_CHANGES} c "
            "where c.table_name = u.table_name and c.row_id = u.row_id)",
        )
        keys = step(
            DAY_KEYS,
            "days and weeks of every plan, as v1 was kept",
            *prepare_statements(self.mapping, PREPARED),
            needs=(BEGUN,),
        )
        tables = [
            step(
                f"compare-{table}",
                f"compare every row of {table} with v1 as it was kept",
                f"insert into {V2_UNNOTED} (table_name, row_id, in_v1)\nselect f.* from (\n"
                f"{self.found(table, PREPARED, noted=True)}\n) f\nwhere not exists (select from {V2_UNNOTED} u "
                "where u.table_name = f.table_name and u.row_id = f.row_id)",
                needs=(BEGUN,) if table in (v2.LOGS, v2.GROUPS) else (DAY_KEYS,),
            )
            for table in ORDER
        ]
        last = step(
            STEP,
            "every row was compared",
            UNPREPARED,
            *([TAKEN] if carried else []),
            needs=tuple(one.id for one in tables),
        )
        undecided = f"select count(*) from {UNDECIDED}"
        decided = step(
            DECIDED,
            "no row that differs is left to be decided about",
            stop_unless_zero(undecided, f"rows differ, see {V2_UNNOTED}"),
            lock="none: it only reads",
        )
        return [begun, keys, *tables, last, decided]

    def temporary(self, *, noted: bool) -> list[str]:
        """The same within a transaction that is taken back."""
        found = [self.found(table, _PREPARED_HERE, noted=noted) for table in v2.TABLES]
        return [
            # Temporary tables by their schema; as such they cannot be unlogged too.
            *prepare_statements(self.mapping, _PREPARED_HERE, unlogged=False),
            f"create temporary table {TEMPORARY} on commit drop as\n{found[0]}",
            *(f"insert into {TEMPORARY}\n{query}" for query in found[1:]),
            f"analyze {TEMPORARY}",
        ]


TEMPORARY = "vagus_unnoted"


def archived(archive: str) -> str:
    """The statement that puts them into an archive, where there are any, and forgets them."""
    return (
        "do $vagus$ begin\n"
        f"if exists(select from {V2_UNNOTED}) then\n"
        f"  create table {qualified(archive, ARCHIVED)} as table {V2_UNNOTED};\nend if;\n"
        f"drop table {V2_UNNOTED};\nend $vagus$"
    )


UNDECIDED = (
    f"(select u.* from {V2_UNNOTED} u where not u.stays_in_v1 and not exists (select from {V2_CHANGES} c "
    "where c.table_name = u.table_name and c.row_id = u.row_id)) u"
)
"""FROM: those that are neither noted by now nor said to stay as v1 has them."""

TAKEN = (
    f"insert into {V2_CHANGES} (table_name, row_id) select table_name, row_id from {V2_UNNOTED} where not stays_in_v1"
)
STAYING = f"update {V2_UNNOTED} set stays_in_v1 = true"
"""The statements by which they are said to be written since, or to stay in v1 as they are."""


@dataclass(frozen=True, slots=True)
class Unnoted:
    """How many there are, by table, and the first of them."""

    rows: dict[str, int]
    first: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many in all."""
        return sum(self.rows.values())

    @property
    def _found(self) -> str:
        listed = ", ".join(f"{count:,} of {table}" for table, count in self.rows.items())
        return (
            f"{plural(self.total, 'row differs', 'rows differ')} from what v1 has though no such write was noted: "
            f"{listed} (such as {', '.join(self.first)})"
        )

    def carried(self) -> str:
        """What becomes of them where the notes are known to be incomplete, in sentences."""
        if not self.total:
            return "Every row was compared with v1 as it was kept: none differs but by a write that was noted."
        return (
            f"{self._found}. All of that counts as written since the cut-over, and comes back as v2 has it; what v1 "
            f"had in its place is kept in table {ARCHIVED} of the archive."
        )

    def told(self) -> list[str]:
        """What will be asked about them where every write seems to have been noted."""
        return [f"{self._found}. The rollback will ask what to do about them, before it changes anything."] * (
            self.total > 0
        )

    def refuse(self) -> None:
        """Stop where somebody has to say what they are.

        Raises:
            RefusedError: there are some; says the SQL for either decision.
        """
        if self.total:
            raise RefusedError(
                f"{self._found}. Either notes were deleted by hand, or somebody altered rows or columns by hand, of v2 "
                "or of the kept v1 tables; or a user has left who had handed plans over in v2: those went from v1.",
                state="Nothing was changed: v2 is in place and in use.",
                next_step=f"{V2_UNNOTED} lists them. Decide: {TAKEN}; carries them back as v2 has them. {STAYING}; "
                "leaves v1's as they are, and v2's in the archive. Then roll back again.",
            )


async def read_unnoted(connection: Connection, table: str) -> Unnoted:
    """What was found.

    Args:
        table: where it was put.
    """
    rows = await connection.fetch(f"select table_name, count(*) from {table} group by 1 order by 1")
    first = await connection.fetch(f"select table_name, row_id from {table} order by 1, 2 limit {SHOWN}")
    return Unnoted({row[0]: row[1] for row in rows}, tuple(f"{row[0]} {row[1]}" for row in first))
