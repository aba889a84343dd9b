"""Comparing the generated days: each of v2's is one that must be, and there are as many.

A day hangs on its week, whose plan and number say what the day must be. That is looked up for every day that there is,
which takes far less than making all days anew and joining them by their ids. No two have the same id, so if each is as
it must be and none is missing in the count, they are all there. The weeks are compared for themselves.
"""

from __future__ import annotations

from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import WorkoutMapping


def generated_count_sql(mapping: WorkoutMapping, schema: str) -> str:
    """The query that counts the days compared and the differences: none, or at least so many.

    Needs `mapping.prepared`. Nobody may write to v2 between this and the proof of the weeks.
    """
    weeks, days = qualified(schema, v2.WEEKS), qualified(schema, v2.DAYS)
    source, wanted = mapping.days_by_week(f"(select plan_id, week_number as n, id as week_id from {weeks})")
    return (
        f"with {source},\n"
        "looked as materialized (\n"
        "  select count(*) as compared,\n"
        f"    count(*) filter (where row({wanted}) is not distinct from {mapping.compared(v2.DAYS, 't')}) as alike\n"
        f"  from {days} t left join weeks on weeks.week_id = t.week_id\n"
        "  left join plan_days d on d.plan_id = weeks.plan_id and d.day_number = t.day_number),\n"
        "due as materialized (\n"
        "  select coalesce(sum(plans.total_weeks), 0)::bigint as days\n"
        "  from plan_days d join plans on plans.id = d.plan_id)\n"
        "select compared, greatest(compared - alike, days - alike) as differences from looked, due"
    )
