"""Opening a run, or taking up the one that was interrupted where that is possible."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Iterable, Mapping
from functools import partial
from uuid import UUID

from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.events import NoteEvent, Phase, StepEvent, StepState
from vagus_tui.format import plural
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.journal.progress import mend_progress
from vagus_tui.journal.state import STAGING, DatabaseState, State
from vagus_tui.migration import maintenance, staged
from vagus_tui.migration.abandon import take_back
from vagus_tui.migration.build import DAY_KEYS, prepared_tables
from vagus_tui.migration.plan import MigrationPlan, compose, make_plan
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.taken_over import added, without
from vagus_tui.migration.work import with_short_looks
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """A run to be worked on: its id, its plan, the ids of the steps that are done already, and what they left."""

    id: UUID
    made: MigrationPlan
    done: set[str]
    staged: dict[str, str] = dataclasses.field(default_factory=dict)


def fingerprint(plain: MigrationPlan) -> str:
    """Tells whether two plans are the same, whatever the figures in them, and what can be taken over left out."""
    text = "\n".join(step.sql for step in plain.plan.steps)
    return hashlib.sha256(text.encode()).hexdigest()


async def begin(main: Connection, settings: Settings, state: DatabaseState, emit: Emit) -> Opened:
    """Take up the run that is open, or start a new one.

    Raises:
        RefusedError: there is nothing to migrate.
    """
    tables = [] if state.shape is None else state.shape.tables.values()
    made = await with_short_looks(
        main,
        settings,
        [qualified("public", table.name) for table in tables],
        partial(make_plan, main, settings, state),
        emit=emit,
        doing="Making the plan",
        state="Nothing was changed.",
    )
    old = state.run
    if old is not None and state.state in (State.BUILDING, State.READY) and old.kind == "migrate":
        if (taken := await _take_up(main, settings, old, made, emit)) is not None:
            return taken
        assert state.shape is not None
        await take_back(main, state.shape, settings, emit)
        await store.update_run(main, old.id, status="abandoned", finished=True)
    run_id = await store.start_run(
        main,
        "migrate",
        operator=settings.operator,
        environment=settings.environment.value,
        options={
            "fingerprint": fingerprint(compose(without(made.survey), settings)),
            "log_blocks": made.survey.log_blocks,
            "log_rows": made.survey.rows[v2.LOGS],
            "repeat_exercises": settings.repeat_exercises,
            "from": state.state.value,
        },
    )
    return Opened(run_id, made, set())


async def _take_up(
    main: Connection, settings: Settings, old: store.Run, made: MigrationPlan, emit: Emit
) -> Opened | None:
    """The interrupted run; None, with a word on why, where it cannot go on: its plan or what it built is another."""
    survey = dataclasses.replace(
        made.survey,
        log_blocks=int(old.options.get("log_blocks", 0)),
        rows={**made.survey.rows, v2.LOGS: int(old.options.get("log_rows", 0))},
    )
    resumed, plain = compose(survey, settings), compose(without(survey), settings)
    if old.options.get("fingerprint") != fingerprint(plain):
        emit(NoteEvent(level="warning", message="v1, the settings or this program changed since: starting over."))
        return None
    known = staged.kept(old.catalog) or {}
    if known and (changes := await staged.altered(main, known)):
        emit(NoteEvent(level="warning", message=f"{staged.altered_by_hand(changes)} Starting over."))
        return None
    if await maintenance.lower_flag_of_run(main):
        emit(NoteEvent(message="The maintenance flag, left on by the interrupted cut-over, is off again."))
    done = await store.steps_done(main, old.id)
    done -= await drop_half_built_logs(main, old.id, resumed, done)
    done -= await _lost_day_keys(main, old.id, resumed, done)
    await store.update_run(main, old.id, status="running", error=None)
    titles = {step.id: step.title for step in resumed.plan.steps}
    # One transaction, which its step in the journal tells to be ours.
    async with main.transaction():
        # Settings may have changed meanwhile. To set one again does no harm.
        await execute_all(main, added(resumed.plan, plain.plan, done))
        if known:
            known = await staged.words(main)
            await store.update_run(main, old.id, catalog={staged.KEPT_AS: known})
        await say_taken_up(main, settings, old, {name: titles.get(name, name) for name in done})
    there = plural(len(done), "step is", "steps are")
    words = f"Resuming the run of {old.started_at:%Y-%m-%d %H:%M} UTC: {there} done already."
    emit(NoteEvent(message=words))
    return Opened(old.id, resumed, done, known if done >= {step.id for step in resumed.plan.of(Phase.BUILD)} else {})


async def say_taken_up(main: Connection, settings: Settings, run: store.Run, done: Mapping[str, str]) -> None:
    """Put on record who takes a run up that broke off, and bring what others see of it in line with what is done.

    Args:
        done: the title of every step that is done and is not begun again, by its id.
    """
    who = {"taken_up_by": settings.operator, "taken_up_on": platform.node()}
    await store.update_run(main, run.id, figures=who)
    await mend_progress(main, run.id, done)
    again = f"by {settings.operator}, {plural(len(done), 'step was', 'steps were')} done already"
    step = StepEvent(
        id=store.RESUMED, phase=Phase(run.phase), title=store.RESUMED, state=StepState.STARTED, message=again
    )
    await store.record_step(main, run.id, step)


async def drop_half_built_logs(main: Connection, run_id: UUID, made: MigrationPlan, done: set[str]) -> set[str]:
    """Parts are cut by place in the file: half of them from one snapshot and half from another do not add up.

    Returns the ids of the parts that must be built again.
    """
    parts = {step.id: step for step in made.plan.of(Phase.BUILD) if step.table == v2.LOGS}
    begun = parts.keys() & done
    if not begun or begun == parts.keys():
        return set()
    async with main.transaction():
        await main.execute(f"truncate {qualified(STAGING, v2.LOGS)}")
        await _not_done(main, run_id, [parts[name] for name in begun])
    return begun


async def _lost_day_keys(main: Connection, run_id: UUID, made: MigrationPlan, done: set[str]) -> set[str]:
    """What is worked out once is not logged: after a crash, or on a server that took over, all of it is empty.

    Returns the step that makes it, if that must be done again for steps that are left.
    """
    steps = made.plan.of(Phase.BUILD)
    if DAY_KEYS not in done or all(step.id in done for step in steps if step.table and DAY_KEYS in step.needs):
        return set()
    there = "select bool_or(pg_relation_size(to_regclass(name)) > 0) from unnest($1::text[]) name"
    if await main.fetchval(there, list(prepared_tables().relations)):
        return set()
    await _not_done(main, run_id, [step for step in steps if step.id == DAY_KEYS])
    return {DAY_KEYS}


async def _not_done(main: Connection, run_id: UUID, steps: Iterable[PlanStep]) -> None:
    """Put on record that what these steps had done is gone."""
    gone = [StepEvent(id=step.id, phase=Phase.BUILD, title=step.title, state=StepState.FAILED) for step in steps]
    await store.record_step(main, run_id, *gone)
