"""One plan, v1's flat list beside v2's tree, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from vagus_tui.checks.base import Context
from vagus_tui.errors import RefusedError
from vagus_tui.preview.reasons import Reason, Rule, rule_sql
from vagus_tui.preview.sources import (
    PlanSource,
    looking,
    mapped_source,
    mapping,
    migrated,
    plan_parameter,
    source,
)
from vagus_tui.preview.tree_sql import CELL, tree_query
from vagus_tui.schema import v1, v2
from vagus_tui.schema.mapping import WorkoutMapping

PAGE = 500


class Kind(StrEnum):
    """What a line of the tree is."""

    WEEK = "week"
    DAY = "day"
    EXERCISE = "exercise"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class V1Exercise:
    """One exercise of v1 as it stands there, with the day it goes to; values as the server writes them."""

    id: str
    name: str
    muscle_group: str | None
    week_number: str | None
    sets: str | None
    reps_min: str | None
    reps_max: str | None
    weight: str | None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLine:
    """One line of v2's tree.

    Attributes:
        week, day: where it is: week number, and place of the day within the week from 1 (0 for the week's own line).
        title: the day's label, the exercise's name; empty for weeks and sessions.
        groups: the day's muscle groups, or the exercise's one.
        figures: sets, reps from, reps to, weight of an exercise; sets of a session.
        starts, ends: dates of a week; start and end of a session.
        exercises, sessions: how many are below a week or a day.
        expected: where the mapping puts an exercise that is now elsewhere; empty when it is in its place.
        new: the exercise is not in v1.
    """

    id: str
    kind: Kind
    week: int
    day: int
    title: str
    groups: str
    figures: tuple[str | None, ...]
    starts: str | None
    ends: str | None
    exercises: int
    sessions: int
    expected: str = ""
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHead:
    """The plan itself. `before` and `after` are (column, value) pairs of v1's and v2's row; empty where it has none."""

    id: str
    name: str
    user_id: str
    email: str
    before: tuple[tuple[str, str | None], ...]
    after: tuple[tuple[str, str | None], ...]
    built: bool


@dataclass(frozen=True, slots=True)
class V1Page:
    """A page of v1's list, and how many exercises the plan has."""

    exercises: tuple[V1Exercise, ...]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class TreePage:
    """A page of v2's tree. `problem` says which values could not be shown, since v2 would refuse them."""

    lines: tuple[TreeLine, ...]
    offset: int
    total: int
    problem: str = ""


_V1_VALUES = ("muscle_group", "week_number", "sets", "reps_min", "reps_max", "weight")
_HEAD_V1 = ("goal", "duration_weeks", "start_date", "is_active", "is_template")
_HEAD_V2 = ("goal", "total_weeks", "current_week", "status", "is_template")
_USER = """
select coalesce(left(email::text, 200), '') from auth.users where id::text = $1
"""
MAY_READ_USERS = """
select exists(select from pg_attribute a where a.attrelid = to_regclass('auth.users') and a.attname = 'email')
       and has_table_privilege('auth.users', 'select')
"""


async def email_of(context: Context, user_id: str) -> str:
    """A user's address; empty where there is none or it cannot be read."""
    if not user_id or not await context.connection.fetchval(MAY_READ_USERS):
        return ""
    return await context.connection.fetchval(_USER, user_id) or ""


async def plan_head(context: Context, plan_id: str) -> PlanHead:
    """The plan's own row before and after.

    Raises:
        RefusedError: there is no such plan (any more).
    """
    async with looking(context):
        found = mapping(context)
        before: Any = None
        if found is not None:
            shown = "".join(
                f", left(p.{name}::text, {CELL}) as {name}" for name in _HEAD_V1 if found.shape.plans.has(name)
            )
            before = await context.connection.fetchrow(
                f"select left(p.name::text, {CELL}) as name, p.user_id::text as user_id{shown} "
                f"from {found.source(v1.PLANS)} p where p.id = {plan_parameter(context)}",
                plan_id,
            )
        values = ", ".join(f"left(x.{name}::text, {CELL}) as {name}" for name in _HEAD_V2)
        wanted = source(context)
        if not wanted.built and found is not None:
            set_ = found.columns("workout_plans")
            values = ", ".join(
                f"left(x.{name}::text, {CELL}) as {name}" if name in set_ else f"'false' as {name}" for name in _HEAD_V2
            )
        after = await context.connection.fetchrow(
            f"select left(x.name::text, {CELL}) as name, x.user_id::text as user_id, {values} from ({wanted.plan}) x",
            plan_id,
        )
        row = after or before
        if row is None:
            raise RefusedError("This plan is not there any more.", next_step="Search again.")
        return PlanHead(
            id=plan_id,
            name=row["name"] or "",
            user_id=row["user_id"] or "",
            email=await email_of(context, row["user_id"] or ""),
            before=_pairs(before, _HEAD_V1),
            after=_pairs(after, _HEAD_V2),
            built=wanted.built,
        )


def _pairs(row: Any, names: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    return () if row is None else tuple((name, row[name]) for name in names if name in row.keys())  # noqa: SIM118


async def v1_page(context: Context, plan_id: str, *, offset: int = 0, limit: int = PAGE) -> V1Page:
    """v1's list of one plan, in its own order; empty where v1 is gone."""
    found = mapping(context)
    if found is None:
        return V1Page((), 0, 0)
    async with looking(context):
        rows = await context.connection.fetch(_v1_query(found), plan_id, offset, limit)
    exercises = tuple(_v1_exercise(row) for row in rows)
    return V1Page(exercises, offset, rows[0]["total"] if rows else 0)


def _v1_query(found: WorkoutMapping) -> str:
    columns = found.shape.exercises
    values = ", ".join(
        f"left(e.{name}::text, {CELL}) as {name}" if columns.has(name) else f"null::text as {name}"
        for name in _V1_VALUES
    )
    rule, value = rule_sql(found)
    order = "e.order_index nulls last, " if columns.has("order_index") else ""
    wanted = mapped_source(found)
    key = f"$1::text::{found.shape.plans.id_type}"
    return (
        f"with spelled as materialized (select distinct lower(x.day_label) as key, x.day_label "
        f"from ({wanted.days}) x),\n"
        f"listed as (select e.id, left(e.name::text, {CELL}) as name, {values}, {rule} as rule, "
        f"left({value}, {CELL}) as value, {found.day_name()} as day, "
        f"row_number() over (order by {order}e.id) as place, count(*) over () as total "
        f"from {found.source(v1.EXERCISES)} e where e.plan_id = {key})\n"
        f"select l.*, l.id::text as id_text, left(l.day, {CELL}) as day_name, "
        f"coalesce(left((select s.day_label from spelled s where s.key = lower(l.day) limit 1), {CELL}), '') as label "
        "from listed l order by l.place offset $2 limit $3"
    )


def _v1_exercise(row: Any) -> V1Exercise:
    reason = Reason(Rule(row["rule"]), row["value"] or "", row["day_name"] or "", row["label"])
    return V1Exercise(
        id=row["id_text"], name=row["name"] or "", reason=reason, **{name: row[name] for name in _V1_VALUES}
    )


async def tree_page(context: Context, plan_id: str, *, offset: int = 0, limit: int = PAGE) -> TreePage:
    """v2's tree of one plan: as the mapping makes it, or as it stands once v2 is in place."""
    wanted = source(context)
    found = mapping(context)
    expected = mapped_source(found) if migrated(context) and found is not None else None
    problem = ""
    try:
        async with looking(context):
            if not wanted.built:
                problem = await _too_long(context, wanted, plan_id)
            rows = await context.connection.fetch(tree_query(wanted, expected, figures=True), plan_id, offset, limit)
    except asyncpg.DataError as error:
        # A value that v2 would refuse: the tree does not depend on it.
        said = str(error.args[0]) if error.args else "a value does not fit"
        problem = f"Sets, reps and weights are left out: {said}. Prerequisites names the rows."
        async with looking(context):
            rows = await context.connection.fetch(tree_query(wanted, None, figures=False), plan_id, offset, limit)
    return TreePage(tuple(map(_line, rows)), offset, rows[0]["total"] if rows else 0, problem)


async def _too_long(context: Context, wanted: PlanSource, plan_id: str) -> str:
    """That only the first weeks of a plan are shown, in a sentence; "" where all are."""
    weeks = await context.connection.fetchval(f"select total_weeks from ({wanted.plan}) p", plan_id)
    if weeks is None or weeks <= v2.MOST_WEEKS:
        return ""
    return f"This plan is to last {weeks:,} weeks, of which these are the first. v2 takes {v2.MOST_WEEKS}."


def _line(row: Any) -> TreeLine:
    return TreeLine(
        id=row["id"],
        kind=Kind(row["kind"]),
        week=row["week"],
        day=row["day"],
        title=row["title"] or "",
        groups=row["groups"] or "",
        figures=(row["sets"], row["low"], row["high"], row["weight"]),
        starts=row["starts"],
        ends=row["ends"],
        exercises=row["exercises"],
        sessions=row["sessions"],
        expected=row["expected"] or "",
        new=row["fresh"],
    )
