"""The pages of the app that are timed, each as the statement that loads it from v1 and from v2.

Both versions of a page answer the same question, so that their times can be compared. `inside` is what a function of
v2 does, written out: a plan shows nothing of the inside of a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vagus_tui.checks.performance.subjects import Subject
from vagus_tui.checks.performance.tables import Tables

Make = Callable[[Tables], str]
Arguments = Callable[[Subject], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        v1, v2: the statement for either version; v1 is "" where v1 cannot answer.
        arguments: the statement's arguments for a person; None where the page is not theirs to open.
        inside: v2's statement without the function around it, to be explained.
        analytics: whether the guide's limit for analytics holds, rather than that for pages.
    """

    id: str
    title: str
    why: str
    v1: Make
    v2: Make
    arguments: Arguments
    inside: Make | None = None
    analytics: bool = False

    def explained(self, tables: Tables) -> str:
        """The statement whose plan tells what is done."""
        if tables.version == 1:
            return self.v1(tables)
        return (self.inside or self.v2)(tables)


def _flat_plan(tables: Tables) -> str:
    return (
        f"select p.*, to_json(e.*) as exercise from {tables.plans} p left join {tables.exercises} e "
        "on e.plan_id = p.id where p.id = $1"
    )


def _plan_tree(tables: Tables, week: str = "") -> str:
    return (
        "select p.*, w.week_number, w.start_date, w.end_date, d.day_label, d.day_number, to_json(e.*) as exercise\n"
        f"from {tables.plans} p join {tables.weeks} w on w.plan_id = p.id{week}\n"
        f"join {tables.days} d on d.week_id = w.id left join {tables.exercises} e on e.day_id = d.id\n"
        "where p.id = $1 order by w.week_number, d.day_number, e.order_index"
    )


def _history(tables: Tables) -> str:
    return (
        "select s.*, count(l.id) as sets, sum(l.reps * l.weight) as volume\n"
        f"from {tables.sessions} s left join {tables.logs} l on l.session_id = s.id\n"
        "where s.user_id = $1::uuid group by s.id order by s.started_at desc limit 20"
    )


def _volume(tables: Tables) -> str:
    if tables.version == 1:
        source = f"{tables.sessions} s join {tables.logs} l on l.session_id = s.id where s.plan_id = $1"
    else:
        source = (
            f"{tables.weeks} w join {tables.days} d on d.week_id = w.id join {tables.sessions} s on s.day_id = d.id\n"
            f"join {tables.logs} l on l.session_id = s.id where w.plan_id = $1"
        )
    return f"select coalesce(sum(l.reps * l.weight), 0) from {source}"


def _records(tables: Tables) -> str:
    return (
        "select best.exercise_id, best.weight, best.reps, best.achieved_at from (\n"
        f"  select l.exercise_id, l.weight, l.reps, {tables.done_at} as achieved_at,\n"
        f"    max(l.weight) over (order by {tables.done_at}, l.set_number, l.id\n"
        "      rows between unbounded preceding and 1 preceding) as before\n"
        f"  from {tables.sessions} s join {tables.logs} l on l.session_id = s.id\n"
        f"  join {tables.exercises} e on e.id = l.exercise_id\n"
        "  where s.user_id = $1::uuid and lower(e.name) = lower($2)\n"
        ") best where best.before is null or best.weight > best.before order by best.achieved_at"
    )


def _muscle_groups(tables: Tables) -> str:
    if not tables.muscle_group:
        return ""
    return (
        "select e.muscle_group, sum(l.reps * l.weight), count(*)\n"
        f"from {tables.sessions} s join {tables.logs} l on l.session_id = s.id\n"
        f"join {tables.exercises} e on e.id = l.exercise_id\n"
        "where s.user_id = $1::uuid and s.started_at >= $2::date and s.started_at < $3::date + 1\n"
        "group by e.muscle_group order by 2 desc, 1"
    )


def _correct_a_set(tables: Tables) -> str:
    return f"update {tables.logs} set reps = reps where id = $1"


PAGES: tuple[Page, ...] = (
    Page(
        id="plan-loading",
        title="Plan loading",
        why="The page that everybody opens: a plan with all its weeks, days and exercises. v2 reads three tables more "
        "than v1 did, each behind its own policy.",
        v1=_flat_plan,
        v2=_plan_tree,
        arguments=lambda subject: (subject.plan,),
    ),
    Page(
        id="current-week",
        title="Current week",
        why="What a client sees first: this week's days with their exercises. v1 had no weeks and loaded the whole "
        "plan for it.",
        v1=_flat_plan,
        v2=lambda tables: _plan_tree(tables, " and w.week_number = p.current_week"),
        arguments=lambda subject: (subject.plan,),
    ),
    Page(
        id="session-tracking",
        title="Session tracking",
        why="Between two sets nobody waits for a phone. A logged set is corrected as the app does it, and taken back.",
        v1=_correct_a_set,
        v2=_correct_a_set,
        arguments=lambda subject: (subject.log,) if subject.own and subject.log is not None else None,
    ),
    Page(
        id="history",
        title="Training history",
        why="The latest sessions with their volume, for the person with the longest history.",
        v1=_history,
        v2=_history,
        arguments=lambda subject: (subject.athlete,),
    ),
    Page(
        id="plan-volume",
        title="Plan volume",
        why="calculate_plan_volume adds up every set of a plan, by way of its weeks and days.",
        v1=_volume,
        v2=lambda _: "select public.calculate_plan_volume($1)",
        inside=_volume,
        arguments=lambda subject: (subject.trained,),
        analytics=True,
    ),
    Page(
        id="personal-records",
        title="Personal records",
        why="detect_prs goes through all sets of one exercise that somebody ever logged.",
        v1=_records,
        v2=lambda _: "select * from public.detect_prs($1::uuid, $2)",
        inside=_records,
        arguments=lambda subject: (subject.athlete, subject.exercise) if subject.exercise else None,
        analytics=True,
    ),
    Page(
        id="muscle-groups",
        title="Muscle-group analytics",
        why="get_muscle_group_volume sums a whole training history by muscle group.",
        v1=_muscle_groups,
        v2=lambda _: "select * from public.get_muscle_group_volume($1::uuid, $2, $3)",
        inside=_muscle_groups,
        arguments=lambda subject: (subject.athlete, subject.first, subject.last),
        analytics=True,
    ),
)
"""In the order in which the guide lists them."""
