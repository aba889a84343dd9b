"""Rules about v1's logged sets."""

from __future__ import annotations

from vagus_tui.checks.data_quality.rule import Names, Rule
from vagus_tui.schema import v1
from vagus_tui.schema.places import strips


def arrival(names: Names, alias: str) -> str:
    """The order in which two logs of the same set came: the first one keeps its number."""
    completed = f"{alias}.completed_at nulls last, " if names.has(v1.LOGS, "completed_at") else ""
    return f"{completed}{alias}.id"


BLOCKS = 200
"""Blocks of logs per strip in which sets that were logged twice are looked for: a few megabytes of memory."""


def _again(names: Names) -> str:
    groups = "x.session_id, x.exercise_id, x.set_number"
    return (
        f"t.id in (select d.id from (select x.id, row_number() over (partition by {groups} order by "
        f"{arrival(names, 'x')}) as nth from {names.logs} x where ({groups}) in ({_several(names.logs)})) d "
        "where d.nth > 1)"
    )


def _several(logs: str) -> str:
    """Session, exercise and number of every set that is there more than once.

    A session's logs mostly lie side by side, so they are looked for strip by strip; only the sessions that lie in more
    than one strip are looked at as a whole. Grouped all at once, ten million logs take half a gigabyte of temporary
    files, and as much again for every helper.
    """
    mark = "session_id, exercise_id, set_number"
    return (
        f"with strips as materialized (\n{strips(logs, str(BLOCKS))}),\n"
        "parts as materialized (\n"
        "  select part.* from strips strip cross join lateral (\n"
        f"    select {mark}, grouping(exercise_id) = 1 as whole_session from {logs} l\n"
        "    where l.ctid >= strip.first and l.ctid < strip.behind\n"
        f"    group by grouping sets (({mark}), (session_id))\n"
        "    having grouping(exercise_id) = 1 or count(*) > 1 offset 0) part)\n"
        f"select {mark} from parts where not whole_session\n"
        f"union select {mark} from {logs} where session_id in (\n"
        "  select session_id from parts where whole_session group by session_id having count(*) > 1)\n"
        f"group by {mark} having count(*) > 1"
    )


RULES = (
    Rule(
        id="orphaned-logs",
        table=v1.LOGS,
        title="Sets of no session or exercise",
        why="In v2 a logged set belongs to a session and an exercise that are there.",
        fails=lambda names: (
            f"not exists (select from {names.sessions} s where s.id = t.session_id) "
            f"or not exists (select from {names.exercises} e where e.id = t.exercise_id)"
        ),
        failing="of a session or an exercise that does not exist, or of none",
        alone=True,
    ),
    Rule(
        id="logs-set-number",
        table=v1.LOGS,
        title="Set numbers that are none",
        why="v2 numbers sets from 1.",
        fails=lambda names: f"t.set_number is null or t.set_number <= 0 or {names.unfit(v1.LOGS, 'set_number')}",
        failing="without a set number, with zero or less, or with one that is not whole",
    ),
    Rule(
        id="logs-reps",
        table=v1.LOGS,
        title="Logged reps that do not fit",
        why="v2 requires repetitions of zero or more.",
        fails=lambda names: f"t.reps is null or t.reps < 0 or {names.unfit(v1.LOGS, 'reps')}",
        failing="without repetitions, with fewer than zero, or with a number that is not whole",
    ),
    Rule(
        id="logs-weight",
        table=v1.LOGS,
        title="Logged weights that do not fit",
        why="v2 requires a weight from 0 to 9,999.99 with two decimals. More decimals are rounded.",
        fails=lambda names: "t.weight is null or t.weight < 0 or round(t.weight::numeric, 2) >= 10000",
        failing="without a weight, with a negative one, one of 10,000 or more, or one that is no number (NaN)",
        warns=lambda names: "round(t.weight::numeric, 2) <> t.weight::numeric",
        warning="with more than two decimals in the weight, which v2 rounds",
    ),
    Rule(
        id="logs-rpe",
        table=v1.LOGS,
        title="Logged efforts outside 1 to 10",
        why="v2 holds the rate of perceived exertion from 1 to 10 with one decimal. More decimals are rounded.",
        columns=("rpe",),
        fails=lambda names: "round(t.rpe::numeric, 1) not between 1 and 10",
        failing="with an effort (rpe) outside 1 to 10",
        warns=lambda names: "round(t.rpe::numeric, 1) <> t.rpe::numeric",
        warning="with more than one decimal in the effort (rpe), which v2 rounds",
    ),
    Rule(
        id="logs-rest",
        table=v1.LOGS,
        title="Logged rests that do not fit",
        why="v2 holds a logged rest as a whole number of seconds.",
        columns=("rest_seconds",),
        fails=lambda names: names.unfit(v1.LOGS, "rest_seconds"),
        failing="with a rest that is no whole number of seconds, or too large a one",
    ),
    Rule(
        id="logs-duplicate-sets",
        table=v1.LOGS,
        title="Sets logged twice",
        why="In v2 a session has each set of an exercise once. The first of two with the same number keeps it.",
        fails=_again,
        failing="with the number of an earlier set of the same session and exercise",
        alone=True,
        guaranteed=("session_id", "exercise_id", "set_number"),
    ),
    Rule(
        id="logs-other-plan",
        table=v1.LOGS,
        title="Sets of another plan's exercise",
        why="A session of one plan holds sets of another plan's exercise. v2 takes them; they do not decide the "
        "session's day.",
        warns=lambda names: (
            f"t.id in (select l.id from {names.logs} l join {names.sessions} s on s.id = l.session_id "
            f"join {names.exercises} e on e.id = l.exercise_id where e.plan_id <> s.plan_id)"
        ),
        warning="for an exercise of another plan than their session's: kept as they are",
        alone=True,
    ),
)
