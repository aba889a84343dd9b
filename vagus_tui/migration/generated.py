"""Comparing the generated weeks and days: each of v2's is one that must be, and there are as many.

What a week must be hangs on its plan and its number, what a day must be on its week. That is looked up for every one
that there is, which takes far less than making all of them anew and joining them by their ids. No two have the same id,
so if each is as it must be and none is missing in the count, they are all there.
"""

from __future__ import annotations

from vagus_tui.migration.difference import written
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import WorkoutMapping

GENERATED = (v2.WEEKS, v2.DAYS)


def generated_count_sql(mapping: WorkoutMapping, schema: str, table: str, *, own: bool = False) -> str:
    """The query that counts the weeks or days compared and the differences: none, or at least so many.

    Needs `mapping.prepared`. Nobody may write to v2 between the proof of the days and that of the weeks on which they
    hang.

    Args:
        own: as for `difference.odd`.
    """
    weeks, days = qualified(schema, v2.WEEKS), qualified(schema, v2.DAYS)
    if table == v2.WEEKS:
        source, wanted = mapping.week_by_number()
        found = (
            f"{weeks} t left join plans on plans.id = t.plan_id and t.week_number between 1 and plans.total_weeks\n"
            "  cross join lateral (select t.week_number as n) n"
        )
        due = "plans"
    else:
        source, wanted = mapping.days_by_week(f"(select plan_id, week_number as n, id as week_id from {weeks})")
        found = (
            f"{days} t left join weeks on weeks.week_id = t.week_id\n"
            "  left join plan_days d on d.plan_id = weeks.plan_id and d.day_number = t.day_number"
        )
        due = "plan_days d join plans on plans.id = d.plan_id"
    alike = f"row({wanted}) is not distinct from {mapping.compared(table, 't', also_id=True)}"
    if own and (said := written(mapping, table)):
        alike += f" and not ({said})"
    return (
        f"with {source},\n"
        "looked as materialized (\n"
        "  select count(*) as compared,\n"
        f"    count(*) filter (where {alike}) as alike\n"
        f"  from {found}),\n"
        f"due as materialized (select coalesce(sum(plans.total_weeks), 0)::bigint as rows from {due})\n"
        "select compared, greatest(compared - alike, rows - alike) as differences from looked, due"
    )
