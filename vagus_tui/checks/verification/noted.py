"""Whether what users write to v2 is noted, so that a rollback can carry it back."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import changed_table
from vagus_tui.checks.verification.base import SCHEMA, against_v1, relation
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.migration.noting import read_noting
from vagus_tui.schema import v2


async def _writes_noted(context: Context) -> Outcome:
    if "rollback" not in context.state.possible:
        return Outcome(Status.SKIP, "–", "No record says how v2 came, so no quick rollback rests on these notes.")
    found = await read_noting(context.connection, SCHEMA)
    if found.intact:
        return Outcome(Status.PASS, "all", f"{plural(len(v2.TABLES), 'table')} of v2, every insert, update and delete.")
    return Outcome(
        Status.FAIL,
        f"not of {plural(len(found.affected), 'table')}",
        f"{found.words} A rollback puts that right first, and finds what was written meanwhile by comparing every row. "
        "To stay on v2 and put it right, run the step note-again of what vagus-tui sql rollback prints.",
    )


CHECKS = (
    Check(
        id="writes-noted",
        group=Group.VERIFICATION,
        title="Later writes noted",
        why="A quick rollback carries back what users wrote since the cut-over; triggers on v2's tables note which. "
        "Where somebody drops the table of notes, the app's own writes fail too.",
        expected="all",
        probe=against_v1(_writes_noted),
        guide="Rollback Plan",
        needs_v1=True,
        faults=(
            changed_table(
                "a trigger that notes is switched off",
                f"alter table {relation(v2.EXERCISES)} disable trigger vagus_capture",
                v2.EXERCISES,
            ),
        ),
    ),
)
"""Its one check."""
