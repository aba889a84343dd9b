"""The planner: what was found in the database, and the mapping, become a plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from vagus_tui.checks.column_types import misfits
from vagus_tui.database import search_path
from vagus_tui.database.connection import AS_EVERYWHERE, Connection
from vagus_tui.database.dependents import Dependent, Fate
from vagus_tui.errors import RefusedError
from vagus_tui.events import Phase, jsonable
from vagus_tui.journal.state import LOCK_KEY, STAGING, DatabaseState, State
from vagus_tui.journal.store import AFTER_ALL_RUNS
from vagus_tui.migration import catch_up, staged, vigil
from vagus_tui.migration.build import DAY_KEYS, build_steps, prepare_statements, prepare_steps, prepared_tables
from vagus_tui.migration.capture import OWN
from vagus_tui.migration.carried import apart, carried_notes, check_steps
from vagus_tui.migration.cut_over import cut_over_steps, settle_steps
from vagus_tui.migration.grants import grant_notes
from vagus_tui.migration.link import ALIGN, link_steps
from vagus_tui.migration.proof import PROOF_KEYS, count_sql, proof_mapping, unexcused_sql
from vagus_tui.migration.repoint import whole_row_tables
from vagus_tui.migration.steps import Plan, PlanStep, ScriptJournal, in_one_line, latest_run, stop_unless_zero
from vagus_tui.migration.survey import PREFERENCES, Survey, survey
from vagus_tui.migration.undo import undo_record
from vagus_tui.migration.unique import Apart
from vagus_tui.rollback.later_columns import later_notes
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import literal, qualified
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.rules import MappingOptions
from vagus_tui.settings import Settings

SESSION_SETTINGS = (
    "set statement_timeout = 0;",
    "set timezone = 'UTC';",
    f"set search_path = {search_path.OWN};",
    # As in our own sessions, whatever somebody has set for the role.
    *(f"do $vagus$ begin perform made.* from ({query}) made; end $vagus$;" for query in AS_EVERYWHERE),
    f"set {OWN} = 'on';",
    # Nobody queues behind a script for longer than this.
    "set lock_timeout = '2s';",
    f"do $$ begin if not pg_try_advisory_lock({LOCK_KEY}) then raise exception "
    "'another operator is at work on this database'; end if; end $$;",
)


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The plan together with what it was made from, for the runner."""

    plan: Plan
    survey: Survey
    mapping: WorkoutMapping
    ddl: V2Ddl

    @property
    def kept_apart(self) -> tuple[Apart, ...]:
        """The unique indexes that v2's tables have from v1."""
        return apart(self.survey.bound, self.ddl)


def compose(found: Survey, settings: Settings) -> MigrationPlan:
    """Make the plan from a survey. The same survey and settings always give the same plan."""
    mapping = WorkoutMapping(found.shape, MappingOptions(repeat_exercises=settings.repeat_exercises))
    ddl = V2Ddl(STAGING, found.shape, found.taken, preferences=found.preferences != "jsonb")
    filled = build_steps(found, mapping, ddl)
    align = PlanStep(
        ALIGN,
        Phase.BUILD,
        "first round of catching up",
        (
            *catch_up.whole_round(mapping, STAGING, apart(found.bound, ddl)),
            catch_up.AS_USUAL,
            catch_up.strays(STAGING),
        ),
        needs=tuple(step.id for step in filled if step.id.startswith(("analyze-", DAY_KEYS))),
        tables=ddl.tables,
        one_moment=True,
    )
    built = (*filled, align, *link_steps(found, mapping, ddl), *check_steps(found.bound, ddl))
    rounds = PlanStep(
        "catch-up",
        Phase.CATCH_UP,
        "rounds of catching up, until little is left",
        (*catch_up.whole_round(mapping, STAGING, apart(found.bound, ddl)), catch_up.AS_USUAL),
        one_moment=True,
    )
    steps = (
        *prepare_steps(found, ddl),
        *built,
        rounds,
        *proof_steps(found, mapping, built),
        *cut_over_steps(found, mapping, ddl),
        *settle_steps(found, ddl),
    )
    plan = Plan(steps, notes(found), SESSION_SETTINGS, script_journal(found, settings), found.dependents)
    return MigrationPlan(plan, found, mapping, ddl)


def script_journal(found: Survey, settings: Settings) -> ScriptJournal:
    """What the plan's script writes into the journal when it is run with psql."""

    def text(value: object) -> str:
        return literal(json.dumps(jsonable(value), ensure_ascii=False)).strip()

    latest = latest_run("migrate")
    options = {"script": True, "repeat_exercises": settings.repeat_exercises}
    return ScriptJournal(
        begun="insert into vagus_migration.runs (kind, operator, environment, client, options, started_at) values "
        f"('migrate', session_user, {literal(settings.environment.value).strip()}, 'psql', {text(options)}::jsonb, "
        f"{AFTER_ALL_RUNS});",
        swapped=f"update vagus_migration.runs set phase = '{Phase.SETTLE.value}', "
        f"catalog = catalog || {text(undo_record(found))}::jsonb {latest};",
        done=f"update vagus_migration.runs set status = 'done', "
        f"finished_at = greatest(started_at, clock_timestamp()) {latest};",
        note=staged.script_note,
    )


def proof_steps(found: Survey, mapping: WorkoutMapping, built: Sequence[PlanStep]) -> list[PlanStep]:
    """The proof, table by table. What several tables need of every plan is worked out anew, once, before them.

    Args:
        built: the steps of the build, which a script asks whether others had a hand in.
    """
    prepared = prepared_tables("proof")
    undo = "none needed: it only reads v1 and v2"
    working_out = prepare_statements(mapping, prepared)
    first = PlanStep(
        PROOF_KEYS,
        Phase.PROVE,
        "days and weeks of every plan, worked out anew",
        working_out,
        rows=found.rows[v2.EXERCISES],
        undo=undo,
        unit="day keys",
        printed=(
            stop_unless_zero(staged.script_others(built), staged.SCRIPT_STOPS),
            staged.script_mark(),
            vigil.script_mark(found.shape),
            *working_out,
        ),
    )
    steps = []
    for table in catch_up.MAPPED:
        proving = proof_mapping(mapping, table)
        differing = f"select differences from (\n{count_sql(proving, STAGING, table)}\n) counted"
        inexcusable = f"select count(*) from (\n{unexcused_sql(mapping, STAGING, table)}\n) proof"
        steps.append(
            PlanStep(
                f"prove-{table}",
                Phase.PROVE,
                f"every row and column of {table}, both ways",
                (count_sql(proving, STAGING, table),),
                rows=found.rows[table],
                needs=(PROOF_KEYS,) if proving.prepared else (),
                undo=undo,
                unit=table,
                table=table,
                one_moment=True,
                printed=(
                    *catch_up.peek(mapping, STAGING, table),
                    stop_unless_zero(
                        f"select case when ({differing}) = 0 then 0 else ({inexcusable}) end",
                        f"rows of {table} differ",
                    ),
                ),
            )
        )
    if found.preferences == "rows":
        differing = stop_unless_zero(
            catch_up.preference_differences(found.shape, STAGING), "users' notification preferences differ"
        )
        steps.append(
            PlanStep(
                f"prove-{PREFERENCES}",
                Phase.PROVE,
                "what every user chose to be notified of",
                (differing,),
                undo=undo,
                unit=PREFERENCES,
            )
        )
    groups = f"select count(*) from {qualified(STAGING, v2.GROUPS)}"
    steps.append(
        PlanStep(
            f"prove-{v2.GROUPS}",
            Phase.PROVE,
            f"no row in {v2.GROUPS}: v1 has none",
            (stop_unless_zero(groups, f"rows are in {v2.GROUPS}, of which v1 knows nothing"),),
            undo=undo,
        )
    )
    last = PlanStep(
        f"{PROOF_KEYS}-dropped",
        Phase.PROVE,
        "days and weeks of every plan: no longer needed",
        tuple(f"drop table {relation}" for relation in prepared.relations),
        needs=tuple(step.id for step in steps),
        undo=undo,
    )
    return [first, *steps, last]


def notes(found: Survey) -> tuple[str, ...]:
    """What is worth knowing before the run: carried-over columns, and what happens to everything that points at v1."""
    lines = [*carried_notes(found.shape, found.bound), *grant_notes(found), *found.otherwise, *later_notes(found.later)]
    lines.extend(
        f"{base}: v1 publishes whole old rows (REPLICA IDENTITY FULL); v2's table has generated columns, so its key"
        for base in sorted(found.whole_rows - set(whole_row_tables(found)))
    )
    lines.extend(f"{one.kind.value} {one.title}: {fate_text(one)}" for one in found.dependents)
    lines.extend(
        f"function {rename.old}({rename.table}) is in v2's way: it is kept as {rename.new}"
        for rename in found.functions_in_the_way
    )
    return tuple(in_one_line(line) for line in lines)


def fate_text(dependent: Dependent) -> str:
    """What happens to a dependent, in a line."""
    if dependent.fate is Fate.PERSON:
        return f"needs a person: {dependent.reason}"
    return dependent.reason


async def plan_migration(connection: Connection, settings: Settings, state: DatabaseState) -> Plan:
    """The plan for moving this database to v2.

    Raises:
        RefusedError: there is no v1 to move, or something stands where v2 must go.
    """
    return (await make_plan(connection, settings, state)).plan


async def make_plan(connection: Connection, settings: Settings, state: DatabaseState) -> MigrationPlan:
    """The plan with what it was made from.

    Raises:
        RefusedError: as for `plan_migration`.
    """
    movable = (State.V1, State.V1_RENAMED, State.ROLLED_BACK, State.BUILDING, State.READY)
    if state.shape is None or state.state not in movable:
        raise RefusedError(
            " ".join((f"There is nothing to migrate here: {state.summary}", *state.reasons)),
            next_step="vagus-tui status says what was found.",
        )
    try:
        found = await survey(connection, state.shape, repeat_exercises=settings.repeat_exercises)
    except (asyncpg.DatatypeMismatchError, asyncpg.CannotCoerceError, asyncpg.UndefinedFunctionError) as error:
        raise RefusedError(
            f"v1 has columns of types that cannot be mapped. {' '.join(misfits(state.shape)) or error}",
            next_step="Give them the types that are needed. vagus-tui check data-quality looks for what holds it up.",
        ) from error
    return compose(found, settings)
