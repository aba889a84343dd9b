"""The migration: prepare, build aside, catch up, prove, hold, cut over, settle. One run, resumable all the way."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import CancelledByOperatorError, ConnectionLostError, RefusedError, UndoneError, VagusError
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import Emit, failure, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.journal.state import STAGING, DatabaseState, State, read_state
from vagus_tui.migration import capture, catch_up, maintenance
from vagus_tui.migration.abandon import take_back
from vagus_tui.migration.blockers import blockers, describe
from vagus_tui.migration.build import ALIGN, ALIGN_USERS
from vagus_tui.migration.cut_over import locked_relations
from vagus_tui.migration.plan import MigrationPlan, compose, make_plan
from vagus_tui.migration.proof import TableProof, prove_table
from vagus_tui.migration.scheduler import run_graph
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.undo import settle_again, undo_record
from vagus_tui.migration.work import BUSY, open_session, run_step, with_retries
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings

SMALL_BACKLOG = 200
"""Changes that the cut-over can take along without anybody noticing."""

CUT_OVER_LIMIT_SECONDS = 3.0
"""Writes never wait longer than this: the attempt is given up and tried again."""

HOLD_INTERVAL_SECONDS = 1.0

ROUND_ATTEMPTS = 5

MAINTENANCE_MESSAGE = "Workout features are being upgraded. This takes a moment; your data is safe."


class Migration:
    """One migration of one database. Create it, then `await run(emit)`."""

    def __init__(self, database: Database, settings: Settings, control: Control, *, hold: bool) -> None:
        self.database = database
        self.settings = settings
        self.control = control
        self.hold = hold
        self._emit: Emit = lambda _: None
        self._stack = AsyncExitStack()
        self._lanes: list[Connection] = []
        self.run_id = UUID(int=0)
        self._figures: dict[str, Any] = {}
        self._started = time.perf_counter()

    # ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, emit: Emit) -> ResultEvent:
        """Run or resume to the end.

        Raises:
            RefusedError: another operator is at work, or there is nothing to migrate.
        """
        self._emit = emit
        async with self._stack:
            self.main = await self._stack.enter_async_context(open_session(self.database, "migrate"))
            await take_lock(self.main)
            await ensure_journal(self.main)
            state = await read_state(self.main)
            if state.state is State.MIGRATED and state.run is not None and owes_settling(state.run):
                return await self._finish_settling(state.run)
            await self._begin(state)
            try:
                return await self._to_the_end()
            except asyncio.CancelledError:
                await self._give_up("cancelled", None)
                raise
            except CancelledByOperatorError as error:
                await self._give_up("cancelled", error)
                raise
            except _NotCutOverError as error:
                # Built, proved and still caught up with: throwing that away would only cost a second build.
                await store.update_run(self.main, self.run_id, status="ready", error=str(error))
                return failure(error, state=State.READY.value)
            except (asyncpg.PostgresError, VagusError) as error:
                raise await self._failed(error) from error

    async def _to_the_end(self) -> ResultEvent:
        await self._prepare()
        await self._build()
        await self._catch_up()
        proofs = await self._prove()
        if self.hold:
            await self._hold()
        await self._cut_over()
        await self._settle()
        seconds = time.perf_counter() - self._started
        rows = {proof.table: proof.compared for proof in proofs}
        return ResultEvent(
            ok=True,
            message="Migrated: v2 is in place, v1 is kept as *_v1.",
            state=State.MIGRATED.value,
            seconds=seconds,
            exit_status=0,
            figures={"rows": rows, **self._figures},
        )

    async def _begin(self, state: DatabaseState) -> None:
        """Open a run, or take up the one that was interrupted where that is possible."""
        self.made = await make_plan(self.main, self.settings, state)
        self.done: set[str] = set()
        old = state.run
        if old is not None and state.state in (State.BUILDING, State.READY) and old.kind == "migrate":
            survey = dataclasses.replace(
                self.made.survey,
                log_blocks=int(old.options.get("log_blocks", 0)),
                rows={**self.made.survey.rows, v2.LOGS: int(old.options.get("log_rows", 0))},
            )
            resumed = compose(survey, self.settings)
            if old.options.get("fingerprint") == fingerprint(resumed):
                self.made, self.run_id = resumed, old.id
                self.done = await store.steps_done(self.main, old.id)
                await self._drop_half_built_logs()
                await store.update_run(self.main, self.run_id, status="running", error=None)
                self._emit(
                    NoteEvent(
                        message=f"Resuming the run of {old.started_at:%Y-%m-%d %H:%M} UTC: "
                        f"{len(self.done)} steps are done already."
                    )
                )
                return
            self._emit(NoteEvent(level="warning", message="v1 or the settings changed since: starting over."))
            await take_back(self.main, self._shape(state), self.settings, self._emit)
            await store.update_run(self.main, old.id, status="abandoned", finished_at=datetime.now(UTC))
        self.run_id = await store.start_run(
            self.main,
            "migrate",
            operator=self.settings.operator,
            environment=self.settings.environment.value,
            options={
                "fingerprint": fingerprint(self.made),
                "log_blocks": self.made.survey.log_blocks,
                "log_rows": self.made.survey.rows[v2.LOGS],
                "repeat_exercises": self.settings.repeat_exercises,
                "from": state.state.value,
            },
        )

    @staticmethod
    def _shape(state: DatabaseState) -> Any:
        assert state.shape is not None
        return state.shape

    async def _drop_half_built_logs(self) -> None:
        """Parts are cut by place in the file: half of them from one snapshot and half from another do not add up."""
        parts = {step.id: step for step in self.made.plan.of(Phase.BUILD) if step.table == v2.LOGS}
        begun = parts.keys() & self.done
        if not begun or begun == parts.keys():
            return
        async with self.main.transaction():
            await self.main.execute(f"truncate {qualified(STAGING, v2.LOGS)}")
            for name in begun:
                await store.record_step(
                    self.main,
                    self.run_id,
                    StepEvent(id=name, phase=Phase.BUILD, title=parts[name].title, state=StepState.FAILED),
                )
        self.done -= begun

    async def _give_up(self, status: str, error: VagusError | None) -> None:
        """Undo the run after a stop: v1 as it was, staging gone."""
        undone = asyncio.ensure_future(self._undo(status, None if error is None else error.happened))
        try:
            await asyncio.shield(undone)
        except asyncio.CancelledError:
            await undone
            raise

    async def _undo(self, status: str, message: str | None) -> None:
        await self._close_lanes()
        async with open_session(self.database, "undo") as connection:
            state = await read_state(connection)
            if state.state not in (State.BUILDING, State.READY, State.V1, State.V1_RENAMED, State.ROLLED_BACK):
                return
            await take_back(connection, self._shape(state), self.settings, self._emit)
            await store.update_run(connection, self.run_id, status=status, error=message, finished_at=datetime.now(UTC))

    async def _failed(self, error: Exception) -> VagusError:
        """What a failure means: undone where the database can still be reached, left for a resume where not."""
        if isinstance(error, ConnectionLostError) or self.main.is_closed():
            return ConnectionLostError(
                "The connection to the database was lost.",
                state="Until the cut-over v1 is untouched; the cut-over happens whole or not at all.",
                next_step="Start again: the run resumes where it stood, or can be cleaned up.",
            )
        message = error.happened if isinstance(error, VagusError) else f"The server said: {error}"
        after = await read_state(self.main)
        if after.state is State.MIGRATED:
            return VagusError(
                message,
                state="v2 is in place; a step after the cut-over failed.",
                next_step="Run migrate again to finish what is owed, or roll back.",
            )
        await self._give_up("failed", VagusError(message))
        if isinstance(error, RefusedError):
            return RefusedError(message, state="Everything was undone; v1 is untouched.", next_step=error.next_step)
        next_step = error.next_step if isinstance(error, VagusError) else "See the data-quality checks, then try again."
        return UndoneError(message, state="Everything was undone; v1 is untouched.", next_step=next_step)

    # ── prepare and build ────────────────────────────────────────────────────────────────────────────────────────

    async def _enter(self, phase: Phase) -> None:
        await self.control.checkpoint()
        await store.update_run(self.main, self.run_id, phase=phase.value)

    async def _prepare(self) -> None:
        await self._enter(Phase.PREPARE)
        for step in self.made.plan.of(Phase.PREPARE):
            if step.id in self.done:
                continue

            async def attempt(step: PlanStep = step) -> None:
                await run_step(self.main, step, self.run_id, self._emit, lock_timeout_ms=self.settings.lock_timeout_ms)

            await with_retries(
                attempt,
                self.main,
                [qualified(self.made.survey.shape.schema, table) for table in step.tables],
                attempts=self.settings.lock_attempts,
                control=self.control,
                emit=self._emit,
                doing=f"Setting up {step.title}",
                state="v1 is untouched.",
            )
            self.done.add(step.id)

    async def _open_lanes(self) -> None:
        wanted = self.settings.parallel_connections
        for number in range(len(self._lanes), wanted):
            lane = await self._lane_stack().enter_async_context(open_session(self.database, f"build {number + 1}"))
            self._lanes.append(lane)

    def _lane_stack(self) -> AsyncExitStack:
        if not hasattr(self, "_lane_exit"):
            self._lane_exit = AsyncExitStack()
            self._stack.push_async_exit(self._lane_exit)
        return self._lane_exit

    async def _close_lanes(self) -> None:
        if hasattr(self, "_lane_exit"):
            await self._lane_exit.aclose()
            del self._lane_exit
        self._lanes.clear()

    async def _build(self) -> None:
        await self._enter(Phase.BUILD)
        steps = self.made.plan.of(Phase.BUILD)
        copying = [step for step in steps if step.snapshot]
        if any(step.id not in self.done for step in steps):
            await self._open_lanes()
        if any(step.id not in self.done for step in copying):
            async with (
                open_session(self.database, "snapshot") as holder,
                holder.transaction(isolation="repeatable_read", readonly=True),
            ):
                snapshot = await holder.fetchval("select pg_export_snapshot()")
                before_links = [step for step in steps if not _after_align(step)]
                await self._graph(before_links, snapshot)
        await self._graph(steps, None)

    async def _graph(self, steps: Sequence[PlanStep], snapshot: str | None) -> None:
        """Run steps side by side, stopping at once when the operator says so."""

        async def run(lane: int, step: PlanStep) -> None:
            await self.control.checkpoint()
            started = time.perf_counter()
            await run_step(
                self._lanes[lane],
                step,
                self.run_id,
                self._emit,
                isolation="repeatable_read" if step.snapshot or step.id in (ALIGN, ALIGN_USERS) else "read_committed",
                snapshot=snapshot if step.snapshot else None,
                lock_timeout_ms=self.settings.lock_timeout_ms if "auth.users" in step.tables else None,
            )
            await self._throttled(time.perf_counter() - started)

        async def run_with_retries(lane: int, step: PlanStep) -> None:
            if "auth.users" not in step.tables and step.id not in (ALIGN, ALIGN_USERS):
                await run(lane, step)
                return
            await with_retries(
                lambda: run(lane, step),
                self.main,
                ["auth.users"],
                attempts=self.settings.lock_attempts,
                control=self.control,
                emit=self._emit,
                doing=step.title.capitalize(),
                state="v1 is untouched.",
            )

        await self._or_cancelled(run_graph(steps, self.done, len(self._lanes), run_with_retries))

    async def _or_cancelled(self, work: Any) -> Any:
        """Wait for work, or for the operator's stop, which cancels it in the server too."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.control.wait_cancelled())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise CancelledByOperatorError("Stopped by the operator.", state="v1 is untouched.")
            return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _throttled(self, seconds: float) -> None:
        if self.control.throttle < 1:
            await asyncio.sleep(min(seconds * (1 / max(self.control.throttle, 0.05) - 1), 30))

    # ── catch up and prove ───────────────────────────────────────────────────────────────────────────────────────

    async def _backlog(self) -> int:
        return int(await self.main.fetchval(f"select count(*) from {capture.CHANGE_LOG}"))

    async def _round(self, emit: bool = True) -> int:
        """One round of catching up, proved in the same transaction. Returns how many notes it took."""
        for _ in range(ROUND_ATTEMPTS - 1):
            try:
                return await self._one_round(emit)
            except BUSY:
                # A user who left took rows along that we were about to change. The notes are all still there.
                await asyncio.sleep(random.uniform(0.05, 0.2))
        return await self._one_round(emit)

    async def _one_round(self, emit: bool) -> int:
        started = time.perf_counter()
        async with self.main.transaction(isolation="repeatable_read"):
            notes = 0
            for statement in catch_up.collect(self.made.mapping, STAGING):
                await self.main.execute(statement)
            notes = int(await self.main.fetchval("select count(*) from pg_temp.vagus_touched"))
            if notes:
                for statement in catch_up.apply(self.made.mapping, STAGING):
                    await self.main.execute(statement)
                await self._prove_delta()
        if emit:
            self._emit(
                StepEvent(
                    id="catch-up",
                    phase=Phase.CATCH_UP,
                    title="catch up",
                    state=StepState.PROGRESS,
                    rows=notes,
                    seconds=time.perf_counter() - started,
                    message=f"{notes:,} changes brought over",
                )
            )
        return notes

    async def _prove_delta(self) -> None:
        for table, query in catch_up.delta_differences(self.made.mapping, STAGING).items():
            rows = await self.main.fetch(f"{query} limit 5")
            if rows:
                first = rows[0]
                raise UndoneError(
                    f"Changes brought over do not agree with v1: {table} {first['id']} {first['difference']}.",
                    next_step="This must not happen; keep the report and do not migrate.",
                )

    async def _catch_up(self) -> None:
        await self._enter(Phase.CATCH_UP)
        started = time.perf_counter()
        step = next(step for step in self.made.plan.of(Phase.CATCH_UP))
        self._emit(StepEvent(id=step.id, phase=step.phase, title=step.title, state=StepState.STARTED))
        total, backlog = 0, await self._backlog()
        for _ in range(50):
            await self.control.checkpoint()
            if backlog <= SMALL_BACKLOG:
                break
            total += await self._or_cancelled(self._round())
            previous, backlog = backlog, await self._backlog()
            if backlog >= previous:
                self._emit(NoteEvent(level="warning", message=f"Writers are as fast as we: backlog {backlog:,}."))
        total += await self._or_cancelled(self._round())
        self._emit(
            StepEvent(
                id=step.id,
                phase=step.phase,
                title=step.title,
                state=StepState.DONE,
                rows=total,
                seconds=time.perf_counter() - started,
            )
        )

    async def _prove(self) -> list[TableProof]:
        """Compare every row in one snapshot, tables side by side. Rows touched since are left to the delta's proof."""
        await self._enter(Phase.PROVE)
        await self._open_lanes()
        proofs: list[TableProof] = []
        async with self.main.transaction(isolation="repeatable_read"):
            snapshot = await self.main.fetchval("select pg_export_snapshot()")

            async def prove(lane: int, step: PlanStep) -> None:
                await self.control.checkpoint()
                connection, started = self._lanes[lane], time.perf_counter()
                self._emit(
                    StepEvent(id=step.id, phase=step.phase, title=step.title, state=StepState.STARTED, total=step.rows)
                )
                async with connection.transaction(isolation="repeatable_read"):
                    await connection.execute(f"set transaction snapshot '{snapshot}'")
                    proof = await prove_table(connection, self.made.mapping, STAGING, step.table)
                    if proof.differences:
                        proof = await _unexcused(connection, self.made, proof)
                proofs.append(proof)
                seconds = time.perf_counter() - started
                self._emit(
                    StepEvent(
                        id=step.id,
                        phase=step.phase,
                        title=step.title,
                        state=StepState.FAILED if proof.differences else StepState.DONE,
                        rows=proof.compared,
                        total=proof.compared,
                        seconds=seconds,
                        message=f"{proof.differences:,} differences",
                    )
                )

            await self._or_cancelled(run_graph(self.made.plan.of(Phase.PROVE), set(), len(self._lanes), prove))
        wrong = [proof for proof in proofs if proof.differences]
        if wrong:
            listed = ", ".join(f"{proof.table} {proof.differences:,}" for proof in wrong)
            for proof in wrong:
                for difference in proof.sample:
                    self._emit(
                        NoteEvent(
                            level="error",
                            message=f"{difference.table} {difference.id}: {difference.difference}",
                            detail={"expected": difference.expected, "found": difference.found},
                        )
                    )
            raise UndoneError(
                f"The proof found rows that differ: {listed}.", next_step="Keep the report; do not migrate with it."
            )
        self._figures["proved_at"] = datetime.now(UTC).isoformat()
        self._figures["proved_rows"] = sum(proof.compared for proof in proofs)
        await store.update_run(self.main, self.run_id, figures=self._figures)
        return proofs

    # ── hold and cut over ────────────────────────────────────────────────────────────────────────────────────────

    async def _hold(self) -> None:
        """Stay caught up until the operator decides."""
        await self._enter(Phase.HOLD)
        await self._close_lanes()
        await store.update_run(self.main, self.run_id, status="ready")
        started = time.perf_counter()
        relations = locked_relations(self.made.survey)
        self._emit(StepEvent(id="hold", phase=Phase.HOLD, title="you decide", state=StepState.STARTED))
        while True:
            await self.control.checkpoint()
            notes = await self._or_cancelled(self._round(emit=False))
            found = [blocker for blocker in await blockers(self.main, relations) if blocker.seconds > 1]
            self._emit(
                StepEvent(
                    id="hold",
                    phase=Phase.HOLD,
                    title="you decide",
                    state=StepState.PROGRESS,
                    rows=notes,
                    seconds=time.perf_counter() - started,
                    message="in the way: " + (describe(found) if found else "nobody"),
                )
            )
            if await self.control.wait_go(HOLD_INTERVAL_SECONDS):
                break
        self._emit(
            StepEvent(
                id="hold",
                phase=Phase.HOLD,
                title="you decide",
                state=StepState.DONE,
                seconds=time.perf_counter() - started,
            )
        )

    async def _cut_over(self) -> None:
        """Swap, in as many attempts as it takes to get the locks without making anybody queue."""
        await self._enter(Phase.CUT_OVER)
        await self._close_lanes()
        await store.update_run(self.main, self.run_id, catalog=undo_record(self.made.survey))
        relations = locked_relations(self.made.survey)
        last = "nobody"
        attempts = self.settings.lock_attempts
        for number in range(1, attempts + 1):
            await self.control.checkpoint()
            await self._round(emit=False)
            try:
                await self._swap()
                return
            except (*BUSY, TimeoutError, asyncpg.QueryCanceledError) as error:
                found = await blockers(self.main, relations)
                last = describe(found)
                reason = "in the way: " + last if isinstance(error, BUSY) else "it took too long and was taken back"
                self._emit(
                    NoteEvent(
                        level="warning",
                        message=f"Cut-over, attempt {number} of {attempts}: {reason}",
                        detail={"blockers": [blocker.to_dict() for blocker in found], "attempt": number},
                    )
                )
                await asyncio.sleep(min(0.1 * 2**number, 3.0) * random.uniform(0.5, 1.0))
        await maintenance.switch_flag(self.main, enabled=False)
        raise _NotCutOverError(
            f"The cut-over did not get its locks in {attempts} attempts. In the way: {last}.",
            state="v1 is in place and in use; v2 is built, proved and kept caught up.",
            next_step="Wait for them or cancel them, then run migrate again: it goes on from here.",
        )

    async def _swap(self) -> None:
        """The one transaction."""
        steps = {step.id: step for step in self.made.plan.of(Phase.CUT_OVER)}
        locked = 0.0
        events: list[StepEvent] = []
        await maintenance.switch_flag(self.main, enabled=True, message=MAINTENANCE_MESSAGE)
        async with self.main.transaction():
            await self.main.execute(f"set local lock_timeout = {self.settings.lock_timeout_ms}")
            for step in steps.values():
                started = time.perf_counter()
                self._emit(StepEvent(id=step.id, phase=step.phase, title=step.title, state=StepState.STARTED))
                if step.id == "lock":
                    for statement in step.statements:
                        await self.main.execute(statement)
                    locked = time.perf_counter()
                else:
                    left = CUT_OVER_LIMIT_SECONDS - (time.perf_counter() - locked)
                    async with asyncio.timeout(max(left, 0.01)):
                        await self._swap_step(step)
                done = StepEvent(
                    id=step.id,
                    phase=step.phase,
                    title=step.title,
                    state=StepState.DONE,
                    seconds=time.perf_counter() - started,
                )
                events.append(done)
            for event in events:
                await store.record_step(self.main, self.run_id, event)
            await store.update_run(self.main, self.run_id, phase=Phase.SETTLE.value, status="running")
        self._figures["writes_waited_seconds"] = round(time.perf_counter() - locked, 3)
        for event in events:
            self._emit(event)
        await store.update_run(self.main, self.run_id, figures=self._figures)

    async def _swap_step(self, step: PlanStep) -> None:
        if step.id == "prove-delta":
            await self._prove_delta()
            return
        for statement in step.statements:
            await self.main.execute(statement)

    # ── settle ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _settle(self) -> None:
        """What is owed after the commit. v2 is in place: a failure here is told, not undone."""
        done = await store.steps_done(self.main, self.run_id)
        for step in self.made.plan.of(Phase.SETTLE):
            if step.id not in done:
                await run_step(self.main, step, self.run_id, self._emit)
        await maintenance.switch_flag(self.main, enabled=False)
        await store.update_run(
            self.main, self.run_id, status="done", finished_at=datetime.now(UTC), figures=self._figures
        )

    async def _finish_settling(self, run: store.Run) -> ResultEvent:
        """A run that was interrupted after its cut-over owes its last steps."""
        await settle_again(self.main, run, self._emit)
        return ResultEvent(
            ok=True,
            message="Finished: v2 was in place already; what the interrupted run owed is done.",
            state=State.MIGRATED.value,
            exit_status=0,
        )


def owes_settling(run: store.Run) -> bool:
    """Whether a run was interrupted after its cut-over, with steps still to do."""
    return run.kind == "migrate" and run.phase == Phase.SETTLE.value and run.status == "running"


class _NotCutOverError(VagusError):
    """Everything is built and proved, but the locks were not to be had."""

    exit_status = 4


def _after_align(step: PlanStep) -> bool:
    return step.id in (ALIGN, ALIGN_USERS, "behaviour", "compat", "analyze") or step.id.startswith(
        ("link-", "validate-")
    )


def fingerprint(made: MigrationPlan) -> str:
    """Tells whether two plans are the same, whatever the figures in them."""
    text = "\n".join(step.sql for step in made.plan.steps)
    return hashlib.sha256(text.encode()).hexdigest()


async def _unexcused(connection: Connection, made: MigrationPlan, proof: TableProof) -> TableProof:
    """The differences that are not explained by changes still waiting to be brought over."""
    for statement in catch_up.peek(made.mapping, STAGING):
        await connection.execute(statement)
    return await prove_table(connection, made.mapping, STAGING, proof.table, excused=True)


def migrate(database: Database, settings: Settings, control: Control, *, hold: bool) -> AsyncIterator[Event]:
    """Run, or resume, the migration. With `hold` it waits, proved and caught up, for `control.go()`.

    The stream ends with a ResultEvent. Stopping before the cut-over leaves v1 exactly as it was.
    """
    return streamed(Migration(database, settings, control, hold=hold).run)
