"""Where a plan's weeks, days, exercises and sessions are read from: the mapping over v1, or v2's own tables."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from vagus_tui.checks.base import Context
from vagus_tui.checks.verification.base import mapping as made_by
from vagus_tui.database.search_path import OWN_PATH
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import State
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.plan_parts import Scope
from vagus_tui.schema.rules import MappingOptions

AFTER = (State.MIGRATED, State.CLEANED)
TIMEOUT_MS = 20_000


@dataclass(frozen=True, slots=True)
class PlanSource:
    """Queries for the parts of one plan, whose id is the parameter $1 (text).

    Attributes:
        plan, weeks, days, exercises, sessions: SELECTs with the columns of v2's tables.
        built: they read v2's tables; otherwise they compute what v2 will hold.
        completed: sessions have `completed_at`, which v1 need not have.
    """

    plan: str
    weeks: str
    days: str
    exercises: str
    sessions: str
    built: bool
    completed: bool = True


def migrated(context: Context) -> bool:
    """Whether v2's tables are in place."""
    return context.state.state in AFTER


def mapping(context: Context) -> WorkoutMapping | None:
    """The mapping with the options that hold here; None where v1 is gone."""
    if context.state.shape is None:
        return None
    if migrated(context):
        return made_by(context)
    return WorkoutMapping(context.state.shape, MappingOptions(repeat_exercises=context.settings.repeat_exercises))


def plan_parameter(context: Context) -> str:
    """The parameter $1 as a value of the type that plan ids have."""
    shape = context.state.shape
    return f"$1::text::{shape.plans.id_type}" if shape is not None else "$1::text"


def mapped_source(found: WorkoutMapping) -> PlanSource:
    """What the mapping makes of one plan."""
    key = f"$1::text::{found.shape.plans.id_type}"
    scope = Scope(
        plans=f"(select {key} as id) only_plan",
        sessions=f"(select id from {found.source(v1.SESSIONS)} where plan_id = {key}) its_sessions",
    )
    return PlanSource(
        plan=found.select(v2.PLANS, scope),
        weeks=found.select(v2.WEEKS, scope),
        days=found.select(v2.DAYS, scope),
        exercises=found.select(v2.EXERCISES, scope),
        sessions=found.select(v2.SESSIONS, scope),
        built=False,
        completed=found.shape.sessions.has("completed_at"),
    )


def built_source(context: Context) -> PlanSource:
    """What v2's tables hold of one plan."""
    tables = {table: qualified("public", table) for table in v2.TABLES}
    shape = context.state.shape
    # Without v1 the type of the ids is not known beforehand; compared as text it need not be.
    plan = f"p.id = {plan_parameter(context)}" if shape is not None else "p.id::text = $1::text"
    down = (
        f"{tables[v2.PLANS]} p join {tables[v2.WEEKS]} w on w.plan_id = p.id "
        f"join {tables[v2.DAYS]} d on d.week_id = w.id"
    )
    return PlanSource(
        plan=f"select p.* from {tables[v2.PLANS]} p where {plan}",
        weeks=f"select w.* from {tables[v2.PLANS]} p join {tables[v2.WEEKS]} w on w.plan_id = p.id where {plan}",
        days=f"select d.* from {down} where {plan}",
        exercises=f"select e.* from {down} join {tables[v2.EXERCISES]} e on e.day_id = d.id where {plan}",
        sessions=f"select s.* from {down} join {tables[v2.SESSIONS]} s on s.day_id = d.id where {plan}",
        built=True,
    )


def source(context: Context) -> PlanSource:
    """Where to read a plan of v2 from now.

    Raises:
        RefusedError: there is neither v1 nor v2 here.
    """
    if migrated(context):
        return built_source(context)
    found = mapping(context)
    if found is None:
        raise RefusedError("There are no plans here.", next_step="The overview says what was found.")
    return mapped_source(found)


@contextlib.asynccontextmanager
async def looking(context: Context) -> AsyncIterator[None]:
    """A transaction that cannot write, sees one moment, gives up on locks at once, and reads times as the mapping."""
    transaction = context.connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    try:
        await context.connection.execute(
            f"set local timezone = 'UTC'; set local lock_timeout = '500ms'; set local statement_timeout = {TIMEOUT_MS};"
            f" set local work_mem = '64MB'; {OWN_PATH}"
        )
        yield
    finally:
        if not context.connection.is_closed():
            await transaction.rollback()
