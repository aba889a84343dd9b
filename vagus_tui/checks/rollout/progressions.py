"""What coaches' progressions have left in v2: exercises of later weeks that were written since the cut-over.

Whether the app's screen for it works is for people to try; that something came of it, and whether that is whole, the
rows show.
"""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.verification.base import captured, later, on_v2, relation
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.journal.state import State
from vagus_tui.schema import v2

_TARGETS = ("sets", "target_reps_min", "target_reps_max", "target_weight")
_PAIRS = """
select x.id, w.plan_id, p.name as plan, x.name, w.week_number, p.total_weeks, {targets},
  row({now}) is distinct from row({before}) as progressed,
  w.week_number > p.total_weeks as beyond,
  x.target_reps_min is null and x.target_reps_max is null and x.target_weight is null
    and coalesce(b.target_reps_min, b.target_reps_max, b.target_weight) is not null as emptied
from {exercises} x
join {days} d on d.id = x.day_id join {weeks} w on w.id = d.week_id join {plans} p on p.id = w.plan_id
join lateral (
  select e.* from {exercises} e join {days} f on f.id = e.day_id join {weeks} v on v.id = f.week_id
  where v.plan_id = w.plan_id and v.week_number < w.week_number and e.name = x.name
    and f.day_label is not distinct from d.day_label
  order by v.week_number desc, e.order_index is distinct from x.order_index, e.order_index limit 1
) b on true
where w.week_number > 1 and {written}
"""
"""Exercises of later weeks beside the same exercise in the week before that has it; where a day has it more than once,
beside the one in the same place."""


async def _pairs(context: Context) -> str:
    return _PAIRS.format(
        targets=", ".join(f"b.{name} as before_{name}, x.{name}" for name in _TARGETS),
        now=", ".join(f"x.{name}" for name in _TARGETS),
        before=", ".join(f"b.{name}" for name in _TARGETS),
        exercises=relation(v2.EXERCISES),
        days=relation(v2.DAYS),
        weeks=relation(v2.WEEKS),
        plans=relation(v2.PLANS),
        written=await later(context, v2.EXERCISES, "x.id::text"),
    ).strip()


@on_v2
async def _progressions(context: Context) -> Outcome:
    if context.state.state is State.CLEANED or not await captured(context):
        return Outcome(Status.SKIP, "–", "What is written to v2 is noted until v1 is removed, and no longer.")
    row = await context.connection.fetchrow(
        "select count(distinct plan_id) filter (where progressed) as plans, count(*) filter (where beyond) as beyond, "
        "count(*) filter (where emptied) as emptied, count(*) filter (where beyond or emptied) as wrong "
        f"from (\n{await _pairs(context)}\n) found"
    )
    assert row is not None
    told = []
    if row["beyond"]:
        told.append(f"{row['beyond']:,} in weeks beyond their plan's length, where the app does not look")
    if row["emptied"]:
        told.append(f"{row['emptied']:,} without the repetitions and weights that the week before has")
    if told:
        wrong = row["wrong"]
        return Outcome(
            Status.FAIL, f"{wrong:,} wrong", f"Exercises written since the cut-over: {'; '.join(told)}.", rows=wrong
        )
    plans = row["plans"]
    if not plans:
        return Outcome(Status.SKIP, "none yet", "Nobody has applied one since the cut-over: let a coach try, then r.")
    many = plural(plans, "plan")
    return Outcome(Status.PASS, many, f"{many} with later weeks that ask for other sets, repetitions or weights.")


CHECKS = (
    Check(
        id="progressions",
        group=Group.ROLLOUT,
        title="Progressions applied",
        why="v1 had one week for all: that later weeks ask for more is new, and the first thing coaches try. Their "
        "rows have to lie within the plan's weeks and keep their targets.",
        expected="whole",
        probe=_progressions,
        guide="Manual Verification Checklist · Coach Features",
    ),
)
