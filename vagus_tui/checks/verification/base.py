"""What the checks of v2 share: where v2 is, what was written to it since the cut-over, and when they are skipped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from vagus_tui.checks.base import Context, Outcome
from vagus_tui.database.identifiers import literal, qualified
from vagus_tui.events import Status
from vagus_tui.journal.state import State
from vagus_tui.journal.store import Run
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.undo import last_record
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.rules import MappingOptions

Probe = Callable[[Context], Awaitable[Outcome]]

SCHEMA = "public"
CAPTURED, RECORDED = "writes noted", "the migration's record"


def relation(table: str) -> str:
    """The quoted name of a v2 table in its place."""
    return qualified(SCHEMA, table)


def on_v2(probe: Probe) -> Probe:
    """Skip the check where v2 is not in place."""

    @wraps(probe)
    async def skipping(context: Context) -> Outcome:
        if context.state.state not in (State.MIGRATED, State.CLEANED):
            return Outcome(Status.SKIP, "–", "v2 is not in place yet.")
        return await probe(context)

    return skipping


def against_v1(probe: Probe) -> Probe:
    """Skip the check where v2 is not in place, or v1 is no longer there to compare it with."""

    @wraps(probe)
    async def skipping(context: Context) -> Outcome:
        if context.state.state is State.CLEANED:
            return Outcome(Status.SKIP, "–", "v1 was removed, so there is nothing to compare v2 with.")
        return await probe(context)

    return on_v2(skipping)


def mapping(context: Context) -> WorkoutMapping:
    """The mapping by which v2 was made, with the options of that run."""
    run = context.state.migration
    repeated = context.settings.repeat_exercises if run is None else bool(run.options.get("repeat_exercises"))
    return WorkoutMapping(context.shape, MappingOptions(repeat_exercises=repeated))


async def captured(context: Context) -> bool:
    """Whether there is a record of what was written to v2 since the cut-over; looked up once per run."""
    if CAPTURED not in context.cache:
        context.cache[CAPTURED] = await context.connection.fetchval("select to_regclass($1) is not null", V2_CHANGES)
    return bool(context.cache[CAPTURED])


async def recorded(context: Context) -> tuple[Run, Survey] | None:
    """What the migration wrote down, as `last_record` gives it; looked up once per run."""
    if RECORDED not in context.cache:
        context.cache[RECORDED] = await last_record(context.connection)
    found: tuple[Run, Survey] | None = context.cache[RECORDED]
    return found


def first_untouched(context: Context, table: str, condition: str = "true") -> str:
    """A query for the id of the first row, `t`, that nobody has written to since the cut-over.

    A fault in a row that users have changed would pass for theirs, and be overlooked with right.
    """
    untouched = ""
    if context.noted:
        untouched = (
            f" and not exists (select from {V2_CHANGES} c where c.table_name = {literal(table).strip()} "
            "and c.row_id = t.id::text)"
        )
    return f"select t.id from {relation(table)} t where {condition}{untouched} order by t.id limit 1"


async def later(context: Context, table: str, row_id: str) -> str:
    """A condition: the row of that id (an expression of text) was written to since the cut-over."""
    if not await captured(context):
        return "false"
    name = literal(table).strip()
    return f"{row_id} in (select c.row_id from {V2_CHANGES} c where c.table_name = {name})"
