"""Rows of the kept v1 tables that are otherwise than the cut-over left them, put back before a rollback.

A user who left has taken along what v1 had under their name, also what was handed over in v2 meanwhile; and somebody
may have written there by hand. The notes (see `migration/noting_kept.py`) hold each such row as it was. It comes back
to the byte, but for a reference to somebody who is gone: that is as v2 has it now. What cannot come back this way, and
v2 has, counts as written since the cut-over, and is carried back from v2 like anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.format import plural
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.noting_kept import KEPT_CHANGES
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback.kept import Kept, KeptReference
from vagus_tui.rollback.touched import is_id, kept_shape
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.inverse import InverseMapping
from vagus_tui.schema.v1 import V1Shape

STEP, AGAIN = "kept-rows", "kept-rows-again"

PUT_BACK = "vagus_migration.v1_put_back"
"""What was done about them: (table_name, how, rows)."""
BY_HAND = "vagus_migration.v1_by_hand"
"""The rows that somebody had written by hand, as they were until they were put back: (table_name, row_id, row)."""
_ARCHIVED = ("v1_put_back", "v1_by_hand")

_GONE, _CHANGED, _ADDED, _FROM_V2, _FAILED = "gone", "changed", "added", "from v2", "failed"

_WORDS = {
    _GONE: "{rows} of {table} that had gone with a user, or by hand, put back as the cut-over left them",
    _CHANGED: "{rows} of {table} changed since by a user's leaving, or by hand, put back as the cut-over left them",
    _ADDED: "{rows} of {table} added by hand to the kept v1, taken out again",
    _FROM_V2: "{rows} of {table} gone or changed in the kept v1 since, carried back as v2 has them",
    _FAILED: "{rows} of {table} changed in the kept v1 since, which could not be put back as they were: they are "
    "carried back as v2 has them",
}


class KeptRows:
    """The SQL that puts them back: one statement, which does nothing where nothing is noted."""

    def __init__(self, survey: Survey, kept: Kept) -> None:
        self.kept = kept
        self.shape: V1Shape = kept_shape(survey)
        self.schema = survey.shape.schema
        self.now = InverseMapping(self.shape, lambda table: qualified(self.schema, table))

    def of_v1(self, base: str) -> str:
        """A kept v1 table, quoted."""
        return qualified(self.schema, self.shape.tables[base].name)

    @staticmethod
    def _was(base: str) -> str:
        """The temporary table with noted rows as the cut-over left them."""
        return f"pg_temp.{quote(f'vagus_was_{base}')}"

    @staticmethod
    def _v2(base: str) -> str:
        """The temporary table with what v2 says of them now, in v1's columns."""
        return f"pg_temp.{quote(f'vagus_v2_{base}')}"

    def _columns(self, base: str) -> list[str]:
        """The columns of a v1 table that can be written."""
        return [quote(column.name) for column in self.shape.tables[base].columns.values() if not column.generated]

    def statements(self) -> list[str]:
        """Put them back, and forget the notes of them."""
        work = ";\n".join([*self._found(), self._settled(), *self._written()])
        body = (
            "#variable_conflict use_column\n"
            "declare vagus_more bigint; vagus_rows bigint; vagus_last bigint;\nbegin\n"
            # A migration of an earlier version noted nothing.
            f"if to_regclass({literal(KEPT_CHANGES).strip()}) is null then return; end if;\n"
            f"if not exists (select from {KEPT_CHANGES}) then return; end if;\n"
            f"create table if not exists {PUT_BACK} (table_name text not null, how text not null, "
            "rows bigint not null);\n"
            f"create table if not exists {BY_HAND} (table_name text not null, row_id text not null, "
            "row json not null);\n"
            f"{self._locked()};\nvagus_last := (select max(id) from {KEPT_CHANGES});\n"
            f"begin\n{work};\n"
            "exception when lock_not_available or deadlock_detected then raise;\n"
            # Whatever keeps them out: nothing of them is lost, since v2 has them.
            f"when others then\n{self._given_up()};\nend;\n"
            f"delete from {KEPT_CHANGES} where id <= vagus_last;\nend"
        )
        return [f"do {literal(body)}"]

    def step(self, name: str, phase: Phase) -> PlanStep:
        """The same as a step of the rollback."""
        tables = tuple(self.of_v1(base) for base in v1.TABLES)
        return PlanStep(
            name,
            phase,
            "put back rows of the kept v1 that went or were changed since the cut-over",
            tuple(self.statements()),
            lock="where there are any: on kept v1 tables, which nobody uses, for an instant",
            undo="none needed: they are as the cut-over left them",
            tables=tables,
        )

    def _locked(self) -> str:
        """Whoever is leaving now comes before or after."""
        return f"lock table {', '.join(self.of_v1(base) for base in v1.TABLES)} in share row exclusive mode"

    def _found(self) -> list[str]:
        """Every noted row as it was, and as v2 has it."""
        statements = [
            "create temporary table vagus_kept_first on commit drop as\n"
            "select distinct on (table_name, row_id) table_name, row_id, was,\n"
            "  bool_or(by_hand) over (partition by table_name, row_id) as by_hand\n"
            f"from {KEPT_CHANGES} where id <= vagus_last order by table_name, row_id, id"
        ]
        for base in v1.TABLES:
            statements += [
                f"create temporary table {quote(f'vagus_was_{base}')} on commit drop as\n"
                "select r.* from pg_temp.vagus_kept_first f\n"
                f"cross join lateral json_populate_record(null::{self.of_v1(base)}, f.was) r\n"
                f"where f.table_name = {literal(base).strip()} and f.was is not null",
                f"create temporary table {quote(f'vagus_v2_{base}')} on commit drop as\n"
                + self.now.select(base, f"{InverseMapping.alias(base)}.id in (select id from {self._was(base)})"),
                f"analyze {self._was(base)}",
                f"analyze {self._v2(base)}",
            ]
        return statements

    def _dangling(self, one: KeptReference) -> str:
        """The condition that a noted row (b) refers to one that is not there, nor comes back."""
        pairs = list(zip(one.columns, one.to_columns, strict=True))

        def same(row: str) -> str:
            return " and ".join(f"{row}.{quote(there)} = b.{quote(here)}" for here, there in pairs)

        given = " and ".join(f"b.{quote(column)} is not null" for column in one.columns)
        dangling = f"{given} and not exists (select from {one.target} t where {same('t')})"
        if one.to_base:
            dangling += f" and not exists (select from {self._was(one.to_base)} w where {same('w')})"
        return f"({dangling})"

    def _settled(self) -> str:
        """Give up what has nothing to belong to any more, again and again until nothing more is to be given up."""
        passes = ""
        counted = "get diagnostics vagus_rows = row_count;\nvagus_more := vagus_more + vagus_rows;\n"
        for one in self.kept.all_references(self.of_v1):
            was, now, dangling = self._was(one.base), self._v2(one.base), self._dangling(one)
            known = self.now.expressions(one.base)
            if not one.to_base and all(column in known for column in one.columns):
                # Somebody else's by now: as v2 has it.
                sets = ", ".join(f"{quote(column)} = n.{quote(column)}" for column in one.columns)
                other = " or ".join(f"n.{quote(column)} is distinct from b.{quote(column)}" for column in one.columns)
                passes += f"update {was} b set {sets} from {now} n where n.id = b.id and ({other}) and {dangling};\n"
                passes += counted
            if one.clears:
                cleared = ", ".join(f"{quote(column)} = null" for column in one.columns)
                gone = f"not exists (select from {now} n where n.id = b.id)"
                passes += f"update {was} b set {cleared} where {gone} and {dangling};\n{counted}"
            passes += f"delete from {was} b where {dangling};\n{counted}"
        return f"loop\nvagus_more := 0;\n{passes}exit when vagus_more = 0;\nend loop"

    def _said(self, base: str, how: str) -> str:
        """Write down how many rows the last statement was about."""
        return (
            "get diagnostics vagus_rows = row_count;\n"
            f"insert into {PUT_BACK} select {literal(base).strip()}, {literal(how).strip()}, vagus_rows "
            "where vagus_rows > 0"
        )

    def _written(self) -> list[str]:
        """The rows themselves, past what v1 demands of rows that users write."""
        checks = [check for check in self.kept.checks if check.off and not check.missing]
        statements = [trigger.off for trigger in self.kept.triggers]
        statements += [off for check in checks for off in check.off]
        statements += [late for one in self.kept.references for late in one.late]
        statements += [aside for base in v1.TABLES for aside in self._by_hand(base)]
        # First what makes room for others. What goes along by reference comes back with the rest.
        statements += [added for base in reversed(v1.TABLES) for added in self._added(base)]
        for base in v1.TABLES:
            statements += self._rows(base)
        statements.append("set constraints all immediate")
        statements += [back for one in self.kept.references for back in one.back]
        statements += [on for check in checks for on in check.on]
        statements += [trigger.on for trigger in self.kept.triggers]
        for base in v1.TABLES:
            lost = f"not exists (select from {self._was(base)} b where b.id = n.id)"
            statements += self._from_v2(base, f"(select n.id from {self._noted_in_v2(base)} and {lost}) n", _FROM_V2)
        return statements

    def _differs(self, base: str) -> str:
        """The condition that a row of v1 (o) is not, byte for byte, as it was (b)."""
        ours, theirs = (f"row({', '.join(f'{row}.{name}' for name in self._columns(base))})::record" for row in "ob")
        return f"o.id = b.id and {ours} operator(pg_catalog.*<>) {theirs}"

    def _added_ones(self, base: str) -> str:
        """Rows that were not there at the cut-over, whatever has become of them since: FROM and WHERE besides o."""
        name = literal(base).strip()
        return f"pg_temp.vagus_kept_first f where f.table_name = {name} and f.was is null and o.id::text = f.row_id"

    def _by_hand(self, base: str) -> list[str]:
        """Keep what somebody wrote by hand, as it is now."""
        name = literal(base).strip()
        return [
            f"insert into {BY_HAND} select {name}, o.id::text, to_json(o.*) from {self.of_v1(base)} o, {which}\n"
            f"and exists (select from pg_temp.vagus_kept_first h where h.table_name = {name} "
            "and h.row_id = o.id::text and h.by_hand)"
            for which in (f"{self._was(base)} b where {self._differs(base)}", self._added_ones(base))
        ]

    def _added(self, base: str) -> list[str]:
        gone = f"delete from {self.of_v1(base)} o using {self._added_ones(base)}"
        return [gone, self._said(base, _ADDED)]

    def _rows(self, base: str) -> list[str]:
        relation, was, columns = self.of_v1(base), self._was(base), self._columns(base)
        # Numbers that v1 insists on giving itself are as they were.
        values = [
            quote(column.name)
            for column in self.shape.tables[base].columns.values()
            if not column.generated and column.identity != "a" and column.name != "id"
        ]
        sets = ", ".join(f"{name} = b.{name}" for name in values)
        return [
            f"update {relation} o set {sets} from {was} b where {self._differs(base)}",
            self._said(base, _CHANGED),
            f"insert into {relation} ({', '.join(columns)}) overriding system value\n"
            f"select {', '.join(f'b.{name}' for name in columns)} from {was} b\n"
            f"where not exists (select from {relation} o where o.id = b.id)",
            self._said(base, _GONE),
        ]

    def _noted_in_v2(self, base: str) -> str:
        """FROM and WHERE of v2's rows (n) that v1 had at the cut-over, and that went or changed there since."""
        name = literal(base).strip()
        kind = v2.id_types(self.shape)[v2.ID_PLACEHOLDERS[base]]
        return (
            f"{qualified(self.schema, base)} n where n.id in (select c.row_id::{kind} from {KEPT_CHANGES} c\n"
            f"  where c.id <= vagus_last and c.table_name = {name} and {is_id('c.row_id', kind)})"
        )

    def _from_v2(self, base: str, rows: str, how: str) -> list[str]:
        """Count rows as written since the cut-over, with whatever of v2 rests on them.

        Args:
            rows: after FROM, with the ids as `n.id`.
        """
        days, weeks = (qualified(self.schema, table) for table in (v2.DAYS, v2.WEEKS))
        place = f"join {days} d on d.id = t.day_id join {weeks} w on w.id = d.week_id"
        row = f"{rows} join {qualified(self.schema, base)} t on t.id = n.id"
        written = [(base, f"select n.id from {rows}")]
        if base == v1.LOGS:
            # What a session weighs in all, and which day it was of, follows from its sets.
            written.append((v2.SESSIONS, f"select t.session_id from {row}"))
        else:
            plans = f"select t.id from {row}" if base == v1.PLANS else f"select w.plan_id from {row} {place}"
            written += [
                (v2.WEEKS, f"select w.id from {weeks} w where w.plan_id in ({plans})"),
                (v2.DAYS, f"select d.id from {days} d join {weeks} w on w.id = d.week_id where w.plan_id in ({plans})"),
            ]
        noted = "".join(
            f"insert into {V2_CHANGES} select {literal(table).strip()}, q.id::text from ({ids}) q (id);\n"
            for table, ids in written
        )
        # Without notes of v2 every row is compared instead.
        gone = f"to_regclass({literal(V2_CHANGES).strip()}) is null"
        return [
            f"insert into {PUT_BACK} select {literal(base).strip()}, {literal(how).strip()}, q.rows\n"
            f"from (select count(*) from {rows}) q (rows) where q.rows > 0",
            f"if not {gone} then\n{noted}end if",
        ]

    def _given_up(self) -> str:
        """All of them as v2 has them."""
        return ";\n".join(
            statement
            for base in v1.TABLES
            for statement in self._from_v2(base, f"(select n.id from {self._noted_in_v2(base)}) n", _FAILED)
        )


def archived(archive: str) -> list[str]:
    """The statements that put what was done about them into an archive, where anything was."""
    return [
        f"drop table if exists {KEPT_CHANGES}",
        *(
            "do $vagus$ begin\n"
            f"if to_regclass('vagus_migration.{name}') is not null then\n"
            f"  if exists (select from vagus_migration.{name}) then\n"
            f"    create table {qualified(archive, name)} as table vagus_migration.{name};\n  end if;\n"
            f"  drop table vagus_migration.{name};\nend if;\nend $vagus$"
            for name in _ARCHIVED
        ),
    ]


def forgotten() -> str:
    """The statement that removes what was done about them: with v1's tables gone nobody rolls back any more."""
    return f"drop table if exists {PUT_BACK}, {BY_HAND}"


@dataclass(frozen=True, slots=True)
class PutBack:
    """What was done about rows of one v1 table, or would be."""

    table: str
    how: str
    rows: int

    @property
    def words(self) -> str:
        """The same for people, without a full stop."""
        return _WORDS[self.how].format(rows=plural(self.rows, "row"), table=self.table)


async def read_put_back(connection: Connection) -> list[PutBack]:
    """What was done about them so far."""
    if not await connection.fetchval("select to_regclass($1) is not null", PUT_BACK):
        return []
    rows = await connection.fetch(
        f"select table_name, how, sum(rows)::bigint from {PUT_BACK} group by 1, 2 order by min(ctid)"
    )
    return [PutBack(*row) for row in rows]


def put_back_words(found: Sequence[PutBack]) -> list[str]:
    """What is told about them: a sentence, or none."""
    return [f"Rows of the kept v1 that went or were changed since the cut-over: {_listed(found)}."] * bool(found)


def _listed(found: Sequence[PutBack]) -> str:
    kept = any(one.how in (_CHANGED, _ADDED) for one in found)
    more = f" What was written by hand is kept in table {_ARCHIVED[1]} of the archive" if kept else ""
    return "; ".join(one.words for one in found) + (f".{more}" if more else "")
