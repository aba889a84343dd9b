"""Migrating again after a rollback: what v2 alone can hold is taken up from the archive where ids match.

The rollback carried back what v1 can hold, so that comes by itself. Extra weeks and days, groups, RPE targets, notes
of weeks and days, comments, ratings, and rows that v1 had no place for are in the archive alone. They are put in
after the cut-over, beside what v1 says: an empty place is filled, nothing is replaced, and nothing comes back whose
row somebody has deleted in v1 since. What is not taken up stays in the archive, and is counted with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.journal import store
from vagus_tui.migration.steps import PlanStep
from vagus_tui.rollback.later_columns import LaterColumn
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import KEEP_UPDATED_AT
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.v1 import V1Shape

STEP = "settle-take-up"
CHANGES = "changes_after_cut_over"
"""The archive's table of ids that were written between the cut-over and the rollback."""
LEFT = "left_in_archive"
"""The archive's table of rows that v1 had no place for: (table_name, row_id)."""
REPORT = "vagus_migration.taken_up"

_FILLED: Mapping[str, tuple[str, ...]] = {
    v2.WEEKS: ("notes", "attachments"),
    v2.DAYS: ("date", "notes", "client_comment", "estimated_duration", "attachments"),
    v2.EXERCISES: ("target_rpe_min", "target_rpe_max", "client_comment", "attachments"),
    v2.SESSIONS: ("average_rpe", "energy_level"),
    v2.LOGS: ("rpe", "tempo", "rest_seconds", "form_rating"),
}
"""Columns that v1 has no place for, or may have none: filled where they are empty, unless v1 has them after all."""


def no_rows(archive: str) -> str:
    """An empty `left_in_archive`, for an archive that no carrying back went into."""
    return f"create table {qualified(archive, LEFT)} (table_name text not null, row_id text not null)"


async def archive_to_take_up(connection: Connection) -> str:
    """The archive of the rollback that was the last thing done, or "": v1 has it all, or has moved on since."""
    run = await store.latest_run(connection, "migrate", "rollback", "restore", done=True)
    if run is None or run.kind == "migrate":
        return ""
    archive = str(run.figures.get("archive") or "")
    names = [*v2.TABLES[:7], CHANGES, LEFT]
    found = await connection.fetchval(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = $1 and c.relkind = 'r' and c.relname = any($2::text[])",
        archive,
        names,
    )
    return archive if found == len(names) else ""


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What came of one kind of data: rows taken up, or left where they are, and why."""

    table: str
    what: str
    rows: int
    taken: bool

    @property
    def words(self) -> str:
        """One line for people."""
        return f"{self.rows:,} {self.table}: {self.what}"


async def read_taken_up(connection: Connection, archive: str) -> list[TakenUp]:
    """What was taken up from an archive, and what not."""
    if not await connection.fetchval("select to_regclass($1) is not null", REPORT):
        return []
    rows = await connection.fetch(
        f"select table_name as table, what, rows, taken from {REPORT} where archive = $1 and rows > 0 order by id",
        archive,
    )
    return [TakenUp(**dict(row)) for row in rows]


class TakeUp:
    """The SQL that takes an archive up into v2's tables in place."""

    def __init__(self, shape: V1Shape, archive: str, later: Sequence[LaterColumn] = ()) -> None:
        """`later` are columns that v2 was given before the rollback, and is made with again."""
        self.later = [column for column in later if not column.generated]
        self.shape = shape
        self.schema = shape.schema
        self.archive = archive

    def _filled(self, table: str) -> tuple[str, ...]:
        known = self.shape.tables[table].columns if table in self.shape.tables else {}
        return tuple(name for name in _FILLED.get(table, ()) if name not in known)

    def _has(self, table: str) -> str:
        """Whether the archive's row (`o`) holds any of what is filled in."""
        return " or ".join(f"o.{name} is not null" for name in self._filled(table)) or "false"

    def _here(self, table: str) -> str:
        return qualified(self.schema, table)

    def _there(self, table: str) -> str:
        return qualified(self.archive, table)

    def _touched(self, table: str, row: str) -> str:
        return (
            f"exists (select from pg_temp.vagus_touched x where x.table_name = '{table}' and x.row_id = {row}.id::text)"
        )

    def _left(self, table: str, row: str) -> str:
        return f"exists (select from pg_temp.vagus_left x where x.table_name = '{table}' and x.row_id = {row}.id::text)"

    def _said(self, table: str, what: str, body: str, *, taken: bool = True) -> str:
        """Do something, and write down of how many rows. `body` returns a row each."""
        values = ", ".join(literal(text).strip() for text in (self.archive, table, what))
        return (
            f"with done as (\n{body}\n)\n"
            f"insert into {REPORT} (archive, table_name, what, rows, taken)\n"
            f"select {values}, count(*), {str(taken).lower()} from done"
        )

    def _insert(self, table: str, source: str, where: str, given: Mapping[str, str] | None = None) -> str:
        """Rows of the archive (`o`) with all their columns, some of them given otherwise."""
        values = {c.name: f"o.{quote(c.name)}" for c in v2.MODEL[table].columns if "generated always" not in c.rest}
        values |= {column.name: f"o.{quote(column.name)}" for column in self.later if column.table == table}
        values |= given or {}
        if table in v2.V1_BASES:
            # By name, since v1 may have other columns to carry over by now than the archive has.
            carried = v2.carried_columns(table, self.shape.tables[v2.V1_BASES[table]]).values()
            source += f"\ncross join lateral json_populate_record(null::{self._here(table)}, to_json(o)) c"
            values |= {name: f"c.{quote(name)}" for name in carried}
        names = ", ".join(quote(name) for name in values)
        return (
            f"insert into {self._here(table)} ({names})\nselect {', '.join(values.values())}\n"
            f"from {self._there(table)} o{source}\n"
            f"where {where}\n  and not exists (select from {self._here(table)} n where n.id = o.id)\n"
            "on conflict do nothing returning 1"
        )

    def _fill(self, table: str, pairs: str, more: Mapping[str, tuple[str, str]] | None = None) -> str:
        """Fill what is empty. `pairs` is FROM and WHERE that join `o`, the archive's row; `n` is the row in place.

        Args:
            more: further columns, as the value and the condition under which it is put in.
        """
        empty = {name: (f"o.{name}", f"n.{name} is null and o.{name} is not null") for name in self._filled(table)}
        return self._update(table, pairs, {**empty, **(more or {})})

    def _added(self, table: str, pairs: str) -> list[str]:
        """Fill the columns that v2 was given before the rollback; `pairs` as for `_fill`."""
        sets = {column.name: column.filled for column in self.later if column.table == table}
        if not sets:
            return []
        return [self._said(table, f"columns added to v2: {', '.join(sets)}", self._update(table, pairs, sets))]

    def _update(self, table: str, pairs: str, sets: Mapping[str, tuple[str, str]]) -> str:
        """Give columns a value each where its condition holds, in rows where one of them does."""
        listed = ", ".join(
            f"{quote(name)} = case when {condition} then {value} else n.{quote(name)} end"
            for name, (value, condition) in sets.items()
        )
        any_of = "\n  or ".join(f"({condition})" for _, condition in sets.values())
        return f"update {self._here(table)} n set {listed}\nfrom {pairs}\n  and ({any_of})\nreturning 1"

    def _maps(self, which: str) -> str:
        """Weeks are the same by plan and number, days by week and label (or id)."""
        if which == "week":
            return (
                "create temporary table vagus_week_map on commit drop as\n"
                f"select o.id as old, n.id as new from {self._there(v2.WEEKS)} o\n"
                f"join {self._here(v2.WEEKS)} n on n.plan_id = o.plan_id and n.week_number = o.week_number"
            )
        return (
            "create temporary table vagus_day_map on commit drop as\n"
            f"select distinct on (o.id) o.id as old, n.id as new from {self._there(v2.DAYS)} o\n"
            "join pg_temp.vagus_week_map w on w.old = o.week_id\n"
            f"join {self._here(v2.DAYS)} n on n.week_id = w.new\n"
            "  and (n.id = o.id or lower(btrim(n.day_label)) = lower(btrim(o.day_label)))\n"
            "order by o.id, (n.id = o.id) desc, n.id"
        )

    def statements(self) -> list[str]:
        """Everything, in one transaction."""
        return [*self._begin(), *self._plans(), *self._weeks(), *self._days(), *self._exercises(), *self._logged()]

    def _begin(self) -> list[str]:
        return [
            f"create table if not exists {REPORT} (id bigint generated always as identity primary key, "
            "archive text not null, table_name text not null, what text not null, rows bigint not null, "
            "taken boolean not null, at timestamptz not null default clock_timestamp())",
            f"set local {KEEP_UPDATED_AT} = 'on'",
            f"delete from {REPORT} where archive = {literal(self.archive).strip()}",
            f"create temporary table vagus_touched on commit drop as select distinct * from {self._there(CHANGES)}",
            f"create temporary table vagus_left on commit drop as select distinct * from {self._there(LEFT)}",
            "analyze pg_temp.vagus_touched",
            "analyze pg_temp.vagus_left",
        ]

    def _plans(self) -> list[str]:
        user = "exists (select from auth.users u where u.id = o.user_id)"
        fill = self._fill(
            v2.PLANS,
            f"{self._there(v2.PLANS)} o where o.id = n.id",
            {
                "current_week": ("o.current_week", "n.current_week = 1 and o.current_week <> 1"),
                "status": ("o.status", "n.status = 'completed' and o.status = 'archived'"),
            },
        )
        lost = f"select 1 from {self._there(v2.PLANS)} o where {self._left(v2.PLANS, 'o')} and not {user}"
        return [
            self._said(
                v2.PLANS, "had no place in v1", self._insert(v2.PLANS, "", f"{self._left(v2.PLANS, 'o')} and {user}")
            ),
            self._said(v2.PLANS, "current week, archived status", fill),
            *self._added(v2.PLANS, f"{self._there(v2.PLANS)} o where o.id = n.id"),
            self._said(v2.PLANS, "their user has left", lost, taken=False),
        ]

    def _weeks(self) -> list[str]:
        plan = f"exists (select from {self._here(v2.PLANS)} p where p.id = o.plan_id)"
        mapped = "exists (select from pg_temp.vagus_week_map m where m.old = o.id)"
        touched = self._touched(v2.WEEKS, "o")
        weeks = (
            f"pg_temp.vagus_week_map m join {self._there(v2.WEEKS)} o on o.id = m.old where m.new = n.id and {touched}"
        )
        fill = self._fill(
            v2.WEEKS,
            weeks,
            {"deload": ("true", "o.deload and n.deload is not true")},
        )
        return [
            self._maps("week"),
            self._said(
                v2.WEEKS,
                "weeks beyond the plan's",
                self._insert(v2.WEEKS, "", f"{touched} and {plan} and not {mapped}"),
            ),
            f"insert into pg_temp.vagus_week_map select o.id, o.id from {self._there(v2.WEEKS)} o\n"
            f"where not {mapped} and exists (select from {self._here(v2.WEEKS)} n where n.id = o.id)",
            "analyze pg_temp.vagus_week_map",
            self._said(v2.WEEKS, "notes, deload, attachments", fill),
            *self._added(v2.WEEKS, weeks),
            self._said(
                v2.WEEKS,
                "their plan is no longer in v1",
                f"select 1 from {self._there(v2.WEEKS)} o where {touched} and not {plan}",
                taken=False,
            ),
        ]

    def _days(self) -> list[str]:
        touched = self._touched(v2.DAYS, "o")
        mapped = "exists (select from pg_temp.vagus_day_map m where m.old = o.id)"
        days = f"pg_temp.vagus_day_map m join {self._there(v2.DAYS)} o on o.id = m.old where m.new = n.id and {touched}"
        week = "\njoin pg_temp.vagus_week_map w on w.old = o.week_id"
        day = "\njoin pg_temp.vagus_day_map d on d.old = o.day_id"
        return [
            self._maps("day"),
            self._said(
                v2.DAYS,
                "days of their own",
                self._insert(v2.DAYS, week, f"{touched} and not {mapped}", {"week_id": "w.new"}),
            ),
            f"insert into pg_temp.vagus_day_map select o.id, o.id from {self._there(v2.DAYS)} o\n"
            f"where not {mapped} and exists (select from {self._here(v2.DAYS)} n where n.id = o.id)",
            "analyze pg_temp.vagus_day_map",
            self._said(v2.DAYS, "dates, notes, comments, durations", self._fill(v2.DAYS, days)),
            *self._added(v2.DAYS, days),
            self._said(
                v2.DAYS,
                "their week is not there",
                f"select 1 from {self._there(v2.DAYS)} o where {touched} and not {mapped}\n"
                f"  and not exists (select from {self._here(v2.DAYS)} n where n.id = o.id)",
                taken=False,
            ),
            self._said(v2.GROUPS, "groups", self._insert(v2.GROUPS, day, "true", {"day_id": "d.new"})),
            self._said(
                v2.GROUPS,
                "their day is not there",
                f"select 1 from {self._there(v2.GROUPS)} o\n"
                f"where not exists (select from {self._here(v2.GROUPS)} n where n.id = o.id)",
                taken=False,
            ),
        ]

    def _exercises(self) -> list[str]:
        there, here = self._there(v2.EXERCISES), self._here(v2.EXERCISES)
        group = f"exists (select from {self._here(v2.GROUPS)} g where g.id = o.group_id)"
        left, touched = self._left(v2.EXERCISES, "o"), self._touched(v2.EXERCISES, "o")
        day = "\njoin pg_temp.vagus_day_map d on d.old = o.day_id"
        # Changed copies of a repeated exercise: v1 has one row for all of them, so their own values are v2's alone.
        own = [
            column.name
            for column in v2.MODEL[v2.EXERCISES].columns
            if column.name not in ("id", "day_id", "group_id", "created_at", "updated_at")
            and "generated always" not in column.rest
        ]
        copies = (
            f"update {here} n set " + ", ".join(f"{quote(name)} = o.{quote(name)}" for name in own) + "\n"
            f"from {there} o where o.id = n.id and {left} and row("
            + ", ".join(f"o.{quote(name)}" for name in own)
            + ")\n"
            "  is distinct from row(" + ", ".join(f"n.{quote(name)}" for name in own) + ") returning 1"
        )
        fill = self._fill(
            v2.EXERCISES,
            f"{there} o where o.id = n.id",
            {"group_id": ("o.group_id", f"n.group_id is null and o.group_id is not null and {group}")},
        )
        return [
            self._said(v2.EXERCISES, "values of repeated exercises", copies),
            self._said(
                v2.EXERCISES,
                "had no place in v1",
                self._insert(
                    v2.EXERCISES, day, left, {"day_id": "d.new", "group_id": f"case when {group} then o.group_id end"}
                ),
            ),
            self._said(v2.EXERCISES, "groups, RPE targets, comments, attachments", fill),
            *self._added(v2.EXERCISES, f"{there} o where o.id = n.id"),
            self._said(v2.EXERCISES, "the week they were in", self._moved(v2.EXERCISES, touched, same_label=True)),
            self._said(
                v2.EXERCISES,
                "their row or day is no longer there",
                f"select 1 from {there} o where ({left} or o.group_id is not null or {self._has(v2.EXERCISES)})\n"
                f"  and not exists (select from {here} n where n.id = o.id)",
                taken=False,
            ),
        ]

    def _moved(self, table: str, touched: str, *, same_label: bool) -> str:
        """Put a row back on the very day it was on, where v1 still says the same of it: the plan, and the label."""
        same = "and lower(btrim(a.day_label)) = lower(btrim(b.day_label))" if same_label else ""
        return (
            f"update {self._here(table)} n set day_id = m.new\n"
            f"from {self._there(table)} o join pg_temp.vagus_day_map m on m.old = o.day_id\n"
            f"join {self._here(v2.DAYS)} a on a.id = m.new join {self._here(v2.WEEKS)} aw on aw.id = a.week_id,\n"
            f"{self._here(v2.DAYS)} b join {self._here(v2.WEEKS)} bw on bw.id = b.week_id\n"
            f"where o.id = n.id and b.id = n.day_id and m.new <> n.day_id and {touched}\n"
            f"  and aw.plan_id = bw.plan_id {same}\nreturning 1"
        )

    def _logged(self) -> list[str]:
        sessions, logs = self._there(v2.SESSIONS), self._there(v2.LOGS)
        user = "exists (select from auth.users u where u.id = o.user_id)"
        day = "\nleft join pg_temp.vagus_day_map d on d.old = o.day_id"
        both = (
            f"exists (select from {self._here(v2.SESSIONS)} s where s.id = o.session_id)\n"
            f"  and exists (select from {self._here(v2.EXERCISES)} e where e.id = o.exercise_id)"
        )
        return [
            self._said(
                v2.SESSIONS,
                "had no place in v1",
                self._insert(
                    v2.SESSIONS,
                    day,
                    f"{self._left(v2.SESSIONS, 'o')} and {user} and (o.day_id is null or d.new is not null)",
                    {"day_id": "d.new"},
                ),
            ),
            self._said(v2.SESSIONS, "energy, RPE", self._fill(v2.SESSIONS, f"{sessions} o where o.id = n.id")),
            *self._added(v2.SESSIONS, f"{sessions} o where o.id = n.id"),
            self._said(
                v2.SESSIONS,
                "the day they were of",
                self._moved(v2.SESSIONS, self._touched(v2.SESSIONS, "o"), same_label=False),
            ),
            self._said(
                v2.LOGS, "had no place in v1", self._insert(v2.LOGS, "", f"{self._left(v2.LOGS, 'o')} and {both}")
            ),
            self._said(v2.LOGS, "RPE, form, tempo, rest", self._fill(v2.LOGS, f"{logs} o where o.id = n.id")),
            *self._added(v2.LOGS, f"{logs} o where o.id = n.id"),
            *self._logged_not(),
        ]

    def _logged_not(self) -> list[str]:
        """Sessions and logs that stay in the archive."""
        return [
            self._said(
                table,
                "their row is no longer there",
                f"select 1 from {self._there(table)} o where ({self._left(table, 'o')} or {self._has(table)})\n"
                f"  and not exists (select from {self._here(table)} n where n.id = o.id)",
                taken=False,
            )
            for table in (v2.SESSIONS, v2.LOGS)
        ]


def take_up_step(shape: V1Shape, archive: str, later: Sequence[LaterColumn]) -> PlanStep:
    """The step after the cut-over that takes up what the archive of the last rollback alone has kept."""
    return PlanStep(
        STEP,
        Phase.SETTLE,
        f"take up from {archive} what only v2 can hold",
        tuple(TakeUp(shape, archive, later).statements()),
        lock="rows only",
        undo="quick rollback: the archive is not changed",
    )
