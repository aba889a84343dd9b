"""Rules about the ids of every table, and about the columns' types: what all other rules stand on."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.column_types import misfits
from vagus_tui.checks.data_quality.rule import Names, Rule
from vagus_tui.checks.nouns import NOUNS, counted
from vagus_tui.events import Status
from vagus_tui.schema import v1
from vagus_tui.schema.rules import COPIES_PER_EXERCISE

LARGEST_COPIED_ID = 2**63 // COPIES_PER_EXERCISE - 1
"""A copy's id is the exercise's, times so many, plus the week, and has to fit a bigint."""


def _repeated(base: str) -> Rule:
    many = NOUNS[base][1]
    short = {v1.PLANS: "plans", v1.EXERCISES: "exercises", v1.SESSIONS: "sessions", v1.LOGS: "logs"}[base]

    def condition(names: Names) -> str:
        # The table's own ctid tells rows apart that their ids do not.
        return (
            "t.id is null or t.ctid in (select d.ctid from (select x.ctid, row_number() over (partition by x.id "
            f"order by x.ctid) as nth from {names.table(base)} x) d where d.nth > 1)"
        )

    return Rule(
        id=f"{short}-ids",
        table=base,
        title=f"Ids of {many}",
        why="v2 keeps every row's id as its primary key, so there must be one and it must be the only one.",
        fails=condition,
        failing="without an id, or with one that another row has already",
        alone=True,
        guaranteed=("id",),
    )


ID_RULES = tuple(_repeated(base) for base in v1.TABLES)


async def _column_types(context: Context) -> Outcome:
    found = misfits(context.shape)
    if not found:
        return Outcome(Status.PASS, 0)
    return Outcome(Status.FAIL, len(found), " ".join(found))


def _uncopied(context: Context) -> str | None:
    """The condition of exercises whose copies would have no id of their own; None where none are made by number."""
    numbered = context.shape.exercises.id_type != "uuid"
    return f"t.id not between 1 and {LARGEST_COPIED_ID}" if context.settings.repeat_exercises and numbered else None


async def _repeat_ids(context: Context) -> Outcome:
    condition = _uncopied(context)
    if condition is None:
        why = "their ids are uuid" if context.settings.repeat_exercises else "exercises are not repeated in later weeks"
        return Outcome(Status.PASS, 0, f"Nothing to look at: {why}.")
    found = await context.connection.fetchval(_repeat_ids_sql(context))
    if not found:
        return Outcome(Status.PASS, 0)
    return Outcome(
        Status.FAIL,
        found,
        f"{counted(found, v1.EXERCISES)} with an id below 1 or above {LARGEST_COPIED_ID:,}. A copy in a later week "
        "gets an id below zero that is made of the exercise's own, and may be another exercise's. Set "
        "VAGUS_REPEAT_EXERCISES=false, or give them ids in between, in the logged sets too.",
        rows=found,
    )


def _repeat_ids_sql(context: Context) -> str:
    table = Names(context.shape).exercises
    return f"select count(*) from {table} t where {_uncopied(context) or 'false'}"


REPEAT_IDS = Check(
    id="exercises-repeat-ids",
    group=Group.DATA_QUALITY,
    title="Ids for repeated exercises",
    why="With VAGUS_REPEAT_EXERCISES each exercise is copied into every week. Numbered copies count downwards from "
    "zero, so v1 may have no ids there, and its own must leave room for 64 copies.",
    expected="0",
    probe=_repeat_ids,
    sql=_repeat_ids_sql,
    rows_sql=lambda context: (
        f"select t.id, t.name from {Names(context.shape).exercises} t where {_uncopied(context) or 'false'}"
    ),
    needs_v1=True,
    overridable=False,
)

COLUMN_TYPES = Check(
    id="column-types",
    group=Group.DATA_QUALITY,
    title="Column types",
    why="A number kept as text, or an id of another type than its table's, cannot be carried into v2 for every row.",
    expected="0",
    probe=_column_types,
    needs_v1=True,
    overridable=False,
)
