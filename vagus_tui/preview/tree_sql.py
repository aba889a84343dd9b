"""One query for a plan's whole tree as ordered lines, so that the server pages it, however large it is."""

from __future__ import annotations

from vagus_tui.preview.sources import PlanSource

CELL = 300
"""How much of one value is read, in characters."""

_FIGURES = (
    "x.sets::text as sets, x.target_reps_min::text as low, x.target_reps_max::text as high, "
    "x.target_weight::text as weight"
)
_NO_FIGURES = "null::text as sets, null::text as low, null::text as high, null::text as weight"

_BELOW = """
below as materialized (
  select d.id, d.week_number, count(e.id) as exercises,
    (select count(*) from sessions s where s.day_id = d.id) as sessions
  from days d left join exercises e on e.day_id = d.id group by d.id, d.week_number)"""

_WEEK_LINES = """
  select 'week' as kind, 0 as rank, w.id::text as id, w.week_number as week, 0 as day, null::int as place,
    '' as title, '' as groups, null::text as sets, null::text as low, null::text as high, null::text as weight,
    w.start_date::text as starts, w.end_date::text as ends, coalesce(sum(b.exercises), 0)::int as exercises,
    coalesce(sum(b.sessions), 0)::int as sessions, null::text as expected, false as fresh
  from weeks w left join below b on b.week_number = w.week_number
  group by w.id, w.week_number, w.start_date, w.end_date"""

_DAY_LINES = """
  select 'day', 1, d.id::text, d.week_number, d.place, null, d.label, d.groups, null, null, null, null, null, null,
    b.exercises::int, b.sessions::int, null, false
  from days d join below b on b.id = d.id"""

_EXERCISE_LINES = """
  select 'exercise', 2, e.id::text, d.week_number, d.place, e.order_index, e.name, e.muscle_group, e.sets, e.low,
    e.high, e.weight, null, null, 0, 0, {moved}
  from exercises e join days d on d.id = e.day_id{join}"""

_SESSION_LINES = """
  select 'session', 3, s.id::text, d.week_number, d.place, null, '', '', s.total_sets::text, null, null, null,
    to_char(s.started_at, 'YYYY-MM-DD HH24:MI'), to_char(s.completed_at, 'HH24:MI'), 0, 0, null, false
  from sessions s join days d on d.id = s.day_id"""


def tree_query(wanted: PlanSource, expected: PlanSource | None, *, figures: bool) -> str:
    """The tree as one ordered list of lines. Parameters: $1 the plan, $2 offset, $3 limit.

    Args:
        wanted: where the tree is read from.
        expected: what the mapping gives, where the tree may differ from it.
        figures: with sets, reps and weights; casting those fails on values that v2 refuses.
    """
    completed = "x.completed_at" if wanted.completed else "null::timestamptz"
    parts = [
        f"weeks as materialized (\n  select x.id, x.week_number, x.start_date, x.end_date from ({wanted.weeks}) x)",
        "days as materialized (\n"
        f"  select x.id, w.week_number, left(x.day_label, {CELL}) as label, "
        f"left(array_to_string(x.muscle_groups, ', '), {CELL}) as groups,\n"
        "    row_number() over (partition by x.week_id order by x.day_number nulls last, x.day_label, x.id)::int "
        f"as place\n  from ({wanted.days}) x join weeks w on w.id = x.week_id)",
        "exercises as materialized (\n"
        f"  select x.id, x.day_id, left(x.name, {CELL}) as name, left(x.muscle_group, {CELL}) as muscle_group, "
        f"x.order_index, {_FIGURES if figures else _NO_FIGURES} from ({wanted.exercises}) x)",
        "sessions as materialized (\n"
        f"  select x.id, x.day_id, x.started_at, {completed} as completed_at, x.total_sets from ({wanted.sessions}) x)",
    ]
    moved, join = "null::text as expected, false as fresh", ""
    if expected is not None:
        parts.append(f"mapped as materialized (select x.id, x.day_id from ({expected.exercises}) x)")
        parts.append(
            f"mapped_days as materialized (select d.id, w.week_number, d.day_label from ({expected.days}) d "
            f"join ({expected.weeks}) w on w.id = d.week_id)"
        )
        moved = (
            f"case when m.day_id <> e.day_id then left(md.day_label, {CELL}) || ', week ' || md.week_number end, "
            "m.id is null"
        )
        join = " left join mapped m on m.id = e.id left join mapped_days md on md.id = m.day_id"
    lines = "\n  union all".join(
        (_WEEK_LINES, _DAY_LINES, _EXERCISE_LINES.format(moved=moved, join=join), _SESSION_LINES)
    )
    return (
        "with " + ",\n".join(parts) + f",{_BELOW},\nlines as ({lines})\n"
        "select *, count(*) over () as total from lines\n"
        "order by week, day, rank, place nulls last, starts, id offset $2 limit $3"
    )
