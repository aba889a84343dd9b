"""Rules about v1's exercises."""

from __future__ import annotations

from vagus_tui.checks.data_quality.rule import LARGEST_INTEGER, Names, Rule
from vagus_tui.database.identifiers import literal
from vagus_tui.schema import v1

ORPHANS = "Pre-Migration Checklist · Data Quality Checks 2"
INVALID = "Pre-Migration Checklist · Data Quality Checks 4"
FIELDS = "Data Transformation · Field Mapping"
LONGEST_INDEXED = 2600
"""Bytes, compressed as stored, that surely fit into one entry of an index (the limit is about 2,700)."""
LAST_PLACE = 2_000_000_000
"""Exercises without an order come after the highest one, which needs room above it."""


def _sets(names: Names) -> str:
    return f"t.sets is null or t.sets <= 0 or {names.unfit(v1.EXERCISES, 'sets')}"


def _reps(names: Names) -> str:
    parts = [
        f"t.{column} <= 0 or {names.unfit(v1.EXERCISES, column)}"
        for column in ("reps_min", "reps_max")
        if names.has(v1.EXERCISES, column)
    ]
    if len(parts) > 1:
        # v2 stores their mean, and their sum must fit an integer on the way.
        parts.append(f"t.reps_max < t.reps_min or t.reps_min::double precision + t.reps_max > {LARGEST_INTEGER}")
    return f"({' or '.join(parts)})"


def _rounded(column: str, places: int) -> str:
    return f"round({column}::numeric, {places})"


def _week_total(names: Names) -> str:
    weeks = "p.duration_weeks" if names.has(v1.PLANS, "duration_weeks") else "null"
    return f"(select {weeks} from {names.plans} p where p.id = t.plan_id)"


def _known_groups(names: Names) -> str:
    groups = [name for names_ in names.mapping.options.day_by_muscle_group.values() for name in names_]
    return ", ".join(literal(name) for name in groups)


def _unknown_group(names: Names) -> str:
    """Groups the mapping's table does not name, where they decide the day: no weekday and no label stands first."""
    conditions = [
        f"{names.mapping.trimmed('t.muscle_group')} is not null",
        f"lower({names.mapping.trimmed('t.muscle_group')}) not in ({_known_groups(names)})",
    ]
    if names.has(v1.EXERCISES, "day_label"):
        conditions.append(f"{names.mapping.trimmed('t.day_label')} is null")
    if (weekday := names.mapping.weekday("t")) is not None:
        conditions.append(f"({weekday}) is null")
    return " and ".join(conditions)


def _too_long(names: Names) -> str:
    columns = [name for name in ("name", "muscle_group") if names.has(v1.EXERCISES, name)]
    return " or ".join(f"pg_column_size(t.{column}) > {LONGEST_INDEXED}" for column in columns)


RULES = (
    Rule(
        id="orphaned-exercises",
        table=v1.EXERCISES,
        title="Exercises of no plan",
        why="In v2 an exercise stands on a day of a plan's week. Without its plan there is no day to put it on.",
        guide=ORPHANS,
        fails=lambda names: f"not exists (select from {names.plans} p where p.id = t.plan_id)",
        failing="of a plan that does not exist, or of none",
        alone=True,
    ),
    Rule(
        id="exercises-null-name",
        table=v1.EXERCISES,
        title="Exercises without a name",
        why="An exercise's name is required in v2.",
        fails=lambda names: "t.name is null",
        failing="without a name",
    ),
    Rule(
        id="exercises-long-text",
        table=v1.EXERCISES,
        title="Names too long to index",
        why="v2 indexes exercises by name and muscle group, and an index entry holds about 2,700 bytes.",
        fails=_too_long,
        failing="with a name or muscle group too long for v2's index",
    ),
    Rule(
        id="exercises-sets",
        table=v1.EXERCISES,
        title="Exercises without valid sets",
        why="v2 requires at least one set. The guide's query overlooks NULL, which v2 refuses as well.",
        guide=INVALID,
        columns=("sets",),
        fails=_sets,
        failing="without sets, with zero or fewer, or with a number that is not whole",
    ),
    Rule(
        id="exercises-reps",
        table=v1.EXERCISES,
        title="Repetition targets of no range",
        why="v2 requires positive repetitions and a maximum that is not below the minimum.",
        guide=INVALID,
        either=("reps_min", "reps_max"),
        fails=_reps,
        failing="with repetitions of zero or less, or a maximum below the minimum",
    ),
    Rule(
        id="exercises-weight",
        table=v1.EXERCISES,
        title="Exercise weights that do not fit",
        why="v2 holds weights up to 9,999.99 with two decimals. More decimals are rounded, and a negative target "
        "weight is a mistake.",
        guide=INVALID,
        columns=("weight",),
        fails=lambda names: f"t.weight < 0 or {_rounded('t.weight', 2)} >= 10000",
        failing="with a negative weight, one of 10,000 or more, or one that is no number (NaN)",
        warns=lambda names: f"{_rounded('t.weight', 2)} <> t.weight::numeric",
        warning="with more than two decimals in the weight, which v2 rounds",
    ),
    Rule(
        id="exercises-rest",
        table=v1.EXERCISES,
        title="Rest times that do not fit",
        why="v2 refuses a rest of less than zero seconds. No rest at all becomes the default of 90.",
        guide=FIELDS,
        columns=("rest_seconds",),
        fails=lambda names: f"t.rest_seconds < 0 or {names.unfit(v1.EXERCISES, 'rest_seconds')}",
        failing="with a negative rest, or one that is no whole number of seconds",
    ),
    Rule(
        id="exercises-week",
        table=v1.EXERCISES,
        title="Exercise weeks out of range",
        why="An exercise goes into its own week of the plan. A plan has 1 to 52 weeks; an exercise past the last goes "
        "into the last.",
        columns=("week_number",),
        fails=lambda names: f"t.week_number not between 1 and 52 or {names.unfit(v1.EXERCISES, 'week_number')}",
        failing="in a week outside 1 to 52",
        warns=lambda names: f"t.week_number > {_week_total(names)}",
        warning="in a week after their plan's last, to be moved into the last",
        alone=True,
    ),
    Rule(
        id="exercises-order",
        table=v1.EXERCISES,
        title="Exercises without an order",
        why="v2 requires an order. Exercises without one come after the others of their plan.",
        guide=FIELDS,
        columns=("order_index",),
        fails=lambda names: f"abs(t.order_index::numeric) > {LAST_PLACE} or {names.unfit(v1.EXERCISES, 'order_index')}",
        failing="with an order that is no whole number or far beyond any list",
        warns=lambda names: "t.order_index is null",
        warning="without an order, to come after the others of their plan",
    ),
    Rule(
        id="exercises-day-of-week",
        table=v1.EXERCISES,
        title="Weekdays that are none",
        why="day_of_week is 0 for Sunday to 6 for Saturday, or a name. Anything else cannot say the day, so the label "
        "or the muscle group does.",
        guide="Data Transformation · Step 2",
        columns=("day_of_week",),
        warns=lambda names: (
            f"{names.mapping.trimmed('t.day_of_week')} is not null and ({names.mapping.weekday('t')}) is null"
        ),
        warning="with a weekday that is none: the label or the muscle group says the day",
        values=lambda names: "t.day_of_week",
    ),
    Rule(
        id="exercises-muscle-group",
        table=v1.EXERCISES,
        title="Muscle groups that decide no day",
        why="Where neither weekday nor label says the day, the muscle group does. One that is not in the table goes to "
        "Upper Body. No muscle group becomes general.",
        guide="Data Transformation · Step 2",
        columns=("muscle_group",),
        warns=_unknown_group,
        warning="with a muscle group that is not in the table, to go to Upper Body",
        values=lambda names: "t.muscle_group",
        note="Exercises without a muscle group become general.",
    ),
)
