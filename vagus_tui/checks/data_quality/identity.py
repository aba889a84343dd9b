"""Rules about the ids of every table, and about the columns' types: what all other rules stand on."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.column_types import misfits
from vagus_tui.checks.data_quality.rule import ROWS, Names, Rule
from vagus_tui.events import Status
from vagus_tui.schema import v1


def _repeated(base: str) -> Rule:
    many = ROWS[base][1]
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
